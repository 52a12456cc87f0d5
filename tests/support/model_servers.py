"""Model servers on a real port, healthy or with one of the faults that are met in the field."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

from twofold.doctor import GOLDEN
from twofold.remote.prompts import qwen3_rerank_passages, qwen3_rerank_query

Scores = Callable[[str, Sequence[str]], list[float]]
Vectors = Callable[[Sequence[str]], list[list[float]]]

DIMENSIONS = 32
PREFIX = qwen3_rerank_query("", "")[: -len("<Instruct>: \n<Query>: \n")]
SUFFIX = qwen3_rerank_passages([""])[0].removeprefix("<Document>: ")


def noise(*parts: str) -> float:
    """The same number in 0..1 for the same text, and no other relation to it."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


# --- Rerankers ---


def healthy(query: str, passages: Sequence[str]) -> list[float]:
    """Probabilities as a fit model gives them: it knows the golden answers, whatever follows."""
    answers = {golden.query: golden.right for golden in GOLDEN}
    right = answers.get(query, query)
    return [
        0.9 + noise(query, passage) / 20
        if passage.startswith(right)
        else noise(query, passage) / 20
        for passage in passages
    ]


def logits(query: str, passages: Sequence[str]) -> list[float]:
    return [math.log(p / (1 - p)) for p in healthy(query, passages)]


def constant(query: str, passages: Sequence[str]) -> list[float]:
    return [0.5] * len(passages)


def inverted(query: str, passages: Sequence[str]) -> list[float]:
    return [1 - p for p in healthy(query, passages)]


def without_template(query: str, passages: Sequence[str]) -> list[float]:
    return [0.45 + noise(query, passage) / 10 for passage in passages]


def unsure(query: str, passages: Sequence[str]) -> list[float]:
    return [0.2 + p / 20 for p in healthy(query, passages)]


def double_sigmoid(query: str, passages: Sequence[str]) -> list[float]:
    return [1 / (1 + math.exp(-p)) for p in healthy(query, passages)]


def wrongly_padded(query: str, passages: Sequence[str]) -> list[float]:
    """What is shorter than its longest batch mate is read at a padding token."""
    longest = max(map(len, passages))
    return [
        score if len(passage) == longest else noise(query, passage, str(longest))
        for score, passage in zip(healthy(query, passages), passages, strict=True)
    ]


def shuffled(query: str, passages: Sequence[str]) -> list[float]:
    """The index counts places in the sorted answer, not places in the request."""
    return sorted(healthy(query, passages), reverse=True)


def without_suffix(query: str, passages: Sequence[str]) -> list[float]:
    """Long prompts are cut from their end, with the assistant suffix."""
    return [
        0.3 if len(passage) > 20_000 else score
        for score, passage in zip(healthy(query, passages), passages, strict=True)
    ]


def english_only(query: str, passages: Sequence[str]) -> list[float]:
    if query.isascii():
        return healthy(query, passages)
    return [1 - p for p in healthy(query, passages)]


def needs_template(query: str, passages: Sequence[str]) -> list[float]:
    """A Qwen3 reranker behind a server that has no template for it."""
    if not query.startswith(PREFIX):
        return without_template(query, passages)
    plain = query.partition("<Query>: ")[2].rstrip("\n")
    return healthy(
        plain, [each.removeprefix("<Document>: ").removesuffix(SUFFIX) for each in passages]
    )


# --- Embedders ---


def healthy_vectors(texts: Sequence[str]) -> list[list[float]]:
    """Each golden question has an axis; its answer lies near it, wrong passages do not."""
    return [_unit(_vector(text.rpartition("\nQuery:")[2])) for text in texts]


def instructed_vectors(texts: Sequence[str]) -> list[list[float]]:
    """The same, with a direction of its own for what carries an instruction."""
    raw = [_vector(text.rpartition("\nQuery:")[2]) for text in texts]
    for vector, text in zip(raw, texts, strict=True):
        vector[-1] += 0.3 * text.startswith("Instruct: ")
    return [_unit(vector) for vector in raw]


def long_vectors(texts: Sequence[str]) -> list[list[float]]:
    return [[3 * x for x in vector] for vector in healthy_vectors(texts)]


def first_token_vectors(texts: Sequence[str]) -> list[list[float]]:
    return [_unit([noise(text[:1], str(i)) - 0.5 for i in range(DIMENSIONS)]) for text in texts]


def random_vectors(texts: Sequence[str]) -> list[list[float]]:
    return [_unit([noise(text, str(i)) - 0.5 for i in range(DIMENSIONS)]) for text in texts]


def padded_vectors(texts: Sequence[str]) -> list[list[float]]:
    longest = max(map(len, texts))
    seen = [text if len(text) == longest else text + "#" * (longest - len(text)) for text in texts]
    return [
        vector if text == padded else odd
        for text, padded, vector, odd in zip(
            texts, seen, healthy_vectors(texts), random_vectors(seen), strict=True
        )
    ]


def rotated_vectors(texts: Sequence[str]) -> list[list[float]]:
    vectors = healthy_vectors(texts)
    return vectors[1:] + vectors[:1]


def _vector(text: str) -> list[float]:
    vector = [(noise(text, str(i)) - 0.5) / 10 for i in range(DIMENSIONS)]
    for axis, golden in enumerate(GOLDEN):
        if text in (golden.query, golden.right):
            vector[axis] += 1.0
    return vector


def _unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


# --- Servers ---


def _jina(scores: Sequence[float]) -> object:
    rows = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
    return {"results": sorted(rows, key=lambda row: -row["relevance_score"])}


def _tei(scores: Sequence[float]) -> object:
    rows = [{"index": i, "score": score} for i, score in enumerate(scores)]
    return sorted(rows, key=lambda row: -row["score"])


def _openai(vectors: Sequence[Sequence[float]]) -> object:
    return {"data": [{"index": i, "embedding": list(v)} for i, v in enumerate(vectors)]}


RERANK_ROUTES: dict[str, tuple[str, str, Callable[[Sequence[float]], object]]] = {
    "jina": ("/v1/rerank", "documents", _jina),
    "cohere": ("/v2/rerank", "documents", _jina),
    "tei": ("/rerank", "texts", _tei),
    "dmr": ("/engines/rerank", "documents", _jina),
}
EMBED_ROUTES: dict[str, tuple[str, str, Callable[[Sequence[Sequence[float]]], object]]] = {
    "openai": ("/v1/embeddings", "input", _openai),
    "tei": ("/embed", "inputs", list),
    "dmr": ("/engines/v1/embeddings", "input", _openai),
}


def rerank_reply(request: httpx.Request, dialect: str, scores: Scores) -> httpx.Response:
    """The same server without a port, for `httpx.MockTransport`."""
    path, field, reply = RERANK_ROUTES[dialect]
    if request.url.path != path:
        return httpx.Response(404)
    body = json.loads(request.content)
    return httpx.Response(200, json=reply(scores(body["query"], body[field])))


def embed_reply(request: httpx.Request, dialect: str, vectors: Vectors) -> httpx.Response:
    """The same for an embedder."""
    path, field, reply = EMBED_ROUTES[dialect]
    if request.url.path != path:
        return httpx.Response(404)
    return httpx.Response(200, json=reply(vectors(json.loads(request.content)[field])))


@contextmanager
def serve_reranker(
    scores: Scores, *, dialect: str = "jina", model: str = "reranker", port: int = 0
) -> Iterator[str]:
    """The base URL of a server that speaks one dialect and answers 404 to every other."""
    path, field, reply = RERANK_ROUTES[dialect]

    def post(body: dict[str, object]) -> object | None:
        if field not in body:
            return None
        return reply(scores(str(body["query"]), list(body[field])))  # type: ignore[call-overload]

    with _serve(path, post, _listing(dialect, model), port) as url:
        yield url


@contextmanager
def serve_embedder(
    vectors: Vectors, *, dialect: str = "openai", model: str = "embedder"
) -> Iterator[str]:
    """The same for an embedder."""
    path, field, reply = EMBED_ROUTES[dialect]

    def post(body: dict[str, object]) -> object | None:
        return reply(vectors(list(body[field])))  # type: ignore[call-overload]

    with _serve(path, post, _listing(dialect, model)) as url:
        yield url


def _listing(dialect: str, model: str) -> dict[str, object]:
    if dialect == "tei":
        return {"/info": {"model_id": model, "max_client_batch_size": 32}}
    prefix = "/engines" if dialect == "dmr" else ""
    return {f"{prefix}/v1/models": {"data": [{"id": model}]}}


@contextmanager
def _serve(
    path: str,
    post: Callable[[dict[str, object]], object | None],
    pages: dict[str, object],
    port: int = 0,
) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 1  # seconds after which an idle connection is closed, as real servers do
        wbufsize = -1  # head and body in one packet: else each answer waits for an ACK

        def do_GET(self) -> None:
            self._answer(pages.get(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(post(body) if self.path == path else None)

        def _answer(self, reply: object | None) -> None:
            content = json.dumps({"detail": "Not Found"} if reply is None else reply).encode()
            self.send_response(404 if reply is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = False  # closing waits for every connection to end
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
