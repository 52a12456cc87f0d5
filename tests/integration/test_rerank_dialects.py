"""The reranker in the formats of Cohere, Jina, vLLM and TEI: theirs in shape, ours in honesty."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from pipelines.build import Models
from tests.support.keys import make_key
from tests.support.lent import KnownEmbedder, KnownReranker, known_models, post, refused
from tests.support.models import WordEmbedder
from tests.support.reranking import POISON
from tests.support.service import running

pytestmark = pytest.mark.anyio

QUERY = "hot oven"
DOCUMENTS = ["rye is a cereal", "the hot oven bakes", "an oven"]
ORDER = [1, 2, 0]
LONG = "oven " * 300


@pytest.fixture(scope="module")
async def client(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path_factory.mktemp("client"), models=known_models()) as (client, _):
        yield client


@pytest.fixture
def model() -> KnownReranker:
    return KnownReranker()


@pytest.fixture
async def fresh(tmp_path: Path, model: KnownReranker) -> AsyncIterator[httpx.AsyncClient]:
    """Over a model that a test looks into, and that has scored nothing yet."""
    async with running(tmp_path, models=Models(KnownEmbedder(), model)) as (client, _):
        yield client


# --- Shapes and orders ----------------------------------------------------------------------


async def test_cohere(client: httpx.AsyncClient) -> None:
    found = await post(client, "/v2/rerank", model="rerank-v3.5", query=QUERY, documents=DOCUMENTS)
    assert found["results"] == [
        {"index": 1, "relevance_score": 1.0},
        {"index": 2, "relevance_score": 0.5},
        {"index": 0, "relevance_score": 0.0},
    ]
    assert found["meta"] == {
        "api_version": {"version": "2"},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": 2 + 4 + 4 + 2, "output_tokens": 0},
    }
    assert found["id"]


@pytest.mark.parametrize(
    "path", ["/v1/rerank", "/rerank", "/engines/rerank", "/engines/vllm/rerank", "/reranker/rerank"]
)
async def test_jina_and_vllm(client: httpx.AsyncClient, path: str) -> None:
    documents = [DOCUMENTS[0], {"text": DOCUMENTS[1]}, DOCUMENTS[2]]
    found = await post(client, path, model="any", query=QUERY, documents=documents)
    assert [each["index"] for each in found["results"]] == ORDER
    assert found["results"][0] == {
        "index": 1,
        "relevance_score": 1.0,
        "document": {"text": DOCUMENTS[1]},
        "truncated": False,
    }
    assert found["model"] == "overlap"
    assert found["usage"] == {
        "prompt_tokens": 12,
        "total_tokens": 12,
        "counted_by": "the tokenizer of overlap",
    }


async def test_tei(client: httpx.AsyncClient) -> None:
    found = await post(client, "/rerank", query=QUERY, texts=DOCUMENTS)
    assert found == [
        {"index": 1, "score": 1.0},
        {"index": 2, "score": 0.5},
        {"index": 0, "score": 0.0},
    ]


@pytest.mark.parametrize(
    "sides", [("text_1", "text_2"), ("queries", "documents"), ("data_1", "data_2")]
)
@pytest.mark.parametrize("path", ["/v1/score", "/score"])
async def test_scores_of_pairs(
    client: httpx.AsyncClient, path: str, sides: tuple[str, str]
) -> None:
    one_to_many = await post(client, path, **dict(zip(sides, (QUERY, DOCUMENTS), strict=True)))
    assert [(each["index"], each["score"]) for each in one_to_many["data"]] == [
        (0, 0.0),
        (1, 1.0),
        (2, 0.5),
    ]
    assert one_to_many["object"] == "list"
    assert {each["object"] for each in one_to_many["data"]} == {"score"}
    pairs = (["rye", QUERY, "rye"], [DOCUMENTS[0], DOCUMENTS[2], DOCUMENTS[1]])
    many = await post(client, path, **dict(zip(sides, pairs, strict=True)))
    assert [each["score"] for each in many["data"]] == [1.0, 0.5, 0.0]
    single = await post(client, path, **dict(zip(sides, (QUERY, "hot"), strict=True)))
    assert [each["score"] for each in single["data"]] == [0.5]


async def test_unequal_sides_make_no_pairs(client: httpx.AsyncClient) -> None:
    body = {"text_1": ["a", "b"], "text_2": ["a", "b", "c"]}
    assert "make no pairs" in await refused(client, "/score", 422, **body)


async def test_equal_scores_keep_the_order_of_the_request(client: httpx.AsyncClient) -> None:
    found = await post(client, "/rerank", query=QUERY, texts=["rye", "oven", "salt", "oven"])
    assert [each["index"] for each in found] == [1, 3, 0, 2]


# --- Options --------------------------------------------------------------------------------


@pytest.mark.parametrize(("top_n", "length"), [(None, 3), (0, 3), (1, 1), (2, 2), (99, 3)])
@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
async def test_top_n(client: httpx.AsyncClient, path: str, top_n: int | None, length: int) -> None:
    found = await post(client, path, query=QUERY, documents=DOCUMENTS, top_n=top_n)
    assert [each["index"] for each in found["results"]] == ORDER[:length]


async def test_documents_come_back_unless_they_are_not_wanted(client: httpx.AsyncClient) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS, "return_documents": False}
    found = await post(client, "/v1/rerank", **body)
    assert all("document" not in each for each in found["results"])


async def test_an_instruction_reaches_the_model(
    fresh: httpx.AsyncClient, model: KnownReranker
) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS, "instruction": "Find the baker's note"}
    await post(fresh, "/v1/rerank", **body)
    assert {pairs.instruction for batch in model.batches for pairs in batch} == {
        "Find the baker's note"
    }


async def test_an_instruction_is_refused_where_the_model_takes_none(tmp_path: Path) -> None:
    async with running(tmp_path) as (client, _):
        body = {"query": QUERY, "documents": DOCUMENTS, "instruction": "x"}
        assert "overlap takes none" in await refused(client, "/v1/rerank", 422, **body)


async def test_tokens_of_a_document_are_bounded(
    fresh: httpx.AsyncClient, model: KnownReranker
) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS, "max_tokens_per_doc": 3}
    found = await post(fresh, "/v1/rerank", **body)
    assert set(model.seen) == {"rye is a", "the hot oven", "an oven"}
    assert {each["index"]: each["truncated"] for each in found["results"]} == {
        0: True,
        1: True,
        2: False,
    }
    assert found["usage"]["prompt_tokens"] == 2 + 3 + 3 + 2
    cohere = await post(fresh, "/v2/rerank", **body)
    assert cohere["meta"]["warnings"] == ["2 of 3 documents were read in part only"]


async def test_the_prompt_is_bounded_on_either_side(
    fresh: httpx.AsyncClient, model: KnownReranker
) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS[:2], "truncate_prompt_tokens": 4}
    await post(fresh, "/v1/rerank", **body, truncation_side="left")
    assert set(model.seen) == {"a cereal", "oven bakes"}
    await post(fresh, "/v1/rerank", **body | {"truncate_prompt_tokens": -1})
    assert set(DOCUMENTS[:2]) <= set(model.seen)
    tight = body | {"truncate_prompt_tokens": 2}
    assert "the query alone has 2" in await refused(fresh, "/v1/rerank", 422, **tight)


async def test_a_text_that_must_not_be_cut_is_refused(client: httpx.AsyncClient) -> None:
    texts = ["short", LONG]
    assert len(await post(client, "/rerank", query=QUERY, texts=texts)) == 2
    message = await refused(client, "/rerank", 413, query=QUERY, texts=texts, truncate=False)
    assert "text 1" in message
    whole = {"query": QUERY, "texts": ["short"], "truncate": False}
    assert len(await post(client, "/rerank", **whole)) == 1


async def test_tokens_are_estimated_and_called_so_where_no_tokenizer_is_known(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (client, _):
        found = await post(client, "/v1/rerank", query="abcd", documents=["abcdefgh"])
        assert found["usage"]["prompt_tokens"] == 3
        assert "estimate" in found["usage"]["counted_by"]
        assert "estimate" in found["meta"]["warnings"][0]


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/rerank", "rank_fields", ["title"]),
        ("/v1/rerank", "max_chunks_per_doc", 3),
        ("/v1/rerank", "priority", 5),
        ("/v1/rerank", "top_k", 3),
        ("/v1/rerank", "top_n", -1),
        ("/v1/rerank", "documents", []),
        ("/v1/rerank", "documents", ["x"] * 1001),
        ("/v1/rerank", "documents", [{"text": "a", "title": "b"}]),
        ("/v1/rerank", "query", ""),
        ("/v2/rerank", "return_documents", True),
        ("/v2/rerank", "priority", 1),
        ("/v2/rerank", "documents", [{"text": "a"}]),
        ("/v2/rerank", "max_tokens_per_doc", 0),
        ("/v1/score", "use_activation", False),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(
    client: httpx.AsyncClient, path: str, field: str, value: object
) -> None:
    sides = {"text_1": "a", "text_2": "b"}
    whole = sides if path == "/v1/score" else {"query": QUERY, "documents": ["a"]}
    assert f"'{field}" in await refused(client, path, 422, **whole | {field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("raw_scores", True), ("truncation_direction", "Left"), ("texts", []), ("top_n", 3)],
)
async def test_what_cannot_be_honoured_of_tei_is_refused_by_name(
    client: httpx.AsyncClient, field: str, value: object
) -> None:
    body = {"query": QUERY, "texts": ["a"], field: value}
    assert f"'{field}'" in await refused(client, "/rerank", 422, **body)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank", "/v1/score", "/embed"])
async def test_half_a_surrogate_pair_is_read_as_a_question_mark(
    client: httpx.AsyncClient, path: str
) -> None:
    """JSON can carry it and UTF-8 cannot."""
    bodies = {
        "/rerank": {"query": "?", "texts": ["\ud800"]},
        "/v1/score": {"text_1": "?", "text_2": ["\ud800"]},
        "/embed": {"inputs": "\ud800"},
    }
    body = bodies.get(path, {"query": "?", "documents": ["\ud800"]})
    headers = {"Content-Type": "application/json"}
    answer = await client.post(path, content=json.dumps(body), headers=headers)
    assert answer.status_code == 200, answer.text
    if "rerank" in path:
        assert "1.0" in answer.text


# --- All or nothing -------------------------------------------------------------------------

FORMS: list[tuple[str, dict[str, object]]] = [
    ("/v2/rerank", {"query": QUERY, "documents": DOCUMENTS}),
    ("/v1/rerank", {"query": QUERY, "documents": DOCUMENTS}),
    ("/rerank", {"query": QUERY, "texts": DOCUMENTS}),
    ("/v1/score", {"text_1": [QUERY, "rye", "salt"], "text_2": DOCUMENTS}),
]


@pytest.mark.parametrize(("path", "body"), FORMS)
async def test_what_is_not_whole_by_the_deadline_is_an_error(
    fresh: httpx.AsyncClient, model: KnownReranker, path: str, body: dict[str, object]
) -> None:
    model.gate.clear()
    try:
        answer = await fresh.post(path, json=body, headers={"X-Deadline-Ms": "50"})
    finally:
        model.gate.set()
    assert answer.status_code == 504
    assert int(answer.headers["retry-after"]) >= 1
    error = answer.json()["error"]
    assert error["code"] == "time_too_short"
    assert error["details"]["deadline_ms"] == 50


@pytest.mark.parametrize(("path", "body"), FORMS)
async def test_a_full_queue_is_an_error_and_says_when_to_come_back(
    tmp_path: Path, path: str, body: dict[str, object]
) -> None:
    async with running(tmp_path, models=known_models(), rerank_queue_pairs=1) as (client, _):
        many = {name: each * 3 if isinstance(each, list) else each for name, each in body.items()}
        answer = await client.post(path, json=many)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "not available" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("path", "body"), FORMS)
async def test_a_model_that_fails_is_an_error(
    fresh: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    poisoned = {
        name: [*each[:-1], POISON] if isinstance(each, list) and name != "text_1" else each
        for name, each in body.items()
    }
    answer = await fresh.post(path, json=poisoned)
    assert answer.status_code == 500
    assert "the reranker failed" in answer.json()["error"]["message"]


async def test_a_part_that_was_known_before_is_no_answer_either(fresh: httpx.AsyncClient) -> None:
    assert len(await post(fresh, "/rerank", query=QUERY, texts=DOCUMENTS)) == 3
    more = {"query": QUERY, "texts": [*DOCUMENTS, POISON]}
    message = await refused(fresh, "/rerank", 503, **more)
    assert "3 of 4" in message
    assert "the model failed" in message


@pytest.mark.parametrize(("path", "body"), FORMS)
async def test_without_a_reranker_the_formats_are_not_served(
    tmp_path: Path, path: str, body: dict[str, object]
) -> None:
    async with running(tmp_path, models=Models(WordEmbedder(), None)) as (client, _):
        answer = await client.post(path, json=body)
        assert answer.status_code == 501
        assert "TWOFOLD_RERANKER" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("path", "body"), FORMS)
async def test_pairs_count_towards_the_quota(
    tmp_path: Path, path: str, body: dict[str, object]
) -> None:
    quota = {"quota_rerank_pairs_per_minute": 3}
    async with running(tmp_path, models=known_models(), **quota) as (client, _):
        assert (await client.post(path, json=body)).status_code == 200
        over = {**body, "query": "another"} if "query" in body else {**body, "text_1": "another"}
        answer = await client.post(path, json=over)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "path", ["/v2/rerank", "/rerank", "/reranker/v1/rerank", "/engines/vllm/rerank", "/embedder"]
)
async def test_a_key_that_may_read_is_needed_and_enough(tmp_path: Path, path: str) -> None:
    keys = tmp_path / "keys.json"
    reader = make_key(keys, "acme", "read")
    body: dict[str, object] = {"query": QUERY, "documents": DOCUMENTS}
    if path == "/embedder":
        body = {"inputs": QUERY}
    async with running(tmp_path / "data", models=known_models(), api_keys_file=keys) as (client, _):
        assert (await client.post(path, json=body)).status_code == 401
        assert (await client.post(path, json=body, headers=reader)).status_code == 200
        azure = {"api-key": reader["Authorization"].removeprefix("Bearer ")}
        assert (await client.post(path, json=body, headers=azure)).status_code == 200


@pytest.mark.parametrize("value", ["0", "soon", "120001"])
async def test_a_deadline_that_is_none_is_refused(client: httpx.AsyncClient, value: str) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS}
    answer = await client.post("/v2/rerank", json=body, headers={"X-Deadline-Ms": value})
    assert answer.status_code == 422
    assert "X-Deadline-Ms" in answer.json()["error"]["message"]


# --- What applications send, as recorded from their sources ------------------------------------


async def test_fastgpt(client: httpx.AsyncClient) -> None:
    body = {"model": "bge-reranker-v2-m3", "query": QUERY, "documents": DOCUMENTS}
    found = await post(client, "/v1/rerank", **body)
    assert DOCUMENTS[found["results"][0]["index"]] == DOCUMENTS[1]
    assert all(isinstance(each["relevance_score"], float) for each in found["results"])
    assert found["meta"]["tokens"]["input_tokens"] == 12


async def test_dify_with_its_openai_compatible_plugin(client: httpx.AsyncClient) -> None:
    body = {"model": "any", "query": QUERY, "documents": DOCUMENTS, "top_n": 3}
    found = await post(client, "/v1/rerank", **body)
    for each in found["results"]:
        assert DOCUMENTS[each["index"]] == each["document"]["text"]


async def test_dify_with_its_tei_plugin(client: httpx.AsyncClient) -> None:
    info = (await client.get("/info")).json()
    assert next(iter(info["model_type"])) == "reranker"
    found = await post(client, "/rerank", query=QUERY, texts=DOCUMENTS, return_text=True)
    assert [(each["index"], each["text"]) for each in found] == [(i, DOCUMENTS[i]) for i in ORDER]


async def test_ragflow(client: httpx.AsyncClient) -> None:
    body = {"model": "any", "query": QUERY, "documents": DOCUMENTS, "top_n": len(DOCUMENTS)}
    found = await post(client, "/v1/rerank", **body)
    scores = [0.0] * len(DOCUMENTS)
    for each in found["results"]:
        scores[each["index"]] = each["relevance_score"]
    assert scores == [0.0, 1.0, 0.5]
    assert found["usage"]["total_tokens"] == 12
