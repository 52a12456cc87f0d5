"""What can be asked of the server about collections; as `calls.py`, one `Call` for each thing."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from pydantic import BaseModel, JsonValue

from twofold.calls import Call
from twofold.checking import checked
from twofold.schema import (
    ChangeCollection,
    CollectionInfo,
    CollectionList,
    ComparedQuery,
    CreateCollection,
    RebuildCollection,
)

_SLOWEST_DELETE_S = 600.0  # beyond the usual timeout; a collection may have many files


class CollectionOptions(TypedDict, total=False):
    """The fields of `CreateCollection` beside the name."""

    embedder: str
    dimensions: int
    chunk_tokens: int
    language: str
    query_instruction: str | None
    rerank_instruction: str | None


class InstructionOptions(TypedDict, total=False):
    """The fields of `ChangeCollection`; what is left out stays, None takes it away."""

    query_instruction: str | None
    rerank_instruction: str | None


class RebuildOptions(TypedDict, total=False):
    """The fields of `RebuildCollection`; plain dicts stand for the queries."""

    embedder: str
    dimensions: int
    chunk_tokens: int
    language: str
    switch: Literal["auto", "manual"]
    queries: Sequence[ComparedQuery | Mapping[str, JsonValue]]


def create(name: str, options: CollectionOptions) -> Call[CollectionInfo]:
    """`POST /collections`; a second one finds it there, so it is not repeated."""
    body = checked(CreateCollection, {"name": name, **options})
    return Call("POST", "/collections", CollectionInfo, content=_json(body), idempotent=False)


def every() -> Call[CollectionList]:
    """`GET /collections`."""
    return Call("GET", "/collections", CollectionList)


def one(name: str) -> Call[CollectionInfo]:
    """`GET /collections/{name}`."""
    return Call("GET", _path(name), CollectionInfo)


def change(name: str, options: InstructionOptions) -> Call[CollectionInfo]:
    """`PATCH /collections/{name}`."""
    body = checked(ChangeCollection, dict(options))
    return Call("PATCH", _path(name), CollectionInfo, content=_json(body))


def delete(name: str) -> Call[CollectionInfo]:
    """`DELETE /collections/{name}`; a second one finds nothing, so it is not repeated."""
    return Call("DELETE", _path(name), CollectionInfo, idempotent=False, extra_s=_SLOWEST_DELETE_S)


def rebuild(name: str, options: RebuildOptions) -> Call[CollectionInfo]:
    """`POST /collections/{name}/rebuild`; the same again goes on with the same."""
    body = checked(RebuildCollection, dict(options))
    return Call("POST", f"{_path(name)}/rebuild", CollectionInfo, content=_json(body))


def switch(name: str) -> Call[CollectionInfo]:
    """`POST /collections/{name}/rebuild/switch`; a second one finds nothing that waits."""
    return Call("POST", f"{_path(name)}/rebuild/switch", CollectionInfo, idempotent=False)


def cancel(name: str) -> Call[CollectionInfo]:
    """`DELETE /collections/{name}/rebuild`; a second one finds nothing."""
    return Call("DELETE", f"{_path(name)}/rebuild", CollectionInfo, idempotent=False)


def _path(name: str) -> str:
    return f"/collections/{checked(CreateCollection, {'name': name}).name}"


def _json(body: BaseModel) -> str:
    return body.model_dump_json(exclude_unset=True)
