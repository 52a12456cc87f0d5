"""What a search can be asked for beside the best passages."""

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

BOOK = "\n\n".join(
    f"# Chapter {number}\n\nThe dough of chapter {number} rests while oven {number} gets hot. "
    + " ".join(f"word{number}x{each}" for each in range(120))
    for number in range(8)
)
NOTES = {
    "rye": "Rye dough is sticky and ferments fast in a warm kitchen.",
    "rye again": "Rye dough is sticky and ferments fast in a warm kitchen!",
    "wheat": "Wheat dough is elastic and holds its shape in the oven.",
    "salt": "Salt tightens the dough and slows the yeast.",
}


@pytest.fixture
def model() -> OverlapModel:
    return OverlapModel()


@pytest.fixture
async def client(tmp_path: Path, model: OverlapModel) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path, models=Models(WordEmbedder(), model)) as (client, _):
        book = {"id": "book", "text": BOOK, "media_type": "text/markdown"}
        notes = [
            {"id": key, "text": text, "metadata": {"topic": f"bread/{key}"}}
            for key, text in NOTES.items()
        ]
        added = await client.post("/documents?wait=30", json={"documents": [book, *notes]})
        assert {each["status"] for each in added.json()["documents"]} == {"ready"}
        yield client
        model.gate.set()


async def search(client: httpx.AsyncClient, query: str, **options: Any) -> dict[str, Any]:
    response = await client.post("/search", json={"query": query, **options})
    assert response.status_code == 200, response.text
    return response.json()


def ids(answer: dict[str, Any]) -> list[str]:
    return [each["chunk_id"] for each in answer["results"]]


async def test_pages_by_cursor_are_one_ranking_and_cost_no_model(
    client: httpx.AsyncClient, model: OverlapModel
) -> None:
    whole = await search(client, "dough oven", limit=50)
    page = await search(client, "dough oven", limit=3, pages=True)
    asked = len(model.batches)
    pages = [page]
    while page["cursor"]:
        page = await search(client, "dough oven", limit=3, cursor=page["cursor"])
        pages.append(page)
    assert [each for page in pages for each in ids(page)] == ids(whole)
    ranks = [each["rank"] for page in pages for each in page["results"]]
    assert ranks == list(range(1, len(whole["results"]) + 1))
    assert {page["rerank"]["status"] for page in pages} == {"applied"}
    assert len(model.batches) == asked
    assert all(page["timings_ms"]["embed"] == 0 for page in pages[1:])


async def test_a_later_page_is_as_it_was_ranked_and_without_what_was_deleted(
    client: httpx.AsyncClient,
) -> None:
    first = await search(client, "dough oven", limit=2, pages=True)
    whole = await search(client, "dough oven", limit=50)
    later = whole["results"][2:]
    gone = next(each["document_id"] for each in later if each["document_id"] != "book")
    assert (await client.delete(f"/documents/{gone}")).status_code == 200
    new = {"documents": [{"id": "new", "text": "dough oven dough oven"}]}
    assert (await client.post("/documents?wait=30", json=new)).status_code == 202
    rest = await search(client, "dough oven", limit=50, cursor=first["cursor"])
    expected = [(each["rank"], each["chunk_id"]) for each in later if each["document_id"] != gone]
    assert [(each["rank"], each["chunk_id"]) for each in rest["results"]] == expected


async def test_who_does_not_ask_for_pages_gets_no_cursor(client: httpx.AsyncClient) -> None:
    assert (await search(client, "dough", limit=1))["cursor"] is None
    assert (await search(client, "dough", limit=200, pages=True))["cursor"] is None


@pytest.mark.parametrize("cursor", ["nonsense", "a.b", "name.-1", ".5", "name.²"])
async def test_a_cursor_that_none_gave_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    response = await client.post("/search", json={"query": "dough", "cursor": cursor})
    assert response.status_code == 422
    assert "search again without" in response.json()["error"]["message"]


async def test_a_cursor_that_is_not_kept_any_more_says_what_to_do(
    client: httpx.AsyncClient,
) -> None:
    body = {"query": "dough", "cursor": f"{'n' * 22}.5"}
    response = await client.post("/search", json=body)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "cursor_expired"


async def test_a_cursor_is_good_for_its_own_request_alone(client: httpx.AsyncClient) -> None:
    first = await search(client, "dough oven", limit=2, pages=True)
    for other in ({"query": "salt"}, {"query": "dough oven", "recall": {"mode": "dense"}}):
        body = {**other, "cursor": first["cursor"]}
        response = await client.post("/search", json=body)
        assert response.status_code == 422, other
        assert "another request" in response.json()["error"]["message"]


async def test_a_document_counts_once_when_grouped(client: httpx.AsyncClient) -> None:
    flat = await search(client, "dough oven", limit=50)
    grouped = await search(client, "dough oven", limit=50, group_by_document=3)
    documents = [each["document_id"] for each in grouped["results"]]
    assert documents == list(dict.fromkeys(each["document_id"] for each in flat["results"]))
    book = grouped["results"][documents.index("book")]
    best = [each["chunk_id"] for each in flat["results"] if each["document_id"] == "book"]
    assert [book["chunk_id"], *(each["chunk_id"] for each in book["more"])] == best[:3]


async def test_pages_of_documents_hold_their_passages(client: httpx.AsyncClient) -> None:
    options = {"group_by_document": 2, "limit": 1}
    page = await search(client, "dough oven", **options, pages=True)
    seen = list(page["results"])
    while page["cursor"]:
        page = await search(client, "dough oven", **options, cursor=page["cursor"])
        seen += page["results"]
    whole = await search(client, "dough oven", group_by_document=2, limit=50)
    assert seen == whole["results"]


async def test_context_brings_the_neighbours_in_reading_order(client: httpx.AsyncClient) -> None:
    passages = (await client.get("/documents/book/chunks")).json()["chunks"]
    assert len(passages) > 5
    found = await search(client, "oven 4 gets hot chapter 4", context=2, limit=50)
    for result in (each for each in found["results"] if each["document_id"] == "book"):
        place = next(n for n, each in enumerate(passages) if each["chunk_id"] == result["chunk_id"])
        assert result["before"] == passages[max(0, place - 2) : place]
        assert result["after"] == passages[place + 1 : place + 3]


async def test_highlights_count_in_the_text_of_the_document(client: httpx.AsyncClient) -> None:
    found = await search(client, "what rests in ovens", highlight=True, limit=50)
    shown = [each for each in found["results"] if each["document_id"] == "book"]
    text = (await client.get("/documents/book/content")).json()["text"]
    words = {text[span["start"] : span["end"]] for each in shown for span in each["highlights"]}
    assert words == {"rests", "oven"}
    plain = await search(client, "what rests in ovens", limit=50)
    assert all(each["highlights"] == [] for each in plain["results"])


async def test_diversity_lets_a_copy_come_later(client: httpx.AsyncClient) -> None:
    query = "rye dough ferments fast"
    plain = await search(client, query, limit=50)
    assert {each["document_id"] for each in plain["results"][:2]} == {"rye", "rye again"}
    spread = await search(client, query, limit=50, diversity=0.7)
    assert {each["document_id"] for each in spread["results"][:2]} != {"rye", "rye again"}
    assert sorted(ids(spread)) == sorted(ids(plain))


async def test_an_explanation_agrees_with_the_scores(client: httpx.AsyncClient) -> None:
    found = await search(client, "rye dough", explain=True, limit=50)
    results = found["results"]
    for name in ("dense", "sparse", "rerank"):
        scored = [each for each in results if each["scores"][name] is not None]
        by_rank = sorted(scored, key=lambda each: each["explanation"][f"{name}_rank"])
        scores = [each["scores"][name] for each in by_rank]
        assert scores == sorted(scores, reverse=True)
    for each in results:
        why = each["explanation"]
        assert (why["recall_rank"], why["fused_rank"]) == (each["recall_rank"], each["rank"])
        assert why["moved"] == each["recall_rank"] - each["rank"]
    method = found["method"]
    assert method["embedder"] == "words-64"
    assert method["recall"].startswith("(a * min_max(dense) + b * min_max(bm25)) / (a + b), a = ")
    assert method["fusion"] == "0.5 * rerank + 0.5 * recall"
    assert (await search(client, "rye dough"))["method"] is None


async def test_the_formula_in_the_explanation_gives_the_score(client: httpx.AsyncClient) -> None:
    found = await search(client, "rye dough", explain=True, fusion={"weight": 0.25})
    assert found["method"]["fusion"] == "0.25 * rerank + 0.75 * recall"
    for each in found["results"]:
        scores = each["scores"]
        expected = 0.25 * scores["rerank"] + 0.75 * scores["recall"]
        assert each["score"] == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("fusion", ["weighted", "rrf", "dbsf"])
async def test_the_first_stage_fuses_as_it_is_told(client: httpx.AsyncClient, fusion: str) -> None:
    found = await search(
        client, "rye dough", recall={"fusion": fusion}, rerank={"enabled": False}, explain=True
    )
    assert found["results"][0]["document_id"] in {"rye", "rye again"}
    marks = {"weighted": "contrast", "rrf": "rank_dense", "dbsf": "by_distribution"}
    assert marks[fusion] in found["method"]["recall"]


async def test_the_same_question_again_is_answered_from_memory_and_says_so(
    client: httpx.AsyncClient, model: OverlapModel
) -> None:
    first = await search(client, "salt and yeast", explain=True)
    asked = len(model.batches)
    second = await search(client, "salt and yeast", explain=True)
    assert len(model.batches) == asked
    assert (first["rerank"]["cached"], first["method"]["query_cached"]) == (0, False)
    assert second["rerank"]["cached"] == second["rerank"]["scored"]
    assert second["method"]["query_cached"] is True
    assert second["results"] == first["results"]


async def test_prefix_finds_what_begins_with_it(client: httpx.AsyncClient) -> None:
    begins = {"key": "topic", "prefix": "bread/rye"}
    found = await search(client, "dough", filter=begins)
    assert {each["document_id"] for each in found["results"]} == {"rye", "rye again"}


async def test_searches_of_a_batch_answer_in_order_and_fail_alone(
    client: httpx.AsyncClient,
) -> None:
    searches = [
        {"query": "salt slows yeast", "limit": 1},
        {"query": "anything", "collection": "nowhere"},
        {"query": "wheat holds its shape", "limit": 1},
    ]
    response = await client.post("/search/batch", json={"searches": searches})
    assert response.status_code == 200
    first, second, third = response.json()["answers"]
    assert first["response"]["results"][0]["document_id"] == "salt"
    assert second["response"] is None
    assert second["error"]["code"] == "collection_not_found"
    assert third["response"]["results"][0]["document_id"] == "wheat"


@pytest.mark.parametrize("searches", [[], [{"query": "q"}] * 33, [{"query": ""}]])
async def test_a_batch_that_is_empty_too_long_or_wrong_is_refused(
    client: httpx.AsyncClient, searches: list[dict[str, str]]
) -> None:
    response = await client.post("/search/batch", json={"searches": searches})
    assert response.status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"group_by_document": 0},
        {"group_by_document": 21},
        {"diversity": 1.1},
        {"context": 6},
        {"cursor": "a.1", "offset": 1},
        {"fusion": {"method": "magic"}},
        {"filter": {"key": "topic", "prefix": ""}},
    ],
)
async def test_an_option_out_of_bounds_is_refused(
    client: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    response = await client.post("/search", json={"query": "dough", **wrong})
    assert response.status_code == 422


async def test_vectors_that_cannot_be_tried_are_refused_with_a_reason(
    client: httpx.AsyncClient,
) -> None:
    for recall, said in (
        ({"dimensions": 32}, "vectors of words-64 have 64 and no other"),
        ({"dimensions": 65}, "vectors of 'default' have 64; only fewer can be tried"),
        ({"dimensions": 64, "mode": "sparse"}, "'sparse' has none"),
        ({"quantization": "int8", "mode": "sparse"}, "'sparse' has none"),
    ):
        refused = await client.post("/search", json={"query": "rye", "recall": recall})
        assert refused.status_code == 422, refused.text
        assert said in refused.json()["error"]["message"]


async def test_copies_of_a_byte_give_the_order_of_whole_vectors_also_where_results_spread(
    client: httpx.AsyncClient,
) -> None:
    for options in ({}, {"diversity": 0.5}, {"group_by_document": 1}):
        whole = await search(client, "sticky rye dough", **options)
        tried = await search(
            client, "sticky rye dough", recall={"quantization": "int8", "dimensions": 64}, **options
        )
        assert ids(tried) == ids(whole)
