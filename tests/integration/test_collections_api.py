"""Settings of a collection: made, seen, changed, and used by uploads and searches."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.build import Models
from pipelines.ports import Vector
from tests.support.lent import KnownEmbedder, KnownReranker
from tests.support.service import running

pytestmark = pytest.mark.anyio


class Told(KnownEmbedder):
    """Takes instructions, and keeps what it was told."""

    instructed = True

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str | None] = []

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        self.told.append(instruction)
        return self.embed_passages(texts)


MODELS = Models(Told(), KnownReranker())


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path, models=MODELS, rerank_instruction="server's") as (client, _):
        yield client


async def search(client: httpx.AsyncClient, **options: object) -> dict[str, Any]:
    body = {"query": "rye", "collection": "docs", "explain": True, **options}
    answer = await client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def upload(client: httpx.AsyncClient, *texts: str) -> None:
    documents = [{"id": f"d{number}", "text": text} for number, text in enumerate(texts)]
    answer = await client.post(
        "/documents?wait=30", json={"collection": "docs", "documents": documents}
    )
    assert {each["status"] for each in answer.json()["documents"]} == {"ready"}, answer.text


async def test_it_is_made_once_with_what_the_server_can_do(client: httpx.AsyncClient) -> None:
    wanted = {"name": "docs", "dimensions": 16, "chunk_tokens": 20, "language": "german"}
    made = await client.post("/collections", json=wanted)
    assert made.status_code == 201, made.text
    assert wanted.items() <= made.json().items()
    again = await client.post("/collections", json=wanted)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "collection_exists")
    for field, value in (
        ("dimensions", 8),
        ("chunk_tokens", 15),
        ("chunk_tokens", 201),
        ("language", "klingon"),
        ("embedder", "gone"),
    ):
        refused = await client.post("/collections", json={"name": "other", field: value})
        assert refused.status_code == 422, refused.text
        assert refused.json()["error"]["message"].startswith(f"'{field}'")
    await upload(client, "rye bread")
    assert (await search(client))["results"][0]["document_id"] == "d0"
    [listed] = (await client.get("/collections")).json()["collections"]
    assert (listed["name"], listed["passages"], listed["documents"]) == ("docs", 1, {"ready": 1})


async def test_the_request_goes_before_the_collection_and_that_before_the_server(
    client: httpx.AsyncClient,
) -> None:
    await upload(client, "rye bread")
    before = (await search(client))["method"]
    assert (before["query_instruction"], before["rerank_instruction"]) == (None, "server's")
    change = {"query_instruction": "find bread", "rerank_instruction": "rank bread"}
    changed = await client.patch("/collections/docs", json=change)
    assert changed.status_code == 200
    assert change.items() <= changed.json().items()
    collection = (await search(client))["method"]
    assert collection["query_instruction"] == MODELS.embedder.told[-1] == "find bread"  # type: ignore[attr-defined]
    assert collection["rerank_instruction"] == "rank bread"
    assert not collection["query_cached"]
    request = await search(client, recall={"instruction": "a"}, rerank={"instruction": "b"})
    method = request["method"]
    assert (method["query_instruction"], method["rerank_instruction"]) == ("a", "b")
    assert request["warnings"] == []
    only = await client.patch("/collections/docs", json={"query_instruction": None})
    assert only.json()["query_instruction"] is None
    assert only.json()["rerank_instruction"] == "rank bread"
    assert (await client.patch("/collections/docs", json={})).status_code == 422


async def test_a_page_of_other_instructions_does_not_continue_the_ranking(
    client: httpx.AsyncClient,
) -> None:
    await upload(client, "rye bread", "rye flour", "rye dough")
    first = await search(client, limit=1, pages=True)
    second = await search(client, limit=1, cursor=first["cursor"])
    assert second["results"][0]["rank"] == 2
    await client.patch("/collections/docs", json={"query_instruction": "find flour"})
    body = {"query": "rye", "collection": "docs", "limit": 1, "cursor": first["cursor"]}
    later = await client.post("/search", json={**body, "explain": True})
    assert (later.status_code, later.json()["error"]["code"]) == (404, "cursor_expired")


async def test_an_instruction_that_no_model_hears_is_named_in_the_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as (client, _):
        await upload(client, "rye bread")
        assert (await search(client))["warnings"] == []
        answer = await search(
            client, recall={"instruction": "find"}, rerank={"instruction": "rank"}
        )
        assert answer["rerank"]["status"] == "applied"
        assert [each.partition(" ")[0] for each in answer["warnings"]] == ["words-64", "overlap"]
        method = answer["method"]
        assert (method["query_instruction"], method["rerank_instruction"]) == (None, None)
