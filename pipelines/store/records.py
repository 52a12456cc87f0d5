"""How ledger rows and chunks lie in a shard: ids and payloads of its points.

What is read back whole travels as one JSON string under `record`: two hundred candidates are then
two hundred strings, not thousands of values carried over the language border one by one. Beside
it lie only the keys that filters ask for. Metadata keys are never payload keys (see `filters`).
"""

import json
from typing import Final, TypeAlias, cast
from uuid import UUID

import numpy as np
import qdrant_edge as engine
from pydantic import JsonValue

from pipelines import filters
from pipelines.keys import derived_uuid
from pipelines.ports import Chunk, SparseVector, Vectors
from twofold.schema import Document

Payload: TypeAlias = dict[str, JsonValue]

DENSE: Final = "dense"
SPARSE: Final = "bm25"


def row_id(tenant: str, collection: str, document_id: str) -> UUID:
    """Id of the point of a ledger row."""
    return UUID(derived_uuid("document", tenant, collection, document_id))


def chunk_id(tenant: str, collection: str, chunk: str) -> UUID:
    """Id of the point of a chunk; holds the tenant, so that no id can name another's point."""
    return UUID(derived_uuid("chunk", tenant, collection, chunk))


def row_point(tenant: str, document: Document, *marks: str) -> engine.Point:
    """A ledger row; `marks` lie in the indexed `facts`, which rows do not need."""
    payload: Payload = {
        "tenant": tenant,
        "kind": "document",
        "document": document.id,
        "status": document.status,
        "sha256": document.sha256,
        "facts": list(marks),
        "record": document.model_dump_json(),
    }
    return engine.Point(row_id(tenant, document.collection, document.id), {}, payload)


def row_of(payload: Payload) -> Document:
    """The ledger row of a payload, as it was put."""
    return Document.model_validate_json(_record(payload))


def chunk_point(tenant: str, collection: str, chunk: Chunk, vectors: Vectors) -> engine.Point:
    """A chunk that no search sees yet."""
    payload: Payload = {
        "tenant": tenant,
        "kind": "staged",
        "document": chunk.document_id,
        "version": chunk.version,
        "ordinal": chunk.ordinal,
        "passage": chunk.sha256,
        "facts": [*filters.facts(chunk.metadata)],
        "fields": cast("list[JsonValue]", filters.fields(chunk.metadata)),
        "record": json.dumps(
            {name: getattr(chunk, name) for name in Chunk.__slots__},
            ensure_ascii=False,
            separators=(",", ":"),
        ),
    }
    sparse = engine.SparseVector(vectors.sparse.indices, vectors.sparse.values)
    return engine.Point(
        chunk_id(tenant, collection, chunk.id),
        {DENSE: vectors.dense.tolist(), SPARSE: sparse},
        payload,
    )


def chunk_of(payload: Payload) -> Chunk:
    """The chunk of a payload, as it was staged."""
    record = json.loads(_record(payload))
    return Chunk(**{**record, "headings": tuple(record["headings"])})


def vectors_of(record: engine.Record) -> tuple[str, Vectors]:
    """The hash of a chunk's passage with both of its vectors."""
    stored = record.vector
    assert isinstance(stored, dict)  # noqa: S101
    dense, sparse = stored[DENSE], stored[SPARSE]
    assert isinstance(sparse, engine.SparseVector)  # noqa: S101
    return str((record.payload or {})["passage"]), Vectors(
        np.array(dense, dtype=np.float32), SparseVector(sparse.indices, sparse.values)
    )


def _record(payload: Payload) -> str:
    record = payload["record"]
    assert isinstance(record, str)  # noqa: S101 - a shard holds only what this file wrote
    return record
