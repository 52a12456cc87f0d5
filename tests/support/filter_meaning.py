"""What a filter means, said a second time and in plain Python: the stores are held to it."""

import sys
from datetime import UTC, datetime

from twofold.schema import And, Condition, Filter, Metadata, Not, Or, Scalar


def holds(tree: Filter, metadata: Metadata) -> bool:
    match tree:
        case And():
            return all(holds(each, metadata) for each in tree.and_)
        case Or():
            return any(holds(each, metadata) for each in tree.or_)
        case Not():
            return not holds(tree.not_, metadata)
        case Condition():
            return condition_holds(tree, metadata)


def condition_holds(condition: Condition, metadata: Metadata) -> bool:
    stored = metadata.get(condition.key)
    values: list[Scalar] = (
        [] if stored is None else list(stored) if isinstance(stored, list) else [stored]
    )
    answers = []
    if condition.eq is not None:
        answers.append(any(same(each, condition.eq) for each in values))
    if condition.in_ is not None:
        answers.append(any(same(each, other) for each in values for other in condition.in_))
    if condition.exists is not None:
        answers.append(bool(values) == condition.exists)
    if condition.contains is not None:
        if isinstance(stored, list):
            answers.append(condition.contains in stored)
        else:
            answers.append(isinstance(stored, str) and condition.contains in stored)
    if condition.prefix is not None:
        prefix = condition.prefix
        answers.append(any(isinstance(each, str) and each.startswith(prefix) for each in values))
    bounds = [
        utc(bound) if isinstance(bound, datetime) else bound
        for bound in (condition.gt, condition.gte, condition.lt, condition.lte)
    ]
    for kind in (float, datetime):
        mine = [bound if isinstance(bound, kind) else None for bound in bounds]
        if any(bound is not None for bound in mine):
            answers.append(any(within(comparable(each, kind), *mine) for each in values))
    return all(answers)


def same(stored: Scalar, wanted: Scalar) -> bool:
    return isinstance(stored, bool) == isinstance(wanted, bool) and stored == wanted


def comparable(value: Scalar, kind: type) -> float | datetime | None:
    """The value as a number or a moment, None when it is neither."""
    if isinstance(value, bool):
        return None
    if kind is float:
        return as_float(value) if isinstance(value, int | float) else None
    try:
        return utc(datetime.fromisoformat(value)) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def as_float(number: float) -> float:
    """As indexes hold it: longer integers are as great as a float can be."""
    limit = sys.float_info.max
    return float(max(-limit, min(number, limit)))


def utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def within(value, gt, gte, lt, lte) -> bool:
    return (
        value is not None
        and (gt is None or value > gt)
        and (gte is None or value >= gte)
        and (lt is None or value < lt)
        and (lte is None or value <= lte)
    )
