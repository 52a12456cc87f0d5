"""The embedder in the formats of OpenAI and TEI, and what a model server says of itself."""

import base64
import threading
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from pipelines.build import Models
from pipelines.models.texts import LocalTextEmbedder
from pipelines.ports import Vector
from tests.support.lent import KnownEmbedder, known_models, post, refused
from tests.support.reranking import OverlapModel
from tests.support.service import running
from twofold.errors import Unavailable

pytestmark = pytest.mark.anyio

TEXTS = ["rye is a cereal", "the hot oven bakes"]
LONG = "oven " * 300


@pytest.fixture(scope="module")
async def client(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path_factory.mktemp("client"), models=known_models()) as (client, _):
        yield client


@pytest.fixture(scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """Over models that know no tokens, no instruction and one length of vector."""
    async with running(tmp_path_factory.mktemp("plain")) as (client, _):
        yield client


def vectors_of(answer: Any) -> np.ndarray:
    return np.array([row["embedding"] for row in answer["data"]], np.float32)


PASSAGES = KnownEmbedder().embed_passages(TEXTS)


# --- OpenAI ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/v1/embeddings",
        "/embedder/v1/embeddings",
        "/engines/v1/embeddings",
        "/engines/vllm/v1/embeddings",
    ],
)
async def test_openai(client: httpx.AsyncClient, path: str) -> None:
    found = await post(client, path, model="any", input=TEXTS)
    assert np.array_equal(vectors_of(found), PASSAGES)
    assert [row["index"] for row in found["data"]] == [0, 1]
    assert {row["object"] for row in found["data"]} == {"embedding"}
    assert (found["object"], found["model"]) == ("list", "words-64")
    assert found["usage"] == {
        "prompt_tokens": 8,
        "total_tokens": 8,
        "counted_by": "the tokenizer of words-64",
    }


async def test_base64_holds_the_same_numbers(client: httpx.AsyncClient) -> None:
    found = await post(client, "/v1/embeddings", input=TEXTS, encoding_format="base64")
    for row, vector in zip(found["data"], PASSAGES, strict=True):
        assert np.array_equal(np.frombuffer(base64.b64decode(row["embedding"]), "<f4"), vector)


async def test_one_text_is_a_list_of_one(client: httpx.AsyncClient) -> None:
    assert len((await post(client, "/v1/embeddings", input=TEXTS[0]))["data"]) == 1
    assert len(await post(client, "/embed", inputs=TEXTS[0])) == 1


@pytest.mark.parametrize(
    ("field", "value", "sign"),
    [
        ("input_type", "query", -1),
        ("input_type", "search_query", -1),
        ("prompt_name", "query", -1),
        ("input_type", "passage", 1),
        ("input_type", "document", 1),
        ("prompt_name", "search_document", 1),
    ],
)
async def test_texts_are_passages_unless_the_request_says_that_they_are_queries(
    client: httpx.AsyncClient, field: str, value: str, sign: int
) -> None:
    found = await post(client, "/v1/embeddings", input=TEXTS, **{field: value})
    assert np.array_equal(vectors_of(found), sign * PASSAGES)


async def test_shorter_vectors_are_of_unit_length_where_the_model_has_them(
    client: httpx.AsyncClient,
) -> None:
    short = vectors_of(await post(client, "/v1/embeddings", input=TEXTS, dimensions=16))
    assert short.shape == (2, 16)
    expected = PASSAGES[:, :16] / np.linalg.norm(PASSAGES[:, :16], axis=1, keepdims=True)
    assert short == pytest.approx(expected)
    assert np.array(await post(client, "/embed", inputs=TEXTS, dimensions=16)) == pytest.approx(
        expected
    )
    whole = vectors_of(await post(client, "/v1/embeddings", input=TEXTS, dimensions=64))
    assert np.array_equal(whole, PASSAGES)
    for wrong in (15, 65):
        body = {"input": TEXTS, "dimensions": wrong}
        assert "from 16 to 64" in await refused(client, "/v1/embeddings", 422, **body)


async def test_shorter_vectors_are_refused_where_the_model_has_none(
    plain: httpx.AsyncClient,
) -> None:
    message = await refused(plain, "/v1/embeddings", 422, input=TEXTS, dimensions=16)
    assert "64 and no other" in message


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]], [[]]])
async def test_token_ids_are_refused_since_nobody_knows_whose_they_are(
    client: httpx.AsyncClient, tokens: list[object]
) -> None:
    message = await refused(client, "/v1/embeddings", 422, input=tokens)
    assert "check_embedding_ctx_length=False" in message


async def test_a_text_that_was_cut_says_so(client: httpx.AsyncClient) -> None:
    found = await post(client, "/v1/embeddings", input=[LONG, "oven"])
    assert [row["truncated"] for row in found["data"]] == [True, False]
    bounded = {"input": TEXTS, "truncate_prompt_tokens": 2}
    found = await post(client, "/v1/embeddings", **bounded)
    assert np.array_equal(vectors_of(found), KnownEmbedder().embed_passages(["rye is", "the hot"]))
    assert found["usage"]["prompt_tokens"] == 4


async def test_where_no_tokenizer_is_known_nothing_is_said_about_tokens(
    plain: httpx.AsyncClient,
) -> None:
    found = await post(plain, "/v1/embeddings", input=["abcdefgh"])
    assert "truncated" not in found["data"][0]
    assert found["usage"]["prompt_tokens"] == 2
    assert "estimate" in found["usage"]["counted_by"]
    assert "tokenizer" in await refused(plain, "/embed", 422, inputs="a", truncate=False)
    left = {"inputs": "a", "truncation_direction": "Left"}
    assert "right side" in await refused(plain, "/embed", 422, **left)
    assert "tokenizer" in await refused(plain, "/tokenize", 501, inputs="a")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", []),
        ("input", ["x"] * 2_049),
        ("input", 7),
        ("encoding_format", "int8"),
        ("dimensions", 0),
        ("input_type", "image"),
        ("instruction", "be nice"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_name(
    client: httpx.AsyncClient, field: str, value: object
) -> None:
    body = {"input": "text", field: value}
    assert f"'{field}" in await refused(client, "/v1/embeddings", 422, **body)


async def test_two_kinds_at_once_are_refused(client: httpx.AsyncClient) -> None:
    body = {"input": "a", "input_type": "query", "prompt_name": "passage"}
    assert "different things" in await refused(client, "/v1/embeddings", 422, **body)


# --- TEI ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/embed", "/", "/embedder", "/embedder/embed"])
async def test_tei(client: httpx.AsyncClient, path: str) -> None:
    found = await post(client, path, inputs=TEXTS, normalize=True)
    assert np.array_equal(np.array(found, np.float32), PASSAGES)
    queries = await post(client, path, inputs=TEXTS, prompt_name="query")
    assert np.array_equal(np.array(queries, np.float32), -PASSAGES)


async def test_a_text_that_must_not_be_cut_is_refused(client: httpx.AsyncClient) -> None:
    inputs = ["short", LONG]
    assert len(await post(client, "/embed", inputs=inputs)) == 2
    message = await refused(client, "/embed", 413, inputs=inputs, truncate=False)
    assert "text 1" in message
    assert len(await post(client, "/embed", inputs="short", truncate=False)) == 1


async def test_a_text_is_cut_on_the_side_that_the_request_names(
    client: httpx.AsyncClient,
) -> None:
    text = f"rye {LONG} salt"
    for side, kept in (("Right", f"rye {'oven ' * 199}"), ("Left", f"{'oven ' * 199} salt")):
        found = await post(client, "/embed", inputs=text, truncation_direction=side)
        expected = KnownEmbedder().embed_passages([text if side == "Right" else kept])
        assert np.array(found) == pytest.approx(expected), side


# --- All or nothing -------------------------------------------------------------------------


class Slow(KnownEmbedder):
    """Embeds nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        assert self.gate.wait(30), "a test left the gate shut"
        return super().embed_passages(texts)


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    embedder = Slow()
    async with running(tmp_path, models=Models(embedder, OverlapModel())) as (client, _):
        yield client
        embedder.gate.set()


@pytest.mark.parametrize(("path", "field"), [("/v1/embeddings", "input"), ("/embed", "inputs")])
async def test_what_is_not_whole_by_the_deadline_is_an_error(
    slow: httpx.AsyncClient, path: str, field: str
) -> None:
    answer = await slow.post(path, json={field: TEXTS}, headers={"X-Deadline-Ms": "50"})
    assert answer.status_code == 504
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "time_too_short"


async def test_too_many_waiting_texts_are_refused_with_the_time_to_come_back() -> None:
    embedder = Slow()
    texts = LocalTextEmbedder(embedder, max_waiting=3)
    async with anyio.create_task_group() as group:
        deadline = time.monotonic() + 30
        call = partial(texts.embed_texts, TEXTS, kind="passage", deadline=deadline)
        group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Unavailable, match="2 texts wait") as caught:
            await call()
        assert caught.value.retry_after
        embedder.gate.set()
    assert (await call()).shape == (2, 64)


# --- What a server says of itself -----------------------------------------------------------


async def test_models_are_listed_by_the_names_that_answers_give(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [(each["id"], each["type"]) for each in listed["data"]] == [
        ("words-64", "embedding"),
        ("overlap", "rerank"),
    ]
    for base, name in (("/embedder", "words-64"), ("/reranker", "overlap")):
        [only] = (await client.get(f"{base}/v1/models")).json()["data"]
        assert only["id"] == name


async def test_info_is_about_the_model_that_the_base_url_names(client: httpx.AsyncClient) -> None:
    embedder = (await client.get("/embedder/info")).json()
    assert embedder["model_id"] == "words-64"
    assert list(embedder["model_type"]) == ["embedding"]
    assert embedder["max_input_length"] == 200
    assert embedder["max_client_batch_size"] == 2_048
    for path in ("/info", "/reranker/info"):
        reranker = (await client.get(path)).json()
        assert reranker["model_id"] == "overlap"
        assert list(reranker["model_type"]) == ["reranker"]


async def test_without_a_reranker_the_embedder_is_all_there_is(tmp_path: Path) -> None:
    async with running(tmp_path, models=Models(KnownEmbedder(), None)) as (client, _):
        assert (await client.get("/info")).json()["model_id"] == "words-64"
        assert (await client.get("/reranker/info")).status_code == 501
        assert (await client.get("/reranker/v1/models")).json()["data"] == []


async def test_health_is_an_empty_answer(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_dify_with_its_tei_plugin_embeds(client: httpx.AsyncClient) -> None:
    info = (await client.get("/embedder/info")).json()
    assert next(iter(info["model_type"])) == "embedding"
    tokens = await post(client, "/embedder/tokenize", inputs=TEXTS)
    assert [len(each) for each in tokens] == [4, 4]
    assert tokens[0][1] == {"id": 0, "text": "is", "special": False, "start": 4, "stop": 6}
    found = await post(client, "/embedder/v1/embeddings", input=TEXTS)
    assert len(found["data"]) == 2
    assert found["usage"]["total_tokens"] == 8
