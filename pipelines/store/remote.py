"""One collection on a Qdrant server: how it is made, and the verbs that the store speaks to it.

Every write waits until it is applied. Writes to the ledger go through the one permanent leader of
a shard (`strong`), so that all replicas decide a conditional update alike. Reads of a collection
with replicas ask the majority of them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast
from uuid import UUID

from pydantic import TypeAdapter
from qdrant_client import models

from pipelines.ports import Vector
from pipelines.quantization import QUANTILE
from pipelines.store.conditions import Clause
from pipelines.store.connection import AlreadyThere, Connection
from pipelines.store.records import DENSE, INDEXES, PREFIX, SPARSE, Payload, Point, Shape
from twofold.schema import Quantization

Ordering = models.WriteOrdering
_SCHEMA: TypeAdapter[models.PayloadSchemaParams] = TypeAdapter(models.PayloadSchemaParams)
_PAGE = 256
_COPIES: Mapping[Quantization, models.ScalarQuantization | models.BinaryQuantization] = {
    "int8": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=QUANTILE, always_ram=True
        )
    ),
    "binary": models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True)),
}

Quantized: TypeAlias = Literal["none"] | Quantization


@dataclass(frozen=True)
class Layout:
    """How new collections lie on the server; but for quantisation, old ones stay as they are.

    Attributes:
        replicas: Copies of each shard; a write succeeds when the majority has it.
        shards: None: as the server decides.
        quantization: Copies of vectors that are kept in memory, a quarter (`int8`) or a 32nd part
            (`binary`) of their size; hits are ordered by whole ones. The server makes or removes
            them for collections that exist; None: each keeps what it has.
        prefix_dimensions: MRL: so many first dimensions find candidates, whole vectors order
            them. Only for embedders that were trained for it.
    """

    replicas: int = 1
    shards: int | None = None
    quantization: Quantized | None = None
    prefix_dimensions: int | None = None


class RemoteCollection:
    """A collection that exists, or will.

    Args:
        connection: To the server.
        name: On the server.
        replicas: Copies of each shard.
        prefix: Length of the vectors that it keeps for the first pass; None: it keeps none.
        copies: Quantised ones that it has of the vectors which find; None: it has none.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        replicas: int,
        prefix: int | None = None,
        copies: Quantization | None = None,
    ) -> None:
        self.prefix = prefix
        self.copies = copies
        self._connection = connection
        self._name = name
        self._consistency = models.ReadConsistencyType.MAJORITY if replicas > 1 else None

    @classmethod
    async def open(
        cls, connection: Connection, name: str, quantization: Quantized | None = None
    ) -> "RemoteCollection":
        """A collection as it was made, but with these copies of its vectors.

        The server makes or removes them in its own time, and answers meanwhile.

        Raises:
            NoSuchCollection: There is none of this name.
        """
        info = await connection(lambda client: client.get_collection(name))
        params = info.config.params
        vectors = cast("Mapping[str, models.VectorParams]", params.vectors)
        prefix = vectors[PREFIX].size if PREFIX in vectors else None
        finding = PREFIX if prefix is not None else DENSE
        copies = _copies_of(vectors[finding])
        if quantization is not None and quantization != (copies or "none"):
            change = {finding: _change_to(quantization)}
            await connection(lambda client: client.update_collection(name, vectors_config=change))
            copies = None if quantization == "none" else quantization
        return cls(connection, name, params.replication_factor or 1, prefix, copies)

    # --- Writing ----------------------------------------------------------------------------

    async def upsert(self, points: Sequence[Point], *, over: Clause) -> None:
        """Insert points; replace those of the same id for which the clause holds."""
        await self._update(
            [
                models.UpsertOperation(
                    upsert=models.PointsList(
                        points=[self._struct(point) for point in points],
                        update_filter=_filter(over),
                    )
                )
            ],
            Ordering.MEDIUM,
        )

    async def put(self, new: Sequence[Point], changes: Sequence[tuple[Clause, Payload]]) -> None:
        """Insert ledger rows that are not there; set keys of those that the clauses hold for."""
        operations: list[models.UpdateOperation] = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload=payload, filter=_filter(where))
            )
            for where, payload in changes
        ]
        if new:
            inserted = models.PointsList(
                points=[self._struct(point) for point in new],
                update_mode=models.UpdateMode.INSERT_ONLY,
            )
            operations.insert(0, models.UpsertOperation(upsert=inserted))
        await self._update(operations, Ordering.STRONG)

    async def set_payload(self, where: Clause, payload: Payload, ordering: Ordering) -> None:
        """Set keys of every point that the clause holds for."""
        change = models.SetPayload(payload=payload, filter=_filter(where))
        await self._update([models.SetPayloadOperation(set_payload=change)], ordering)

    async def delete(self, where: Clause, ordering: Ordering) -> None:
        """Delete every point that the clause holds for."""
        chosen = models.FilterSelector(filter=_filter(where))
        await self._update([models.DeleteOperation(delete=chosen)], ordering)

    async def _update(
        self, operations: Sequence[models.UpdateOperation], ordering: Ordering
    ) -> None:
        await self._connection(
            lambda client: client.batch_update_points(
                self._name, operations, wait=True, ordering=ordering
            )
        )

    def _struct(self, point: Point) -> models.PointStruct:
        return models.PointStruct(
            id=str(point.id),
            vector={} if point.vectors is None else self._vectors(*point.vectors),
            payload=point.payload,
        )

    def _vectors(self, dense: Vector, sparse: Any) -> dict[str, Any]:
        vectors: dict[str, Any] = {
            DENSE: dense.tolist(),
            SPARSE: models.SparseVector(indices=sparse.indices, values=sparse.values),
        }
        if self.prefix is not None:
            vectors[PREFIX] = dense[: self.prefix].tolist()
        return vectors

    # --- Reading ----------------------------------------------------------------------------

    async def get(self, ids: Sequence[UUID], keys: Sequence[str] = ()) -> list[Payload]:
        """Payloads of those of the points that are there, or only some keys of them."""
        found = await self._connection(
            lambda client: client.retrieve(
                self._name,
                [str(each) for each in ids],
                with_payload=list(keys) or True,
                consistency=self._consistency,
            )
        )
        return [record.payload or {} for record in found]

    async def page(
        self,
        where: Clause,
        *,
        start: UUID | None = None,
        limit: int = _PAGE,
        keys: Sequence[str] = (),
    ) -> tuple[list[Payload], UUID | None]:
        """Payloads of up to `limit` points by ascending id, and the id that the next begins at."""
        records, following = await self._scroll(where, start, limit, payload=list(keys) or True)
        return [record.payload or {} for record in records], following

    async def all(self, where: Clause, *, vectors: bool = False) -> list[models.Record]:
        """Every point that the clause holds for, with its vectors if wanted."""
        found, start = await self._scroll(where, None, _PAGE, vectors=vectors)
        while start is not None:
            records, start = await self._scroll(where, start, _PAGE, vectors=vectors)
            found += records
        return found

    async def _scroll(
        self,
        where: Clause,
        start: UUID | None,
        limit: int,
        *,
        payload: list[str] | bool = True,
        vectors: bool = False,
    ) -> tuple[list[models.Record], UUID | None]:
        records, following = await self._connection(
            lambda client: client.scroll(
                self._name,
                _filter(where),
                limit=limit,
                offset=str(start) if start else None,
                with_payload=payload,
                with_vectors=[DENSE, SPARSE] if vectors else False,
                consistency=self._consistency,
            )
        )
        return records, UUID(str(following)) if following is not None else None

    async def oldest(
        self, where: Clause, *, since: float | None = None, limit: int = _PAGE
    ) -> list[Payload]:
        """Payloads of up to `limit` points in the order of `touched`, from `since` on."""
        records, _ = await self._connection(
            lambda client: client.scroll(
                self._name,
                _filter(where),
                limit=limit,
                order_by=models.OrderBy(key="touched", start_from=since),
                consistency=self._consistency,
            )
        )
        return [record.payload or {} for record in records]

    async def count(self, where: Clause) -> int:
        """How many points the clause holds for."""
        counted = await self._connection(
            lambda client: client.count(self._name, _filter(where), exact=True)
        )
        return counted.count

    async def count_by(self, key: str, where: Clause, *, limit: int = _PAGE) -> dict[str, int]:
        """How many points the clause holds for, by the value of an indexed key."""
        facet = await self._connection(
            lambda client: client.facet(
                self._name, key, facet_filter=_filter(where), limit=limit, exact=True
            )
        )
        return {str(hit.value): hit.count for hit in facet.hits if hit.count}

    async def query(self, requests: Sequence[Clause]) -> list[list[models.ScoredPoint]]:
        """Several searches in one call, each with its own hits, best first."""
        batch = [models.QueryRequest.model_validate(each) for each in requests]
        answers = await self._connection(
            lambda client: client.query_batch_points(self._name, batch)
        )
        return [answer.points for answer in answers]


async def create(connection: Connection, name: str, shape: Shape, layout: Layout) -> None:
    """Make a collection with its indexes; finishes what another has begun.

    Two processes may do this at once: everything is done once, or twice to the same effect.
    """
    config = _vectors_config(shape.dimensions, layout)
    await _create(
        connection, name, layout, vectors_config=config, metadata={"twofold": shape._asdict()}
    )
    for key, schema in INDEXES.items():
        await _index(connection, name, key, _SCHEMA.validate_python(schema))


async def create_notes(
    connection: Connection, name: str, keys: Sequence[str], layout: Layout
) -> None:
    """Make a collection for payloads alone, with indexes of these keys; again is nothing."""
    await _create(connection, name, replace(layout, shards=1))
    for key in keys:
        await _index(connection, name, key, models.PayloadSchemaType.KEYWORD)


async def remove(connection: Connection, name: str) -> None:
    """Delete a collection with all that is in it; nothing happens if it is not there."""
    await connection(lambda client: client.delete_collection(name))


async def _create(connection: Connection, name: str, layout: Layout, **more: Any) -> None:
    with suppress(AlreadyThere):
        await connection(
            lambda client: client.create_collection(
                name,
                sparse_vectors_config={
                    SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
                shard_number=layout.shards,
                replication_factor=layout.replicas,
                write_consistency_factor=layout.replicas // 2 + 1,
                **more,
            )
        )


async def _index(
    connection: Connection, name: str, key: str, schema: models.PayloadSchemaType | Any
) -> None:
    await connection(lambda client: client.create_payload_index(name, key, schema, wait=True))


def _vectors_config(dimensions: int, layout: Layout) -> dict[str, models.VectorParams]:
    """Whole vectors, and their beginnings where those find the candidates.

    Whichever finds the candidates has the graph and, if wanted, the quantised copy.
    """
    finding: dict[str, Any] = {"distance": models.Distance.COSINE}
    if layout.quantization is not None and layout.quantization != "none":
        finding |= {"quantization_config": _COPIES[layout.quantization], "on_disk": True}
    if layout.prefix_dimensions is None or layout.prefix_dimensions >= dimensions:
        return {DENSE: models.VectorParams(size=dimensions, **finding)}
    return {
        PREFIX: models.VectorParams(size=layout.prefix_dimensions, **finding),
        DENSE: models.VectorParams(
            size=dimensions,
            distance=models.Distance.COSINE,
            on_disk=True,
            hnsw_config=models.HnswConfigDiff(m=0),
        ),
    }


def _copies_of(vectors: models.VectorParams) -> Quantization | None:
    """What a collection has; copies of other kinds are not ours."""
    for name, config in _COPIES.items():
        if isinstance(vectors.quantization_config, type(config)):
            return name
    return None


def _change_to(quantization: Quantized) -> models.VectorParamsDiff:
    """Whole vectors lie on the disk where copies find, and in memory where they find themselves."""
    if quantization == "none":
        return models.VectorParamsDiff(quantization_config=models.Disabled.DISABLED, on_disk=False)
    return models.VectorParamsDiff(quantization_config=_COPIES[quantization], on_disk=True)


def _filter(clause: Clause) -> models.Filter:
    return models.Filter.model_validate(clause)
