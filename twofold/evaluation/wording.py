"""How figures are written."""


def decimal(value: float) -> str:
    """A figure with three digits and no zero before the point: `.012`."""
    text = f"{value:.3f}"
    if text in ("0.000", "-0.000"):
        return ".000"
    return text.replace("0.", ".", 1) if abs(value) < 0.9995 else text


def signed(value: float) -> str:
    """A figure with its sign: `+.012`."""
    text = decimal(value)
    return text if text.startswith("-") else f"+{text}"


def interval(low: float, high: float) -> str:
    """`[-.004, .021]`."""
    return f"[{decimal(low)}, {decimal(high)}]"


def chance(p: float) -> str:
    """`p = .012`."""
    return "p < .001" if p < 0.001 else f"p = {decimal(p)}"


def counted(count: int, noun: str) -> str:
    """`1 query`, `1,200 queries`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"
