"""How ledger rows and chunks lie in a collection: ids, payloads and indexes of its points.

Both stores write the same, so that a backup of one can be read by the other. What is read back
whole travels as one JSON string under `record`: two hundred candidates are then two hundred
strings, not thousands of values carried over a border one by one. Beside it lie only the keys that
filters ask for. Metadata keys are never payload keys (see `filters`).

A row says two things that change apart from each other: what is being worked on (`status`,
`upload`, `record`), and what searches see (`live`, `published`), which only publishing touches.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol, Self, TypeAlias, cast
from uuid import UUID

import msgspec
import numpy as np
from pydantic import JsonValue

from pipelines import filters
from pipelines.keys import derived_uuid
from pipelines.ports import Chunk, Collection, SparseVector, Vectors
from twofold.schema import Document

Payload: TypeAlias = dict[str, JsonValue]

DENSE: Final = "dense"
SPARSE: Final = "bm25"
PREFIX: Final = "prefix"

LIVE: Final = ("live_version", "chunks", "title")
"""The fields of a row that only publishing changes."""

INDEXES: Final[Mapping[str, Mapping[str, JsonValue]]] = {
    "space": {"type": "keyword", "is_tenant": True},
    "kind": {"type": "keyword"},
    "findable": {"type": "keyword"},
    "document": {"type": "keyword"},
    "status": {"type": "keyword"},
    "sha256": {"type": "keyword"},
    "upload": {"type": "keyword"},
    "created": {"type": "keyword"},
    "version": {"type": "integer"},
    "ordinal": {"type": "integer"},
    "chunk": {"type": "keyword"},
    "touched": {"type": "float"},
    "facts": {"type": "keyword", "prefix": True},
    "fields[].key": {"type": "keyword", "nested": "fields"},
    "fields[].number": {"type": "float", "nested": "fields"},
    "fields[].time": {"type": "datetime", "nested": "fields"},
    "fields[].text": {"type": "keyword", "nested": "fields", "prefix": True},
}
"""Every payload key that a filter asks for, with its index: no search reads all payloads."""


_chunk = msgspec.json.Decoder(Chunk)


class Shape(NamedTuple):
    """What vectors must have in common to lie in one physical collection."""

    embedder: str
    dimensions: int

    @classmethod
    def of(cls, collection: Collection) -> Self:
        """The shape of a collection's vectors."""
        return cls(collection.embedder, collection.dimensions)


class Point(NamedTuple):
    """A point to write; a row has no vectors."""

    id: UUID
    payload: Payload
    vectors: Vectors | None = None


class Sparse(Protocol):
    """A sparse vector as either engine's client returns it."""

    @property
    def indices(self) -> list[int]: ...
    @property
    def values(self) -> list[float]: ...


# --- Rows -----------------------------------------------------------------------------------


def row_id(space: str, document_id: str) -> UUID:
    """Id of the point of a ledger row."""
    return UUID(derived_uuid("document", space, document_id))


def row_point(space: str, document: Document, *marks: str) -> Point:
    """A ledger row; `marks` lie in the indexed `facts`, which rows do not need."""
    payload: Payload = {
        "space": space,
        "kind": "document",
        "document": document.id,
        "facts": list(marks),
        **work_of(document),
        **live_of(document),
    }
    return Point(row_id(space, document.id), payload)


def work_of(document: Document) -> Payload:
    """The keys of a row that say what is being worked on."""
    return {
        "status": document.status,
        "sha256": document.sha256,
        "upload": upload_of(document),
        "touched": max(
            document.updated_at, document.heartbeat_at or document.updated_at
        ).timestamp(),
        "record": document.model_dump_json(),
    }


def live_of(document: Document) -> Payload:
    """The keys of a row that say what searches see; none for what was never published."""
    if document.live_version is None:
        return {}
    return {
        "live": _upload(document.created_at, document.live_version),
        "published": document.model_dump(include=set(LIVE)),
    }


def row_of(payload: Payload, address: str) -> Document:
    """The ledger row of a payload, for whoever asked for it by this address."""
    document = Document.model_validate_json(_record(payload))
    published = cast("dict[str, object]", payload.get("published") or {})
    return document.model_copy(update={**published, "collection": address})


def upload_of(document: Document) -> str:
    """What tells an upload from every other of its document, also from one before a deletion."""
    return _upload(document.created_at, document.version)


def _upload(created: datetime, version: int) -> str:
    return f"{filters.format_time(created)}/{version}"


# --- Chunks ---------------------------------------------------------------------------------


def chunk_id(space: str, upload: str, chunk: str) -> UUID:
    """Id of the point of a chunk; holds the space, so that no id can name another's point.

    And the upload, so that a worker who comes late cannot write over what came after him.
    """
    return UUID(derived_uuid("chunk", space, upload, chunk))


def chunk_point(space: str, document: Document, chunk: Chunk, vectors: Vectors) -> Point:
    """A chunk of the upload that a row is of; no search sees it yet."""
    upload = upload_of(document)
    payload: Payload = {
        "space": space,
        "kind": "staged",
        "document": chunk.document_id,
        "upload": upload,
        "created": filters.format_time(document.created_at),
        "version": chunk.version,
        "ordinal": chunk.ordinal,
        "chunk": chunk.id,
        "passage": chunk.sha256,
        "facts": [*filters.facts(chunk.metadata)],
        "fields": cast("list[JsonValue]", filters.fields(chunk.metadata)),
        "record": json.dumps(
            {name: getattr(chunk, name) for name in Chunk.__slots__},
            ensure_ascii=False,
            separators=(",", ":"),
        ),
    }
    return Point(chunk_id(space, upload, chunk.id), payload, vectors)


def published(space: str) -> Payload:
    """The keys that make a staged chunk one that searches of its space find."""
    return {"kind": "chunk", "findable": space}


def chunk_of(payload: Payload) -> Chunk:
    """The chunk of a payload, as it was staged."""
    return _chunk.decode(_record(payload))


def vectors_of(payload: Payload, stored: object) -> tuple[str, Vectors]:
    """The hash of a chunk's passage with both of its vectors, as either engine returns them."""
    vectors = cast("Mapping[str, object]", stored)
    dense, sparse = cast("Sequence[float]", vectors[DENSE]), cast("Sparse", vectors[SPARSE])
    return str(payload["passage"]), Vectors(
        np.array(dense, dtype=np.float32), SparseVector(sparse.indices, sparse.values)
    )


def _record(payload: Payload) -> str:
    record = payload["record"]
    assert isinstance(record, str)  # noqa: S101 - a collection holds only what this file wrote
    return record
