"""What reports have in common that are one page and need nothing from outside."""

from collections.abc import Iterable, Iterator
from html import escape

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --up: #15803d; --down: #b91c1c }
@media (prefers-color-scheme: dark) { :root { --dim: #999; --up: #4ade80; --down: #f87171 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.5rem }
.verdict { font-size: 1.2rem; border-left: 4px solid; padding: .4rem 1rem; margin: 1rem 0 }
.helps { border-color: var(--up) } .hurts { border-color: var(--down) }
.synthetic { border: 2px dashed #a21caf; padding: .5rem 1rem }
.dim, figcaption, th { color: var(--dim) } .up { color: var(--up) } .down { color: var(--down) }
.wide { overflow-x: auto } pre { white-space: pre-wrap }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line) }
th { font-weight: 500; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
.ways { font-size: .9em } .ways td { white-space: nowrap }
td.text { overflow-wrap: anywhere; min-width: 16rem } tr.default { font-weight: 700 }
th button { all: unset; cursor: pointer } th button::after { content: " ↕" }
th button:focus-visible { outline: 2px solid }
.plots { display: flex; flex-wrap: wrap; gap: 1rem } figure { flex: 1 1 24rem; margin: 0 }
svg { width: 100%; height: auto }
"""

_SCRIPT = """
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const cell = button.closest("th"), body = cell.closest("table").tBodies[0];
    const at = cell.cellIndex, up = cell.ariaSort === "descending";
    const value = row => row.cells[at].dataset.value ?? row.cells[at].textContent;
    const order = (a, b) => isNaN(a - b) ? a.localeCompare(b) : a - b;
    const rows = [...body.rows].sort((a, b) => order(value(a), value(b)) * (up ? 1 : -1));
    for (const other of cell.parentNode.cells) other.ariaSort = null;
    cell.ariaSort = up ? "ascending" : "descending";
    body.append(...rows);
  });
}
"""


def page_of(title: str, parts: Iterable[str]) -> str:
    """A page with this title; its parts are HTML already."""
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            f"<script>{_SCRIPT}</script></body></html>\n",
        )
    )


def synthetic(made: str | None) -> Iterator[str]:
    """How the queries were made, where nobody asked them."""
    if made:
        yield f'<p class="synthetic"><b>Synthetic.</b> {escape(made)}.</p>'


def table(heads: Iterable[str], rows: Iterable[str], *, sortable: bool = False) -> str:
    """Headings that are text, and rows that are HTML already."""
    cells = (f"<button>{escape(each)}</button>" if sortable else escape(each) for each in heads)
    head = "".join(f'<th scope="col">{each}</th>' for each in cells)
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table>{body}</table></div>'


def cell(value: object) -> str:
    """A value as text in a cell."""
    return f"<td>{escape(str(value))}</td>"
