"""A collection as external knowledge of Dify."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.lent import post, refused
from tests.support.service import running

pytestmark = pytest.mark.anyio

TEXTS = [
    {"id": "oven", "text": "the hot oven bakes", "metadata": {"year": 2020, "kind": "tool"}},
    {"id": "rye", "text": "rye for an oven", "metadata": {"year": 2024, "tags": ["a", "b"]}},
    {"id": "salt", "name": "salt.txt", "text": "salt", "metadata": {"day": "2026-05-31"}},
]


@pytest.fixture(scope="module")
async def client(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path_factory.mktemp("dify")) as (client, _):
        await client.post("/documents?wait=30", json={"collection": "bread", "documents": TEXTS})
        yield client


def body(**changes: object) -> dict[str, object]:
    """A request as Dify sends it; `metadata_condition` is null where nobody set one."""
    return {
        "retrieval_setting": {"top_k": 4, "score_threshold": 0.0},
        "query": "hot oven",
        "knowledge_id": "bread",
        "metadata_condition": None,
        **changes,
    }


async def records(client: httpx.AsyncClient, **changes: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await post(client, "/retrieval", **body(**changes)))["records"]
    return found


async def test_the_best_passages_come_first_with_their_source(client: httpx.AsyncClient) -> None:
    first, *others = await records(client)
    assert first["content"] == TEXTS[0]["text"]
    assert first["title"] == "oven"
    assert 0 <= first["score"] <= 1
    assert first["score"] >= others[0]["score"]
    assert first["metadata"]["document_id"] == "oven"
    assert first["metadata"]["kind"] == "tool"
    assert first["metadata"]["rerank_status"] == "applied"


async def test_metadata_is_never_null(client: httpx.AsyncClient) -> None:
    assert all(isinstance(each["metadata"], dict) for each in await records(client))


async def test_so_many_records_and_no_worse_ones(client: httpx.AsyncClient) -> None:
    everything = await records(client)
    assert len(everything) == 3
    setting = {"top_k": 1, "score_threshold": 0.0}
    assert await records(client, retrieval_setting=setting) == everything[:1]
    setting = {"top_k": 4, "score_threshold": everything[1]["score"]}
    assert await records(client, retrieval_setting=setting) == everything[:2]
    assert await records(client, retrieval_setting={"top_k": 4}) == everything


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("kind", "is", "tool", {"oven"}),
        ("kind", "is not", "tool", {"rye", "salt"}),
        ("year", "=", "2020", {"oven"}),
        ("year", "≠", 2020, {"rye", "salt"}),
        ("year", ">", "2020", {"rye"}),
        ("year", "≥", 2020, {"oven", "rye"}),
        ("year", "<", 2024, {"oven"}),
        ("year", "≤", "2024", {"oven", "rye"}),
        ("tags", "contains", "a", {"rye"}),
        ("kind", "contains", "oo", {"oven"}),
        ("kind", "start with", "to", {"oven"}),
        ("tags", "not contains", "a", {"oven", "salt"}),
        ("kind", "in", ["tool", "x"], {"oven"}),
        ("kind", "not in", ["tool", "x"], {"rye", "salt"}),
        ("year", "empty", None, {"salt"}),
        ("year", "not empty", None, {"oven", "rye"}),
        ("day", "before", "2026-06-01", {"salt"}),
        ("day", "after", "2026-06-01T00:00:00", set()),
        ("year", "after", 2021, {"rye"}),
        (["kind", "tags"], "not empty", None, {"oven", "rye"}),
        (["kind", "tags"], "empty", None, {"salt"}),
    ],
)
async def test_conditions_are_filters(
    client: httpx.AsyncClient, name: object, operator: str, value: object, expected: set[str]
) -> None:
    condition = {"name": name, "comparison_operator": operator, "value": value}
    found = await records(client, metadata_condition={"conditions": [condition]})
    assert {each["metadata"]["document_id"] for each in found} == expected


@pytest.mark.parametrize(("logic", "expected"), [("and", set()), ("or", {"oven", "rye"})])
async def test_conditions_hold_together_or_one_of_them(
    client: httpx.AsyncClient, logic: str, expected: set[str]
) -> None:
    conditions = [
        {"name": "year", "comparison_operator": "=", "value": year} for year in (2020, 2024)
    ]
    condition = {"logical_operator": logic, "conditions": conditions}
    found = await records(client, metadata_condition=condition)
    assert {each["metadata"]["document_id"] for each in found} == expected


async def test_no_conditions_are_no_filter(client: httpx.AsyncClient) -> None:
    for none in ({"conditions": []}, {"logical_operator": "and", "conditions": None}):
        assert len(await records(client, metadata_condition=none)) == 3


@pytest.mark.parametrize(
    ("operator", "value", "sentence"),
    [
        ("end with", "x", "end of a text"),
        (">", "tall", "compares numbers"),
        ("=", ["1"], "compares numbers"),
        ("contains", 5, "compares texts"),
        ("is", None, "compares one value"),
        ("before", "yesterday", "compares dates"),
        ("like", "x", "comparison_operator"),
    ],
)
async def test_a_condition_that_is_none_is_refused(
    client: httpx.AsyncClient, operator: str, value: object, sentence: str
) -> None:
    condition = {"name": "year", "comparison_operator": operator, "value": value}
    conditions = {"conditions": [condition]}
    message = await refused(client, "/retrieval", 422, **body(metadata_condition=conditions))
    assert sentence in message


async def test_a_key_that_no_metadata_has_is_refused(client: httpx.AsyncClient) -> None:
    condition = {"name": "no key!", "comparison_operator": "is", "value": "x"}
    conditions = {"conditions": [condition]}
    message = await refused(client, "/retrieval", 422, **body(metadata_condition=conditions))
    assert "metadata_condition" in message


async def test_a_collection_that_is_not_there_is_an_error(client: httpx.AsyncClient) -> None:
    assert "No collection 'cakes'" in await refused(
        client, "/retrieval", 404, **body(knowledge_id="cakes")
    )


async def test_the_probe_with_which_dify_checks_the_address_is_understood(
    client: httpx.AsyncClient,
) -> None:
    """It posts nothing, and takes only 403, 404 and 502 for a wrong address."""
    assert (await client.post("/retrieval")).status_code == 422
