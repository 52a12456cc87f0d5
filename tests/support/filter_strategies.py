"""Metadata and filters as Hypothesis draws them, from few values, so that they meet."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from twofold.schema import And, Condition, Filter, Not, Or

KEYS = ["year", "tenant", "kind", "live", "a.b-c", "facts", "fields", "record", "_x"]

keys = st.sampled_from(KEYS)
texts = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "ab",
            "abc",
            "true",
            "1",
            "1.0",
            "b",
            "é",
            "日本",
            "sa",
            "=",
            "A b",
            "\x00",
            "1=n1",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
zones = st.sampled_from([None, UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-11))])
times = st.one_of(
    st.sampled_from(
        [datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 0, 0, 0, 1)]
    ),
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones),
)
time_texts = st.one_of(
    times.map(datetime.isoformat), st.sampled_from(["2024-01-01", "2024-13-01", "20240101"])
)
integers = st.one_of(
    st.integers(-2, 3), st.integers(), st.sampled_from([2**53, 2**53 + 1, 10**400])
)
floats = st.one_of(
    st.sampled_from([-0.0, 0.0, 1.0, 1.5, 2.0**53]),
    st.floats(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(texts, time_texts, integers, floats, st.booleans())
values = st.one_of(
    scalars,
    st.none(),
    st.lists(st.one_of(texts, time_texts), max_size=3),
    st.lists(integers, max_size=3),
    st.lists(floats, max_size=3),
)
metadata = st.dictionaries(keys, values, max_size=4)

bounds = st.one_of(floats, times)
operators = {
    "eq": scalars,
    "in": st.one_of(
        st.lists(texts, min_size=1, max_size=3), st.lists(integers, min_size=1, max_size=3)
    ),
    "gt": bounds,
    "gte": bounds,
    "lt": bounds,
    "lte": bounds,
    "exists": st.booleans(),
    "contains": texts,
    "prefix": texts.filter(bool),
}
conditions = (
    st.fixed_dictionaries({"key": keys}, optional=operators)
    .filter(lambda drawn: len(drawn) > 1)
    .map(Condition.model_validate)
)


def condition_with(operator: str) -> st.SearchStrategy[Condition]:
    """Conditions that ask one thing."""
    return st.builds(
        lambda key, operand: Condition.model_validate({"key": key, operator: operand}),
        keys,
        operators[operator],
    )


def _combined(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        some.map(lambda each: And(and_=each)),
        some.map(lambda each: Or(or_=each)),
        inner.map(lambda each: Not(not_=each)),
    )


filters: st.SearchStrategy[Filter] = st.recursive(conditions, _combined, max_leaves=6)
