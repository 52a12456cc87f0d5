"""One collection on a Qdrant server: how it is made, and the verbs that the store speaks to it.

    notes       an alias, made last: a collection without it never came into being
    notes@1     the collection behind it, so that it can be rebuilt as notes@2 beside the old one

Every write waits until it is applied. Writes to the ledger go through the one permanent leader of
a shard (`strong`), so that all replicas decide a conditional update alike. Reads of a collection
with replicas ask the majority of them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from pydantic import TypeAdapter
from qdrant_client import AsyncQdrantClient, models

from pipelines.ports import Collection, Vector
from pipelines.store.conditions import Clause
from pipelines.store.connection import AlreadyThere, Connection, NoSuchCollection
from pipelines.store.records import DENSE, INDEXES, PREFIX, SPARSE, Payload, Point

Ordering = models.WriteOrdering
_SCHEMA: TypeAdapter[models.PayloadSchemaParams] = TypeAdapter(models.PayloadSchemaParams)
_MEMORY = "twofold"  # key of the collection's metadata that holds what it remembers
_PAGE = 256


@dataclass(frozen=True)
class Layout:
    """How new collections lie on the server; those that exist stay as they are.

    Attributes:
        replicas: Copies of each shard; a write succeeds when the majority has it.
        shards: None: as the server decides.
        quantization: `int8` keeps vectors in a quarter of the memory; hits are rescored.
        prefix_dimensions: MRL: so many first dimensions find candidates, whole vectors order
            them. Only for embedders that were trained for it.
    """

    replicas: int = 1
    shards: int | None = None
    quantization: Literal["none", "int8"] = "none"
    prefix_dimensions: int | None = None


class RemoteCollection:
    """A collection that exists.

    Attributes:
        memory: The model that its vectors came from.
        prefix: Length of the vectors that it keeps for the first pass; None: it keeps none.
    """

    def __init__(
        self, connection: Connection, alias: str, memory: Collection, info: models.CollectionInfo
    ) -> None:
        self.memory = memory
        params = info.config.params
        vectors = cast("Mapping[str, models.VectorParams]", params.vectors)
        self.prefix = vectors[PREFIX].size if PREFIX in vectors else None
        self._connection = connection
        self._name = alias
        replicated = (params.replication_factor or 1) > 1
        self._consistency = models.ReadConsistencyType.MAJORITY if replicated else None

    @classmethod
    async def open(cls, connection: Connection, alias: str, name: str) -> "RemoteCollection":
        """The collection behind an alias. Raises NoSuchCollection."""
        info = await connection(lambda client: client.get_collection(alias))
        memory = cast("dict[str, Any]", info.config.metadata or {}).get(_MEMORY)
        if memory is None:
            raise NoSuchCollection  # somebody else's, on a server that we share
        return cls(connection, alias, Collection(name, **memory), info)

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

    async def count_by(self, key: str, where: Clause) -> dict[str, int]:
        """How many points the clause holds for, by the value of an indexed key."""
        facet = await self._connection(
            lambda client: client.facet(
                self._name, key, facet_filter=_filter(where), limit=_PAGE, exact=True
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


async def create(
    connection: Connection, alias: str, collection: Collection, layout: Layout
) -> None:
    """Make a collection with its indexes, then its alias; finishes what another has begun.

    Two processes may do this at once: the collection is made once, everything else twice to the
    same effect.
    """
    name = f"{alias}@1"
    with suppress(AlreadyThere):
        await connection(lambda client: _create(client, name, collection, layout))
    for key, schema in INDEXES.items():
        params = _SCHEMA.validate_python(schema)
        await connection(
            lambda client, key=key, params=params: client.create_payload_index(  # type: ignore[misc]
                name, key, params, wait=True
            )
        )
    pointed = models.CreateAlias(collection_name=name, alias_name=alias)
    await connection(
        lambda client: client.update_collection_aliases(
            [models.CreateAliasOperation(create_alias=pointed)]
        )
    )


async def _create(
    client: AsyncQdrantClient, name: str, collection: Collection, layout: Layout
) -> bool:
    memory = {"embedder": collection.embedder, "dimensions": collection.dimensions}
    return await client.create_collection(
        name,
        vectors_config=_vectors_config(collection.dimensions, layout),
        sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        shard_number=layout.shards,
        replication_factor=layout.replicas,
        write_consistency_factor=layout.replicas // 2 + 1,
        metadata={_MEMORY: memory},
    )


def _vectors_config(dimensions: int, layout: Layout) -> dict[str, models.VectorParams]:
    """Whole vectors, and their beginnings where those find the candidates.

    Whichever finds the candidates has the graph and, if wanted, the quantised copy.
    """
    int8 = models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=0.99, always_ram=True
        )
    )
    finding: dict[str, Any] = {"distance": models.Distance.COSINE}
    if layout.quantization == "int8":
        finding |= {"quantization_config": int8, "on_disk": True}
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


def _filter(clause: Clause) -> models.Filter:
    return models.Filter.model_validate(clause)
