"""What a search answers, and how honest it is about its second stage."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.build import Models
from tests.support.models import WordEmbedder
from tests.support.reranking import OverlapModel
from tests.support.service import running

pytestmark = pytest.mark.anyio

TEXTS = {
    "rye": "Rye dough is sticky and ferments fast in a warm kitchen.",
    "wheat": "Wheat dough is elastic and holds its shape in the oven.",
    "spelt": "Spelt dough tears when it is kneaded for long.",
    "oven": "A stone in the oven gives the loaf a crisp base.",
    "salt": "Salt tightens the dough and slows the yeast.",
}


@pytest.fixture
def model() -> OverlapModel:
    return OverlapModel()


@pytest.fixture
async def client(tmp_path: Path, model: OverlapModel) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path, models=Models(WordEmbedder(), model)) as (client, _):
        texts = [
            {"id": key, "text": text, "metadata": {"letters": len(key)}}
            for key, text in TEXTS.items()
        ]
        added = await client.post("/documents?wait=30", json={"documents": texts})
        assert {each["status"] for each in added.json()["documents"]} == {"ready"}
        yield client
        model.gate.set()


async def search(client: httpx.AsyncClient, query: str, **options: Any) -> dict[str, Any]:
    response = await client.post("/search", json={"query": query, **options})
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_result_names_its_source_and_both_stages(client: httpx.AsyncClient) -> None:
    found = await search(client, "rye dough ferments fast")
    best = found["results"][0]
    assert best["document_id"] == "rye"
    assert best["text"] == TEXTS["rye"][best["start"] : best["end"]]
    assert best["scores"]["dense"] > 0
    assert best["scores"]["sparse"] > 0
    assert best["scores"]["rerank"] == 0.75
    assert found["rerank"]["status"] == "applied"
    assert found["rerank"]["scored"] == found["rerank"]["depth"] == len(TEXTS)
    assert found["rerank"]["model"] == "overlap"


async def test_the_steps_add_up_to_the_total(client: httpx.AsyncClient) -> None:
    timings = (await search(client, "rye"))["timings_ms"]
    total = timings.pop("total")
    assert set(timings) == {"embed", "recall", "queue", "rerank", "fuse"}
    assert 0 < sum(timings.values()) <= total


async def test_scores_fall_with_rank_and_ranks_count_from_one(client: httpx.AsyncClient) -> None:
    results = (await search(client, "dough in the oven", rerank={"depth": 2}))["results"]
    scores = [each["score"] for each in results]
    assert scores == sorted(scores, reverse=True)
    assert [each["rank"] for each in results] == list(range(1, len(results) + 1))
    assert sum(each["scores"]["rerank"] is not None for each in results) == 2


async def test_both_ways_of_asking_give_the_same_answer(client: httpx.AsyncClient) -> None:
    posted = await search(client, "warm kitchen", limit=3)
    got = (await client.get("/search", params={"q": "warm kitchen", "limit": 3})).json()
    assert got["results"] == posted["results"]


async def test_pages_continue_without_gap_or_repeat(client: httpx.AsyncClient) -> None:
    whole = (await search(client, "dough"))["results"]
    pages = [(await search(client, "dough", limit=2, offset=n))["results"] for n in (0, 2, 4)]
    assert [each for page in pages for each in page] == whole


@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
async def test_each_mode_shows_only_its_own_scores(client: httpx.AsyncClient, mode: str) -> None:
    [best, *_] = (await search(client, "salt slows yeast", recall={"mode": mode}))["results"]
    assert best["document_id"] == "salt"
    assert (best["scores"]["dense"] is None) == (mode == "sparse")
    assert (best["scores"]["sparse"] is None) == (mode == "dense")


async def test_filters_hold_for_both_lists(client: httpx.AsyncClient) -> None:
    condition = {"key": "letters", "gte": 5}
    found = await search(client, "dough in the oven", filter=condition)
    assert {each["document_id"] for each in found["results"]} <= {"wheat", "spelt"}
    assert found["results"]
    opposite = await search(client, "dough in the oven", filter={"not": condition})
    assert {each["document_id"] for each in opposite["results"]} <= {"rye", "oven", "salt"}


async def test_min_score_cuts_the_tail(client: httpx.AsyncClient) -> None:
    whole = (await search(client, "rye dough"))["results"]
    least = whole[1]["score"]
    cut = (await search(client, "rye dough", min_score=least))["results"]
    assert cut == [each for each in whole if each["score"] >= least]


async def test_the_second_stage_can_be_switched_off(client: httpx.AsyncClient) -> None:
    found = await search(client, "rye dough", rerank={"enabled": False})
    assert found["rerank"]["status"] == "disabled"
    assert [each["recall_rank"] for each in found["results"]] == [
        each["rank"] for each in found["results"]
    ]


async def test_a_reranker_that_hangs_costs_the_deadline_and_not_the_answer(
    client: httpx.AsyncClient, model: OverlapModel
) -> None:
    model.gate.clear()
    found = await search(client, "rye dough", deadline_ms=300)
    assert found["rerank"]["status"] in {"timeout", "overloaded"}
    assert found["rerank"]["reason"]
    assert found["results"][0]["document_id"] == "rye"


async def test_a_reranker_that_fails_is_named_and_costs_nothing(
    client: httpx.AsyncClient,
) -> None:
    await client.post(
        "/documents?wait=30", json={"documents": [{"id": "bad", "text": "poison dough"}]}
    )
    found = await search(client, "poison dough")
    assert found["rerank"]["status"] == "error"
    assert found["results"][0]["document_id"] == "bad"


async def test_who_requires_the_second_stage_gets_an_error_instead(
    client: httpx.AsyncClient, model: OverlapModel
) -> None:
    model.gate.clear()
    body = {"query": "rye dough", "deadline_ms": 300, "rerank": {"required": True}}
    response = await client.post("/search", json=body)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "rerank_required"


async def test_without_a_reranker_the_recall_order_says_so(tmp_path: Path) -> None:
    async with running(tmp_path / "none", models=Models(WordEmbedder(), None)) as (client, _):
        await client.post("/documents?wait=30", json={"documents": [{"id": "a", "text": "rye"}]})
        found = await search(client, "rye")
        assert found["rerank"]["status"] == "disabled"
        assert found["rerank"]["model"] is None
        assert found["results"][0]["document_id"] == "a"


async def test_a_first_stage_that_hangs_is_a_504_by_the_deadline(tmp_path: Path) -> None:
    gate = threading.Event()

    class Stuck(WordEmbedder):
        def embed_queries(self, texts: Any, *, instruction: str | None = None) -> Any:
            gate.wait(20)
            return super().embed_queries(texts)

    async with running(tmp_path / "stuck", models=Models(Stuck(), None)) as (client, _):
        await client.post("/documents?wait=30", json={"documents": [{"id": "a", "text": "rye"}]})
        response = await client.post("/search", json={"query": "rye", "deadline_ms": 200})
        gate.set()
        assert response.status_code == 504
        assert response.json()["error"]["code"] == "deadline_exceeded"


async def test_a_collection_of_another_model_is_refused_with_both_names(tmp_path: Path) -> None:
    class Other(WordEmbedder):
        name = "other-64"

    folder = tmp_path / "kept"
    async with running(folder) as (client, _):
        await client.post("/documents?wait=30", json={"documents": [{"id": "a", "text": "rye"}]})
    async with running(folder, models=Models(Other(), None)) as (client, _):
        for response in (
            await client.post("/search", json={"query": "rye"}),
            await client.post("/documents", json={"documents": [{"id": "b", "text": "oat"}]}),
        ):
            assert response.status_code == 409
            message = response.json()["error"]["message"]
            assert "words-64" in message
            assert "other-64" in message


async def test_readiness_names_the_models_and_counts_documents(client: httpx.AsyncClient) -> None:
    ready = (await client.get("/readyz")).json()
    assert ready["ready"] is True
    assert (ready["embedder"], ready["reranker"]) == ("words-64", "overlap")
    assert ready["store"] == "embedded"
    assert ready["documents"] == {"ready": len(TEXTS)}


async def test_the_same_question_twice_has_the_same_answer(client: httpx.AsyncClient) -> None:
    assert (await search(client, "dough"))["results"] == (await search(client, "dough"))["results"]
