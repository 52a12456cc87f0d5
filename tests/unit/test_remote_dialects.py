"""Every shape of request and reply that is met in the field."""

import base64
import struct

import pytest

from twofold.remote.dialects import (
    UnreadableReply,
    embed_body,
    endpoint,
    read_scores,
    read_vectors,
    rerank_body,
)

SCORE_REPLIES = {
    "cohere": {
        "id": "1",
        "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}],
        "meta": {"api_version": {"version": "2"}},
    },
    "vllm": {
        "id": "rerank-1",
        "model": "m",
        "usage": {"total_tokens": 3},
        "results": [
            {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}},
            {"index": 0, "relevance_score": 0.2, "document": {"text": "a"}},
        ],
    },
    "infinity": {
        "object": "rerank",
        "results": [
            {"relevance_score": 0.9, "index": 1, "document": "b"},
            {"relevance_score": 0.2, "index": 0, "document": "a"},
        ],
    },
    "tei": [{"index": 1, "score": 0.9, "text": "b"}, {"index": 0, "score": 0.2}],
    "sglang": [
        {"score": 0.9, "document": "b", "index": 1, "meta_info": {}},
        {"score": 0.2, "document": "a", "index": 0, "meta_info": {}},
    ],
    "voyage": {
        "object": "list",
        "data": [{"relevance_score": 0.9, "index": 1}, {"relevance_score": 0.2, "index": 0}],
    },
    "dashscope": {
        "output": {
            "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]
        },
        "request_id": "1",
    },
    "score": {
        "object": "list",
        "data": [
            {"index": 0, "object": "score", "score": 0.2},
            {"index": 1, "object": "score", "score": 0.9},
        ],
    },
}


@pytest.mark.parametrize("server", SCORE_REPLIES)
def test_scores_are_read_by_index_from_every_known_reply(server: str) -> None:
    assert read_scores(SCORE_REPLIES[server], 2) == [0.2, 0.9]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"detail": "hello"}, "no list"),
        ("ok", "no list"),
        ([0.1, 0.2], "not an object"),
        ([{"score": 0.1}, {"score": 0.2}], "no index"),
        ([{"index": 0, "score": 0.1}], "1 entries came back for 2"),
        ([{"index": 0, "score": 0.1}, {"index": 0, "score": 0.2}], "index 0 twice"),
        ([{"index": 0, "score": 0.1}, {"index": 2, "score": 0.2}], "index 2"),
        ([{"index": 0, "score": 0.1}, {"index": -1, "score": 0.2}], "index -1"),
        ([{"index": 0, "score": 0.1}, {"index": True, "score": 0.2}], "no index"),
        ([{"index": 0, "score": 0.1}, {"index": 1, "score": float("nan")}], "finite"),
        ([{"index": 0, "score": 0.1}, {"index": 1, "score": None}], "finite"),
        ([{"index": 0, "score": 0.1}, {"index": 1, "score": "0.2"}], "finite"),
    ],
)
def test_a_reply_that_does_not_score_each_passage_once_is_refused(
    reply: object, message: str
) -> None:
    with pytest.raises(UnreadableReply, match=message):
        read_scores(reply, 2)


def test_vectors_are_read_as_numbers_base64_and_bare_lists() -> None:
    packed = base64.b64encode(struct.pack("<3f", 1.0, 2.0, 3.0)).decode()
    floats = {"data": [{"index": 1, "embedding": [4, 5, 6]}, {"index": 0, "embedding": [1, 2, 3]}]}
    mixed = {"data": [{"index": 0, "embedding": packed}, {"index": 1, "embedding": [4, 5, 6]}]}
    for reply in (floats, mixed, [[1, 2, 3], [4, 5, 6]]):
        assert [list(vector) for vector in read_vectors(reply, 2)] == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "reply",
    [
        [[1.0, 2.0]],
        [[1.0, 2.0], [1.0]],
        [[1.0, 2.0], []],
        [[1.0, 2.0], [1.0, float("inf")]],
        [[1.0, 2.0], ["a", "b"]],
        {"data": [{"index": 0, "embedding": "!"}, {"index": 1, "embedding": "AAAA"}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1}]},
        {"error": "no"},
    ],
)
def test_a_reply_that_does_not_embed_each_text_once_is_refused(reply: object) -> None:
    with pytest.raises(UnreadableReply):
        read_vectors(reply, 2)


@pytest.mark.parametrize(
    ("base", "path", "backend", "url"),
    [
        ("http://h", "/v1/rerank", None, "http://h/v1/rerank"),
        ("http://h/v1", "/v1/rerank", None, "http://h/v1/rerank"),
        ("http://h/v1/rerank", "/v1/rerank", None, "http://h/v1/rerank"),
        ("http://h/proxy/v1", "/v1/rerank", None, "http://h/proxy/v1/rerank"),
        ("http://h/proxy", "/v1/rerank", None, "http://h/proxy/v1/rerank"),
        ("http://h", "/engines/{backend}/rerank", None, "http://h/engines/rerank"),
        ("http://h", "/engines/{backend}/rerank", "vllm", "http://h/engines/vllm/rerank"),
        ("http://h/engines", "/engines/{backend}/v1/embeddings", "llama.cpp",
         "http://h/engines/llama.cpp/v1/embeddings"),
    ],
)  # fmt: skip
def test_base_and_path_join_whatever_part_the_operator_pasted(
    base: str, path: str, backend: str | None, url: str
) -> None:
    assert endpoint(base, path, backend) == url


def test_requests_have_the_fields_of_their_dialect() -> None:
    assert rerank_body("cohere", "q", ["a"], model="m", instruction="i") == {
        "model": "m", "query": "q", "documents": ["a"], "top_n": 1,
    }  # fmt: skip
    assert rerank_body("jina", "q", ["a"], instruction="i") == {
        "query": "q", "documents": ["a"], "top_n": 1, "return_documents": False, "instruction": "i",
    }  # fmt: skip
    assert rerank_body("tei", "q", ["a"]) == {
        "query": "q", "texts": ["a"], "truncate": True, "raw_scores": False,
    }  # fmt: skip
    assert embed_body("openai", ["a"], model="m", dimensions=8) == {
        "input": ["a"], "model": "m", "encoding_format": "base64", "dimensions": 8,
    }  # fmt: skip
    assert embed_body("tei", ["a"], prompt_name="query") == {
        "inputs": ["a"], "truncate": True, "normalize": True, "prompt_name": "query",
    }  # fmt: skip
