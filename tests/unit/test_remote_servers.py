"""Batches, retries, deadlines and secrets of remote models, at the transport."""

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import numpy as np
import pytest

from pipelines.models.remote import RemoteEmbedder, RemoteReranker, remote_embedder, remote_reranker
from pipelines.ports import Pairs
from twofold.errors import ConfigurationError, ModelUnavailable
from twofold.remote import EmbeddingServer, EmbedOptions, RerankOptions, RerankServer, prompts
from twofold.remote.prompts import DEFAULT_INSTRUCTION

KEY = "sk-sesame"
Handler = Callable[[httpx.Request], httpx.Response]


def body_of(request: httpx.Request) -> dict[str, list[str]]:
    return dict(json.loads(request.content))


def score_by_length(request: httpx.Request) -> httpx.Response:
    """A healthy Jina-like server; answers best first, as real ones do."""
    documents = body_of(request)["documents"]
    rows = [{"index": i, "relevance_score": len(text) / 1e6} for i, text in enumerate(documents)]
    return httpx.Response(200, json={"results": sorted(rows, key=lambda r: -r["relevance_score"])})


class Recorder:
    """Hands requests on and keeps them."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.handler(request)


def reranker(
    handler: Handler, pauses: list[float] | None = None, dialect: str = "jina", **options: object
) -> RerankServer:
    return RerankServer(
        "http://model",
        dialect,  # type: ignore[arg-type]
        RerankOptions(**options),  # type: ignore[arg-type]
        api_key=KEY,
        transport=httpx.MockTransport(handler),
        sleep=(pauses if pauses is not None else []).append,
    )


def test_a_long_list_goes_out_in_batches_and_comes_back_in_order() -> None:
    recorder = Recorder(score_by_length)
    passages = ["x" * n for n in range(1, 101)]
    scores = reranker(recorder, batch=16).score("q", passages).scores
    assert scores == [n / 1e6 for n in range(1, 101)]
    assert sorted(len(body_of(request)["documents"]) for request in recorder.requests) == [
        4, 16, 16, 16, 16, 16, 16,
    ]  # fmt: skip


def test_nothing_is_asked_for_an_empty_list() -> None:
    recorder = Recorder(score_by_length)
    assert reranker(recorder).score("q", []) == ([], [])
    assert not recorder.requests


def test_a_batch_stays_under_the_cap_of_bytes() -> None:
    recorder = Recorder(score_by_length)
    passages = ["é\n" * 2_000] * 40
    reranker(recorder, batch=1_000, max_bytes=64_000).score("q", passages)
    assert len(recorder.requests) > 1
    assert all(len(request.content) <= 64_000 for request in recorder.requests)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (413, "batch size 32 > maximum allowed batch size 5"),
        (422, "batch size 32 > maximum allowed batch size 5"),
        (400, "too many documents: 32, at most 5"),
        (500, "input is too large to process"),
    ],
)
def test_a_batch_that_is_refused_as_too_large_is_halved_until_it_is_taken(
    status: int, words: str
) -> None:
    def capped(request: httpx.Request) -> httpx.Response:
        if len(body_of(request)["documents"]) > 5:
            return httpx.Response(status, json={"error": words})
        return score_by_length(request)

    recorder = Recorder(capped)
    server = reranker(recorder)
    passages = ["x" * n for n in range(1, 33)]
    assert server.score("q", passages) == ([n / 1e6 for n in range(1, 33)], [False] * 32)
    recorder.requests.clear()
    server.score("q", passages)
    assert all(len(body_of(request)["documents"]) <= 5 for request in recorder.requests), (
        "what was learned is remembered"
    )


def test_a_passage_that_is_too_long_is_cut_and_said_to_be() -> None:
    def short_only(request: httpx.Request) -> httpx.Response:
        if max(map(len, body_of(request)["documents"])) > 3_000:
            return httpx.Response(400, json={"message": "maximum context length is 512 tokens"})
        return score_by_length(request)

    recorder = Recorder(short_only)
    server = reranker(recorder)
    scored = server.score("q", ["a" * 100, "b" * 10_000, "c" * 200])
    assert scored.truncated == [False, True, False]
    assert scored.scores == pytest.approx([100 / 1e6, 2_500 / 1e6, 200 / 1e6])
    recorder.requests.clear()
    server.score("q", ["a"] * 32)
    assert len(recorder.requests) == 1, "one long passage does not shrink the batches after it"


def test_a_server_that_refuses_every_size_gets_a_sentence_and_no_endless_loop() -> None:
    recorder = Recorder(lambda _: httpx.Response(413, text="too large"))
    with pytest.raises(ModelUnavailable, match="refuses a single text of"):
        reranker(recorder).score("q", ["x" * 5_000] * 8)
    assert len(recorder.requests) < 20


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_transient_status_is_tried_again_after_growing_pauses(status: int) -> None:
    answers = [httpx.Response(status, text="busy"), httpx.Response(status, text="busy")]
    pauses: list[float] = []
    server = reranker(
        lambda request: answers.pop() if answers else score_by_length(request), pauses
    )
    assert server.score("q", ["ab"]).scores == [2 / 1e6]
    assert len(pauses) == 2
    assert 0.125 <= pauses[0] <= 0.25 <= pauses[1] <= 0.5


def test_retries_are_bounded_and_the_last_reason_is_told() -> None:
    recorder = Recorder(lambda _: httpx.Response(503, text="model is loading"))
    with pytest.raises(ModelUnavailable, match=r"503.*model is loading \(tried 4 times\)"):
        reranker(recorder).score("q", ["a"])
    assert len(recorder.requests) == 4


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_beyond_the_deadline_ends_at_once_and_is_passed_on(form: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    retry_after = "3600" if form == "seconds" else date
    recorder = Recorder(lambda _: httpx.Response(429, headers={"Retry-After": retry_after}))
    with pytest.raises(ModelUnavailable) as caught:
        reranker(recorder, timeout=2).score("q", ["a"])
    assert len(recorder.requests) == 1
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 3_000


def test_retry_after_within_the_deadline_is_waited_for() -> None:
    answers = [httpx.Response(429, headers={"Retry-After": "7"})]
    pauses: list[float] = []
    reranker(lambda r: answers.pop() if answers else score_by_length(r), pauses).score("q", ["a"])
    assert pauses == [7.0]


def test_a_lost_connection_is_tried_again() -> None:
    faults = [httpx.ConnectError("refused"), httpx.RemoteProtocolError("closed")]

    def flaky(request: httpx.Request) -> httpx.Response:
        if faults:
            raise faults.pop()
        return score_by_length(request)

    assert reranker(flaky).score("q", ["abc"]).scores == [3 / 1e6]


def test_an_answer_that_never_ends_is_given_up_at_the_deadline() -> None:
    class Drip(httpx.SyncByteStream):
        def __iter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield b" "

    with pytest.raises(ModelUnavailable, match=r"no whole answer within 0\.05 s"):
        reranker(lambda _: httpx.Response(200, stream=Drip()), timeout=0.05).score("q", ["a"])


@pytest.mark.parametrize("status", [301, 400, 404, 405])
def test_a_lasting_refusal_is_not_tried_again(status: int) -> None:
    recorder = Recorder(lambda _: httpx.Response(status, text="no such thing"))
    with pytest.raises(ModelUnavailable, match=f"HTTP {status}.*no such thing"):
        reranker(recorder).score("q", ["a"])
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        {"results": [{"index": 0, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.5}]},
        {"results": []},
        {"ok": True},
    ],
)
def test_an_answer_that_does_not_score_every_passage_is_an_error_not_a_guess(
    reply: dict[str, object],
) -> None:
    with pytest.raises(ModelUnavailable, match="The reranker at http://model"):
        reranker(lambda _: httpx.Response(200, json=reply)).score("q", ["a", "b"])


def test_an_answer_that_is_not_json_is_an_error() -> None:
    with pytest.raises(ModelUnavailable, match="not JSON"):
        reranker(lambda _: httpx.Response(200, text="<html>")).score("q", ["a"])


def test_nan_scores_are_an_error() -> None:
    reply = '{"results": [{"index": 0, "relevance_score": NaN}]}'
    with pytest.raises(ModelUnavailable, match="finite"):
        reranker(lambda _: httpx.Response(200, text=reply)).score("q", ["a"])


@pytest.mark.parametrize("status", [400, 401, 403, 503])
def test_the_key_is_sent_as_a_bearer_and_never_repeated(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = Recorder(lambda r: httpx.Response(status, text=f"bad {r.headers['Authorization']}"))
    with pytest.raises(ModelUnavailable) as caught:
        reranker(recorder).score("q", ["a"])
    assert recorder.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value) + repr(caught.value.details) + caplog.text


def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        RerankServer("http://model", "jina", api_key="se\nsame")
    assert "same" not in str(caught.value)


def test_a_line_end_behind_the_key_does_no_harm() -> None:
    recorder = Recorder(score_by_length)
    RerankServer(
        "http://model", "jina", api_key=f"{KEY}\n", transport=httpx.MockTransport(recorder)
    ).score("q", ["a"])
    assert recorder.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_dialect_that_the_role_does_not_speak_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a reranker speaks cohere, jina, tei, dmr"):
        RerankServer("http://model", "openai")


def test_lone_surrogates_and_empty_passages_reach_the_server_as_valid_text() -> None:
    recorder = Recorder(score_by_length)
    reranker(recorder).score("\ud800", ["", "a\ud800b", "\0"])
    assert body_of(recorder.requests[0])["documents"] == [" ", "a?b", "\0"]


# --- TEI ---


def tei(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/info":
        return httpx.Response(
            200,
            json={
                "model_id": "BAAI/bge-m3",
                "max_client_batch_size": 4,
                "max_input_length": 8192,
            },
        )
    body = body_of(request)
    if request.url.path == "/embed":
        return httpx.Response(200, json=[[float(len(text)), 1.0] for text in body["inputs"]])
    rows = [{"index": i, "score": len(text) / 1e6} for i, text in enumerate(body["texts"])]
    return httpx.Response(200, json=rows[::-1])


def test_tei_tells_its_cap_its_model_and_its_length() -> None:
    recorder = Recorder(tei)
    model = remote_reranker("tei+http://model", transport=httpx.MockTransport(recorder))
    [scored] = model.score_batch([Pairs("q", ["x" * n for n in range(1, 11)])])
    np.testing.assert_allclose(scored.scores, np.arange(1, 11) / 1e6, rtol=1e-6)
    assert model.name == "BAAI/bge-m3"
    bodies = [body_of(r)["texts"] for r in recorder.requests if r.method == "POST"]
    assert sorted(map(len, bodies)) == [2, 4, 4]
    embedder = remote_embedder("tei+http://model", transport=httpx.MockTransport(tei))
    assert embedder.max_tokens == 8192
    assert embedder.name == "BAAI/bge-m3"
    assert embedder.embed_passages(["a", "bb"]).shape == (2, 2)


def test_a_gateway_without_info_is_served_with_the_usual_cap() -> None:
    def bare(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if request.url.path == "/info" else tei(request)

    recorder = Recorder(bare)
    server = reranker(recorder, dialect="tei")
    server.score("q", ["a"] * 40)
    bodies = [body_of(r)["texts"] for r in recorder.requests if r.method == "POST"]
    assert sorted(map(len, bodies)) == [8, 32]


def test_a_server_that_does_not_tell_its_cap_is_asked_once_a_call() -> None:
    def busy(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503) if request.url.path == "/info" else tei(request)

    recorder = Recorder(busy)
    reranker(recorder, dialect="tei").score("q", ["a"] * 32)
    assert [r.method for r in recorder.requests] == ["GET", "POST"]


# --- Prompts ---


def test_template_qwen3_sends_the_whole_prompt_of_the_model_card() -> None:
    recorder = Recorder(tei)
    model = remote_reranker(
        "tei+http://model?template=qwen3", transport=httpx.MockTransport(recorder)
    )
    model.score_batch([Pairs("Who?", ["Me."], "Find the person")])
    body = body_of(recorder.requests[-1])
    prompt = str(body["query"]) + body["texts"][0]
    assert prompt == (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
        'and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
        "<|im_start|>user\n<Instruct>: Find the person\n<Query>: Who?\n<Document>: Me.<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    assert body["truncate"] is False, "the server must not cut the suffix off"


def test_an_instruction_that_the_dialect_cannot_carry_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = reranker(tei, dialect="tei")
    server.score("q", ["a"], instruction="i")
    server.score("q", ["a"], instruction="i")
    assert len(re.findall("no place for an instruction", caplog.text)) == 1


def test_jina_servers_get_the_instruction() -> None:
    recorder = Recorder(score_by_length)
    reranker(recorder, instruction="default").score("q", ["a"])
    reranker(recorder).score("q", ["a"], instruction="asked")
    assert [body_of(r)["instruction"] for r in recorder.requests] == ["default", "asked"]


# --- OpenAI embeddings ---


def openai(request: httpx.Request) -> httpx.Response:
    if request.method == "GET":
        return httpx.Response(200, json={"data": [{"id": "Qwen/Qwen3-Embedding-0.6B"}]})
    rows = [
        {"index": i, "embedding": [float(len(text)), 1.0, 2.0, 3.0]}
        for i, text in enumerate(body_of(request)["input"])
    ]
    return httpx.Response(200, json={"object": "list", "data": rows[::-1]})


def test_vectors_come_back_unit_length_in_order() -> None:
    model = remote_embedder("openai+http://model", transport=httpx.MockTransport(openai))
    vectors = model.embed_passages(["a" * n for n in range(1, 51)])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(vectors[:, 0] / vectors[:, 1], np.arange(1, 51), rtol=1e-5)
    assert model.dimensions == 4
    assert model.embed_queries([]).shape == (0, 4)


def test_the_only_served_model_is_found_and_qwen3_queries_get_their_instruction() -> None:
    recorder = Recorder(openai)
    model = remote_embedder("openai+http://model/v1", transport=httpx.MockTransport(recorder))
    assert model.name == "Qwen/Qwen3-Embedding-0.6B"
    model.embed_queries(["Who?"])
    model.embed_queries(["Who?"], instruction="Find the person")
    model.embed_passages(["Me."])
    assert [str(r.url) for r in recorder.requests] == [
        "http://model/v1/models", *["http://model/v1/embeddings"] * 3,
    ]  # fmt: skip
    assert [body_of(r)["input"] for r in recorder.requests[1:]] == [
        [f"Instruct: {DEFAULT_INSTRUCTION}\nQuery:Who?"],
        ["Instruct: Find the person\nQuery:Who?"],
        ["Me."],
    ]


def test_prefixes_from_the_setting_go_in_front() -> None:
    recorder = Recorder(openai)
    model = remote_embedder(
        "openai+http://model?model=e5&query_prefix=query:%20&passage_prefix=passage:%20",
        transport=httpx.MockTransport(recorder),
    )
    model.embed_queries(["a"])
    model.embed_passages(["b"])
    assert [body_of(r)["input"] for r in recorder.requests] == [["query: a"], ["passage: b"]]


def test_longer_vectors_than_wanted_are_cut_and_shorter_ones_refused() -> None:
    def embedder(dimensions: int) -> RemoteEmbedder:
        return remote_embedder(
            f"openai+http://model?model=m&dimensions={dimensions}",
            transport=httpx.MockTransport(openai),
        )

    vectors = embedder(2).embed_passages(["abc"])
    np.testing.assert_allclose(vectors, [[3 / 10**0.5, 1 / 10**0.5]], rtol=1e-6)
    assert embedder(2).dimensions == 2
    with pytest.raises(ModelUnavailable, match="4 dimensions and 8 are set"):
        embedder(8).embed_passages(["abc"])


@pytest.mark.parametrize(
    "listing",
    [
        httpx.Response(200, json={"data": [{"id": "a"}, {"id": "b"}]}),
        httpx.Response(200, json={"data": None}),
        httpx.Response(200, json=["a"]),
        httpx.Response(404),
    ],
)
def test_an_embedder_that_does_not_name_its_one_model_needs_a_name(
    listing: httpx.Response,
) -> None:
    model = remote_embedder("openai+http://model", transport=httpx.MockTransport(lambda _: listing))
    with pytest.raises(ConfigurationError, match=r"add \?model=NAME"):
        _ = model.name


def test_a_reranker_has_a_name_even_while_it_is_away() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    pauses: list[float] = []
    assert reranker(away, pauses).name == "jina+http://model"
    assert reranker(openai).name == "Qwen/Qwen3-Embedding-0.6B"
    assert not pauses


def test_docker_model_runner_has_its_own_paths() -> None:
    recorder = Recorder(openai)
    server = EmbeddingServer(
        "http://model:12434",
        "dmr",
        EmbedOptions(model="ai/qwen3-embedding", backend="llama.cpp"),
        transport=httpx.MockTransport(recorder),
    )
    server.embed_passages(["a"])
    reranker(Recorder(score_by_length), dialect="dmr").score("q", ["a"])
    assert recorder.requests[0].url.path == "/engines/llama.cpp/v1/embeddings"


def test_a_plain_url_is_told_to_name_its_dialect() -> None:
    with pytest.raises(ConfigurationError, match="lacks a dialect"):
        remote_reranker("http://model")


def test_only_qwen3_rerankers_are_taken_for_calibrated() -> None:
    def calibrated(model: str) -> bool:
        setting = f"jina+http://model?model={model}"
        return remote_reranker(setting).profile.calibrated

    assert calibrated("Qwen/Qwen3-Reranker-4B")
    assert not calibrated("BAAI/bge-reranker-v2-m3")


def test_several_queries_are_scored_in_one_batch() -> None:
    model = RemoteReranker(reranker(score_by_length))
    first, none, last = model.score_batch(
        [Pairs("a", ["x", "xx"]), Pairs("b", []), Pairs("c", ["xxx"])]
    )
    np.testing.assert_allclose(first.scores, [1e-6, 2e-6], rtol=1e-6)
    assert none.scores.shape == none.truncated.shape == (0,)
    assert last.scores.shape == (1,)
    assert last.truncated.dtype == bool


def test_the_prompts_sent_to_servers_are_those_of_the_engine_to_the_letter() -> None:
    from pipelines.models import qwen3_prompt as engine

    query = prompts.qwen3_rerank_query("q", "i")
    [passage] = prompts.qwen3_rerank_passages(["p"])
    body = engine.RERANK_BODY.format(instruction="i", query="q", document="p")
    assert query + passage == engine.RERANK_PREFIX + body + engine.RERANK_SUFFIX
    assert prompts.qwen3_embedding_query("q", None) == engine.EMBED_QUERY.format(
        instruction=engine.DEFAULT_INSTRUCTION, query="q"
    )
