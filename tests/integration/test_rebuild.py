"""A collection is rebuilt beside itself: nothing is lost, and no search sees a gap."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from pipelines import rebuild
from pipelines.build import Models, Twofold
from pipelines.catchup import CatchUp
from pipelines.ingest import Ingest
from pipelines.ports import Vector
from tests.support.models import WordEmbedder
from tests.support.reranking import OverlapModel
from tests.support.service import running

pytestmark = pytest.mark.anyio

PATIENCE_S = 60.0


class OtherEmbedder(WordEmbedder):
    """Another model: its vectors have nothing to do with those of the first, and may be cut.

    Attributes:
        pause_s: What a passage takes.
        poison: A word that it fails on.
    """

    name = "words-96"
    dimensions = 96
    min_dimensions = 32
    pause_s = 0.0
    poison = "poison"

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        time.sleep(self.pause_s * len(texts))
        if self.poison and any(self.poison in text for text in texts):
            raise RuntimeError("poisoned")
        return super().embed_passages(texts)

    def _embed(self, texts: Sequence[str]) -> Vector:
        vectors = np.full((len(texts), self.dimensions), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                bucket = hashlib.sha256(f"other {word.strip('.,?!')}".encode()).digest()[0]
                vectors[row, bucket % self.dimensions] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "LINGER_S", 0.5)
    monkeypatch.setattr(rebuild, "LOOK_S", 0.05)


def models() -> Models:
    return Models(WordEmbedder(), OverlapModel(), (OtherEmbedder(),))


@asynccontextmanager
async def site(folder: Path, **settings: object) -> AsyncIterator["Site"]:
    async with running(folder, models=models(), **settings) as (client, twofold):
        yield Site(client, twofold)


class Site:
    """A server, and what callers do to its collection `docs`."""

    def __init__(self, client: httpx.AsyncClient, twofold: Twofold) -> None:
        self.client = client
        self.store = twofold.store

    async def upload(self, *texts: str, first: int = 0, wait: int = 60) -> list[dict[str, Any]]:
        """A document for each text, by number."""
        documents = [{"id": f"d{number}", "text": text} for number, text in enumerate(texts, first)]
        body = {"collection": "docs", "documents": documents}
        answer = await self.client.post(f"/documents?wait={wait}", json=body)
        assert answer.status_code == 202, answer.text
        found: list[dict[str, Any]] = answer.json()["documents"]
        return found

    async def row(self, document_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/documents/{document_id}?collection=docs")
        found: dict[str, Any] = answer.json()
        return found

    async def ask(self, query: str, **options: object) -> dict[str, Any]:
        body = {"collection": "docs", "query": query, "explain": True, **options}
        answer = await self.client.post("/search", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def found(self, query: str, **options: object) -> set[str]:
        """Ids of the documents that hold all words of the query."""
        answer = await self.ask(query, limit=200, **options)
        words = query.split()
        return {
            each["document_id"]
            for each in answer["results"]
            if all(word in each["text"] for word in words)
        }

    async def rebuild(self, status: int = 202, **wanted: object) -> dict[str, Any]:
        answer = await self.client.post("/collections/docs/rebuild", json=wanted)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def describe(self) -> dict[str, Any]:
        answer = await self.client.get("/collections/docs")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def until(self, *states: str) -> dict[str, Any]:
        """The collection, once its rebuild is in one of the states."""
        async with asyncio.timeout(PATIENCE_S):
            while (now := await self.describe())["rebuild"]["state"] not in states:
                await asyncio.sleep(0.02)
        return now

    async def until_alone(self) -> None:
        """Until the former generation is gone."""
        async with asyncio.timeout(PATIENCE_S):
            while len(await self.store.generations("local", "docs")) > 1:
                await asyncio.sleep(0.02)


async def test_a_collection_moves_to_another_model(tmp_path: Path) -> None:
    async with site(tmp_path) as docs:
        await docs.upload("rye bread", "wheat bread", "oat porridge")
        before = await docs.ask("bread")
        assert before["method"]["embedder"] == "words-64"
        begun = await docs.rebuild(embedder="words-96")
        assert begun["embedder"] == "words-64"
        assert begun["rebuild"]["embedder"] == "words-96"
        done = await docs.until("done")
        assert (done["embedder"], done["dimensions"]) == ("words-96", 96)
        assert (done["rebuild"]["total"], done["rebuild"]["done"]) == (3, 3)
        assert done["documents"] == {"ready": 3}
        after = await docs.ask("bread")
        assert after["method"]["embedder"] == "words-96"
        assert await docs.found("bread") == {"d0", "d1"}
        await docs.until_alone()
        assert await docs.found("porridge") == {"d2"}
        content = await docs.client.get("/documents/d2/content?collection=docs")
        assert content.json()["text"] == "oat porridge"


async def test_language_and_chunk_size_change_and_the_instructions_stay(tmp_path: Path) -> None:
    async with site(tmp_path) as docs:
        made = await docs.client.post(
            "/collections", json={"name": "docs", "query_instruction": "find bread"}
        )
        assert made.status_code == 201, made.text
        assert (made.json()["language"], made.json()["chunk_tokens"]) == ("english", 200)
        await docs.upload(" ".join(f"Wort{number} steht hier." for number in range(60)))
        short = (await docs.describe())["passages"]
        await docs.rebuild(language="german", chunk_tokens=20)
        done = await docs.until("done")
        assert (done["language"], done["chunk_tokens"]) == ("german", 20)
        assert done["query_instruction"] == "find bread"
        assert done["passages"] > 3 * short
        # A stemmer of English leaves the plural alone.
        await docs.upload("Zwei Häuser", first=7)
        assert await docs.found("Häuser", recall={"mode": "sparse"}) == {"d7"}
        answer = await docs.ask("Haus", recall={"mode": "sparse"})
        assert [each["document_id"] for each in answer["results"]] == ["d7"]


async def test_vectors_become_shorter_where_the_model_was_trained_for_it(tmp_path: Path) -> None:
    async with site(tmp_path) as docs:
        await docs.upload("rye bread", "oat porridge")
        message = (await docs.rebuild(422, dimensions=32))["error"]["message"]
        assert "words-64" in message
        await docs.rebuild(embedder="words-96", dimensions=32)
        done = await docs.until("done")
        assert (done["embedder"], done["dimensions"]) == ("words-96", 32)
        answer = await docs.ask("porridge", recall={"mode": "dense"}, limit=1)
        assert answer["results"][0]["document_id"] == "d1"


async def test_while_it_is_rebuilt_nothing_is_lost_and_no_search_sees_a_gap(tmp_path: Path) -> None:
    slow = OtherEmbedder()
    slow.pause_s = 0.02
    chosen = Models(WordEmbedder(), OverlapModel(), (slow,))
    async with running(tmp_path, models=chosen) as (client, twofold):
        docs = Site(client, twofold)
        steady = {f"d{number}" for number in range(40)}
        await docs.upload(*[f"bread number{number}" for number in range(40)])
        await docs.rebuild(embedder="words-96")
        over = asyncio.Event()
        embedders: list[str] = []

        async def search() -> None:
            while not over.is_set():
                # A search that waits for nothing would keep the loop that is the server's as well.
                await asyncio.sleep(0.02)
                answer = await docs.ask("bread", limit=200)
                embedders.append(answer["method"]["embedder"])
                there = {each["document_id"] for each in answer["results"]}
                assert there >= steady, embedders[-1]

        async def change() -> None:
            number = 100
            while not over.is_set():
                await asyncio.sleep(0.05)
                await docs.upload(f"new{number} bread", first=number)
                assert await docs.found(f"new{number}") == {f"d{number}"}
                await docs.upload(f"other{number} bread", first=number)
                assert await docs.found(f"other{number}") == {f"d{number}"}
                assert await docs.found(f"new{number}") == set()
                if number % 2:
                    gone = await client.delete(f"/documents/d{number}?collection=docs")
                    assert gone.status_code == 200
                    assert await docs.found(f"other{number}") == set()
                number += 1
            kept = {f"d{each}" for each in range(100, number) if each % 2 == 0}
            rows = await twofold.store.list_documents("local", "docs", limit=1_000)
            assert {row.id for row in rows.documents} == steady | kept
            assert {row.status for row in rows.documents} == {"ready"}

        async with asyncio.TaskGroup() as group:
            group.create_task(search())
            group.create_task(change())
            await docs.until("done")
            await docs.until_alone()
            over.set()
        assert set(embedders) == {"words-64", "words-96"}
        # One switch: once the new one has answered, the old one never does again.
        assert embedders == sorted(embedders, key=lambda name: name == "words-96")


async def test_what_the_switch_overtakes_is_seen_waited_for_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is carried over, an upload is on the ledger of the former generation alone."""
    working, collecting = asyncio.Event(), asyncio.Event()
    working.set()
    monkeypatch.setattr(Ingest, "_parse", after(working, Ingest._parse))
    monkeypatch.setattr(CatchUp, "collect", after(collecting, CatchUp.collect))
    async with site(tmp_path) as docs:
        await docs.upload("rye bread", "barley bread", "oat bread")
        await docs.rebuild(embedder="words-96", switch="manual")
        await docs.until("waiting")
        working.clear()
        waiting = asyncio.create_task(docs.upload("wheat bread", "spelt bread", first=2))
        await docs.upload("millet bread", first=1, wait=0)
        await docs.upload("maize bread", first=7, wait=0)
        async with asyncio.timeout(PATIENCE_S):
            while "status" not in await docs.row("d3"):
                await asyncio.sleep(0.02)
        switched = await docs.client.post("/collections/docs/rebuild/switch")
        assert switched.json()["embedder"] == "words-96"
        # Both ledgers have a row of d2; d3 is on the former one alone.
        rows = [await docs.row(each) for each in ("d1", "d2", "d3")]
        assert [each["version"] for each in rows] == [2, 2, 1]
        assert "ready" not in {each["status"] for each in rows}
        [same] = await docs.upload("spelt bread", first=3, wait=0)
        assert same["verdict"] == "unchanged"
        [later] = await docs.upload("sorghum bread", first=1, wait=0)
        assert (later["verdict"], later["version"]) == ("updated", 3)
        gone = await docs.client.delete("/documents/d7?collection=docs")
        assert gone.status_code == 200, gone.text
        assert (await docs.client.get("/documents/d7?collection=docs")).status_code == 404
        await asyncio.sleep(0.3)
        assert not waiting.done()
        working.set()
        assert [each["status"] for each in await waiting] == ["ready", "ready"]
        assert await docs.found("wheat") == {"d2"}
        assert await docs.found("spelt") == {"d3"}
        collecting.set()
        await docs.until("done")
        await docs.until_alone()
        async with asyncio.timeout(PATIENCE_S):
            while await docs.found("sorghum") != {"d1"}:
                await asyncio.sleep(0.02)
        assert await docs.found("bread") == {"d0", "d1", "d2", "d3"}
        assert (await docs.row("d1"))["live_version"] == 3


def after(opened: asyncio.Event, method: Callable[..., Awaitable[Any]]) -> Any:
    """The method, once the gate is open."""

    async def gated(*args: Any) -> Any:
        await opened.wait()
        return await method(*args)

    return gated


async def test_a_rebuild_that_is_cancelled_leaves_no_trace(tmp_path: Path) -> None:
    async with site(tmp_path) as docs:
        await docs.upload("rye bread")
        await docs.rebuild(embedder="words-96", switch="manual", queries=[{"query": "rye"}])
        other = await docs.client.post("/collections/docs/rebuild", json={"language": "german"})
        assert other.status_code == 409
        assert other.json()["error"]["code"] == "rebuild_under_way"
        await docs.until("waiting")
        answer = await docs.client.delete("/collections/docs/rebuild")
        assert answer.status_code == 200
        assert answer.json()["rebuild"] is None
        assert (await docs.client.delete("/collections/docs/rebuild")).status_code == 404
        await docs.until_alone()
        assert (await docs.ask("rye"))["method"]["embedder"] == "words-64"
        assert await docs.found("rye") == {"d0"}


async def test_both_are_compared_and_the_switch_waits_for_somebody(tmp_path: Path) -> None:
    async with site(tmp_path) as docs:
        await docs.upload("rye bread", "wheat bread", "oat porridge")
        queries = [{"query": "rye bread", "relevant": ["d0"]}, {"query": "porridge"}]
        early = await docs.client.post("/collections/docs/rebuild/switch")
        assert early.status_code == 404
        await docs.rebuild(embedder="words-96", switch="manual", queries=queries)
        waiting = await docs.until("waiting")
        compared = waiting["rebuild"]["comparison"]
        assert (compared["queries"], compared["judged"]) == (2, 1)
        assert compared["old"] == compared["new"] == {"ndcg_10": 1.0}
        assert 0 < compared["overlap_10"] <= 1
        assert waiting["embedder"] == "words-64"
        # What comes while it waits is brought along.
        await docs.upload("late bread", first=9)
        switched = await docs.client.post("/collections/docs/rebuild/switch")
        assert switched.status_code == 200, switched.text
        assert switched.json()["embedder"] == "words-96"
        assert await docs.found("late") == {"d9"}
        done = await docs.until("done")
        assert done["rebuild"]["comparison"] == compared


async def test_documents_that_fail_anew_hold_the_switch_up_and_those_that_failed_do_not(
    tmp_path: Path,
) -> None:
    picky = OtherEmbedder()
    chosen = Models(WordEmbedder(), OverlapModel(), (picky,))
    async with running(tmp_path, models=chosen, ingest_attempts=1) as (client, twofold):
        docs = Site(client, twofold)
        await docs.upload("rye bread", "poison bread")
        broken = {"files": ("broken.pdf", b"%PDF-1.7 nothing", "application/pdf")}
        failed = await client.post("/documents?wait=30", files=broken, data={"collection": "docs"})
        assert failed.json()["documents"][0]["status"] == "failed"
        await docs.rebuild(embedder="words-96")
        waiting = await docs.until("waiting")
        assert waiting["embedder"] == "words-64"
        assert waiting["rebuild"]["failed"] == 1
        [failure] = waiting["rebuild"]["failures"]
        assert (failure["id"], failure["error"]["code"]) == ("d1", "internal")
        assert "failed" in waiting["rebuild"]["reason"]
        picky.poison = ""
        await docs.rebuild(embedder="words-96")
        done = await docs.until("done")
        assert done["documents"] == {"ready": 2, "failed": 1}
        assert await docs.found("poison") == {"d1"}


async def test_an_update_that_failed_does_not_take_the_searchable_version_away(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as docs:
        good = {"files": ("page.html", b"<p>rye bread</p>", "text/html")}
        await docs.client.post("/documents?wait=30", files=good, data={"collection": "docs"})
        bad = {"files": ("page.html", b"%PDF-1.7 nothing", "application/pdf")}
        failed = await docs.client.post(
            "/documents?wait=30", files=bad, data={"collection": "docs"}
        )
        [row] = failed.json()["documents"]
        assert (row["status"], row["version"], row["live_version"]) == ("failed", 2, 1)
        await docs.rebuild(embedder="words-96")
        done = await docs.until("done")
        assert done["documents"] == {"failed": 1}
        assert await docs.found("rye") == {row["id"]}
        await docs.until_alone()
        content = await docs.client.get(f"/documents/{row['id']}/content?collection=docs")
        assert content.json()["text"] == "rye bread"


async def test_a_process_that_ends_in_mid_rebuild_goes_on_with_it(tmp_path: Path) -> None:
    slow = OtherEmbedder()
    slow.pause_s = 0.05
    texts = [f"bread number{number}" for number in range(40)]
    async with running(tmp_path, models=Models(WordEmbedder(), OverlapModel(), (slow,))) as (
        client,
        twofold,
    ):
        docs = Site(client, twofold)
        await docs.upload(*texts)
        await docs.rebuild(embedder="words-96")
        async with asyncio.timeout(PATIENCE_S):
            while not 0 < (await docs.describe())["rebuild"]["done"] < 40:
                await asyncio.sleep(0.01)
    async with site(tmp_path) as docs:
        assert await docs.found("bread") >= {"d0", "d39"}
        done = await docs.until("done")
        assert done["embedder"] == "words-96"
        assert await docs.found("bread") == {f"d{number}" for number in range(40)}


async def test_a_collection_that_is_deleted_is_gone_with_rebuild_and_files(tmp_path: Path) -> None:
    async with site(tmp_path) as docs:
        await docs.upload("rye bread", "oat porridge")
        await docs.rebuild(embedder="words-96", switch="manual")
        gone = await docs.client.delete("/collections/docs")
        assert gone.status_code == 200, gone.text
        assert gone.json()["documents"] == {"ready": 2}
        for method, path in (
            ("GET", "/collections/docs"),
            ("DELETE", "/collections/docs"),
            ("GET", "/documents?collection=docs"),
            ("GET", "/search?q=rye&collection=docs"),
        ):
            assert (await docs.client.request(method, path)).status_code == 404, path
        assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []
        await docs.upload("wheat bread", first=5)
        assert await docs.found("bread") == {"d5"}
        listed = (await docs.client.get("/collections")).json()["collections"]
        assert [(each["name"], each["rebuild"]) for each in listed] == [("docs", None)]
