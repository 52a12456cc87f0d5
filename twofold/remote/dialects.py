"""What model servers are sent and how their answers are read. Pure: JSON in, JSON out.

The readers take every shape that is met in the field, whatever the dialect of the request:
Cohere, Jina, vLLM, TEI, Infinity, SGLang, Voyage and DashScope for scores; OpenAI (numbers or
base64) and TEI for vectors. Rows may come in any order; their `index` decides.
"""

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import JsonValue

from twofold.remote.url import Dialect

Body: TypeAlias = dict[str, JsonValue]
T = TypeVar("T")

RERANK_PATHS: dict[Dialect, str] = {
    "cohere": "/v2/rerank",
    "jina": "/v1/rerank",
    "tei": "/rerank",
    "dmr": "/engines/{backend}/rerank",
}
EMBED_PATHS: dict[Dialect, str] = {
    "openai": "/v1/embeddings",
    "tei": "/embed",
    "dmr": "/engines/{backend}/v1/embeddings",
}
MAX_BYTES: dict[Dialect, int] = {"tei": 2_000_000, "dmr": 10 * 1024 * 1024}
"""Caps on a request body: TEI's default --payload-limit, Docker Model Runner's fixed one."""


ModelKind: TypeAlias = Literal["embedding", "rerank"]
INFO_TYPES: dict[ModelKind, frozenset[str]] = {
    "embedding": frozenset({"embedding"}),
    "rerank": frozenset({"reranker", "classifier"}),
}
"""Keys of `model_type` in what TEI says of its model."""


class UnreadableReply(ValueError):
    """The server answered, and not what was asked for."""


def endpoint(base: str, path: str, backend: str | None = None) -> str:
    """Join base URL and path, whether or not the base already has the beginning of the path.

    People paste `http://host`, `http://host/v1` and `http://host/v1/rerank` alike.
    """
    path = path.replace("/{backend}", f"/{backend}" if backend else "")
    have = urlsplit(base).path.split("/")
    want = path.split("/")[1:]
    for shared in range(len(want), 0, -1):
        if have[-shared:] == want[:shared]:
            return "/".join([base, *want[shared:]])
    return base + path


def rerank_body(
    dialect: Dialect,
    query: str,
    passages: Sequence[str],
    *,
    model: str | None = None,
    instruction: str | None = None,
    truncate: bool = True,
) -> Body:
    """The request to score passages; only `jina` has a place for an instruction.

    `truncate` lets a TEI server cut what is too long at its end; not wanted when the end is the
    suffix of a prompt.
    """
    if dialect == "tei":
        return {"query": query, "texts": list(passages), "truncate": truncate, "raw_scores": False}
    body: Body = {"query": query, "documents": list(passages), "top_n": len(passages)}
    if model is not None:
        body["model"] = model
    if dialect == "jina":
        body["return_documents"] = False
        if instruction is not None:
            body["instruction"] = instruction
    return body


def embed_body(
    dialect: Dialect,
    texts: Sequence[str],
    *,
    model: str | None = None,
    dimensions: int | None = None,
    prompt_name: str | None = None,
) -> Body:
    """The request to embed texts; base64 is what the OpenAI SDK asks for, and smaller."""
    body: Body
    if dialect == "tei":
        body = {"inputs": list(texts), "truncate": True, "normalize": True}
        if prompt_name is not None:
            body["prompt_name"] = prompt_name
    else:
        body = {"input": list(texts), "encoding_format": "base64"}
        if model is not None:
            body["model"] = model
    if dimensions is not None:
        body["dimensions"] = dimensions
    return body


def read_scores(reply: object, count: int) -> list[float]:
    """Scores of `count` passages, in the order in which they were sent.

    Raises:
        UnreadableReply: No known shape, or a score is missing, doubled, or not a finite number.
    """
    return _by_index(_rows(reply), count, _score)


def read_vectors(reply: object, count: int) -> list[Sequence[float]]:
    """Vectors of `count` texts as float32, in the order in which they were sent.

    Raises:
        UnreadableReply: No known shape, or a vector is missing, doubled, of another length than
            its neighbours, or not all finite numbers.
    """
    rows = _rows(reply)
    if rows and isinstance(rows[0], list):
        if len(rows) != count:
            raise UnreadableReply(f"{len(rows)} vectors came back for {count} texts")
        vectors = [_vector(row) for row in rows]
    else:
        vectors = _by_index(rows, count, lambda row: _vector(row.get("embedding")))
    lengths = {len(vector) for vector in vectors}
    if len(lengths) > 1:
        raise UnreadableReply(f"the vectors differ in length: {sorted(lengths)}")
    return vectors


def read_models(reply: object, kind: ModelKind) -> list[str]:
    """Names in an OpenAI-like list of models; empty for any other reply.

    A server of several kinds, such as another Twofold, says of which type a model is; those of
    another type are left out.
    """
    rows = reply.get("data") if isinstance(reply, Mapping) else None
    found = rows if isinstance(rows, list) else []
    ours = [row for row in found if isinstance(row, Mapping) and row.get("type", kind) == kind]
    names = [row.get("id") for row in ours]
    return [name for name in names if isinstance(name, str)]


def read_info(reply: object, kind: ModelKind) -> dict[str, object]:
    """What TEI says of its model; empty where it speaks of a model of another type."""
    info = reply if isinstance(reply, dict) else {}
    types = info.get("model_type")
    if isinstance(types, Mapping) and types and INFO_TYPES[kind].isdisjoint(types):
        return {}
    return info


def _rows(reply: object) -> list[object]:
    """The list inside a reply: bare, or under `results`, `data`, or `output.results`."""
    if isinstance(reply, list):
        return reply
    if isinstance(reply, Mapping):
        for key in ("results", "data"):
            if isinstance(rows := reply.get(key), list):
                return rows
        if isinstance(output := reply.get("output"), Mapping):
            return _rows(output)
    raise UnreadableReply("the reply holds no list of results")


def _by_index(
    rows: Sequence[object], count: int, read: Callable[[Mapping[object, object]], T]
) -> list[T]:
    found: dict[int, T] = {}
    for row in rows:
        if not isinstance(row, Mapping):
            raise UnreadableReply("an entry of the reply is not an object")
        index = row.get("index")
        if not isinstance(index, int) or isinstance(index, bool):
            raise UnreadableReply("an entry of the reply has no index")
        if not 0 <= index < count:
            raise UnreadableReply(f"the reply has index {index} and {count} texts were sent")
        if index in found:
            raise UnreadableReply(f"the reply has index {index} twice")
        found[index] = read(row)
    if len(found) != count:
        raise UnreadableReply(f"{len(found)} entries came back for {count} texts")
    return [found[index] for index in range(count)]


def _score(row: Mapping[object, object]) -> float:
    score = row.get("relevance_score", row.get("score"))
    if not isinstance(score, int | float) or isinstance(score, bool) or not math.isfinite(score):
        raise UnreadableReply("a score is not a finite number")
    return float(score)


def _vector(value: object) -> Sequence[float]:
    """A list of numbers, or base64 of little-endian float32."""
    vector: array[float] = array("f")
    try:
        if isinstance(value, str):
            vector.frombytes(base64.b64decode(value, validate=True))
            if sys.byteorder == "big":
                vector.byteswap()
        elif isinstance(value, list):
            vector.extend(value)
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise UnreadableReply("a vector is neither numbers nor base64 of float32") from None
    if not vector or not all(map(math.isfinite, vector)):
        raise UnreadableReply("a vector is empty or holds something that is not a finite number")
    return vector
