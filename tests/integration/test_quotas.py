"""What goes over a tenant's quota is a 429 that says when to come back; others do not notice."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from services.api import quotas
from tests.support.keys import make_key
from tests.support.service import running

pytestmark = pytest.mark.anyio


def told(answer: httpx.Response, *words: str) -> None:
    assert answer.status_code == 429, answer.text
    error = answer.json()["error"]
    assert error["code"] == "quota_exceeded"
    assert all(word in error["message"] for word in words)
    assert 1 <= int(answer.headers["retry-after"]) <= 600


def texts(*ids: str, size: int = 10) -> dict[str, Any]:
    return {"documents": [{"id": each, "text": "rye " * (size // 4)} for each in ids]}


async def test_requests_over_the_quota_of_a_tenant_are_refused_and_others_are_not(
    tmp_path: Path,
) -> None:
    keys = tmp_path / "keys.json"
    busy, calm = make_key(keys, "busy"), make_key(keys, "calm")
    also_busy = make_key(keys, "busy")
    async with running(tmp_path, api_keys_file=keys, quota_requests_per_minute=5) as (client, _):
        for _ in range(5):
            assert (await client.get("/documents", headers=busy)).status_code == 404
        told(await client.get("/documents", headers=busy), "5 requests a minute")
        told(await client.post("/documents", json=texts("a"), headers=also_busy), "requests")
        assert (await client.get("/documents", headers=calm)).status_code == 404
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/documents")).status_code == 401


async def test_what_is_reranked_is_charged_and_a_search_without_is_free(tmp_path: Path) -> None:
    async with running(tmp_path, quota_rerank_pairs_per_minute=4) as (client, _):
        ids = [f"d{n}" for n in range(6)]
        assert (await client.post("/documents?wait=30", json=texts(*ids))).status_code == 202
        first = await client.get("/search?q=rye")
        assert first.json()["rerank"]["scored"] == 6
        told(await client.get("/search?q=rye"), "4 reranked pairs a minute")
        told(await client.post("/search", json={"query": "rye"}), "reranked")
        batch = {"searches": [{"query": "rye"}, {"query": "rye", "rerank": {"enabled": False}}]}
        refused, free = (await client.post("/search/batch", json=batch)).json()["answers"]
        assert refused["error"]["code"] == "quota_exceeded"
        assert free["response"]["results"]
        assert (await client.get("/search?q=rye&rerank=false")).status_code == 200


async def test_documents_over_the_quota_are_refused_whole_and_updates_are_not(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, quota_documents=3) as (client, _):
        assert (await client.post("/documents", json=texts("a", "b"))).status_code == 202
        told(await client.post("/documents", json=texts("c", "d")), "3 documents")
        other = {"collection": "other", **texts("c")}
        assert (await client.post("/documents", json=other)).status_code == 202
        told(await client.post("/documents", json=texts("d")), "3 documents")
        assert (await client.post("/documents", json=texts("a", size=80))).status_code == 202
        assert (await client.delete("/documents/b")).status_code == 200
        assert (await client.post("/documents", json=texts("d"))).status_code == 202


async def test_bytes_over_the_quota_are_refused_and_room_that_is_made_counts_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "PAGE", 2)  # so that the sum needs several pages
    async with running(tmp_path, quota_bytes=400) as (client, _):
        for name in ("a", "b", "c"):
            assert (await client.post("/documents", json=texts(name, size=100))).status_code == 202
        told(await client.post("/documents", json=texts("d", size=200)), "400 bytes")
        assert (await client.post("/documents", json=texts("a", size=200))).status_code == 202
        told(await client.post("/documents", json=texts("e", size=8)), "400 bytes")
        assert (await client.post("/documents", json=texts("a", size=40))).status_code == 202
        assert (await client.delete("/documents/b")).status_code == 200
        assert (await client.post("/documents", json=texts("d", size=200))).status_code == 202


async def test_one_tenants_documents_do_not_use_up_anothers_quota(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    first, second = make_key(keys, "first"), make_key(keys, "second")
    limits = {"quota_documents": 1, "quota_bytes": 100}
    async with running(tmp_path, api_keys_file=keys, **limits) as (client, _):
        for headers in (first, second):
            answer = await client.post("/documents", json=texts("a", size=80), headers=headers)
            assert answer.status_code == 202
