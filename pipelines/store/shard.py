"""A shard of the embedded engine on disk, the home of generations whose vectors are alike.

    collections/NAME@1/shape.json      written last: a folder without it never came into being
    collections/NAME@1/indexed.json    how much had an index when it was last built
    collections/NAME@1/shard/          the engine's own files

What is worth knowing of the engine (qdrant-edge-py 0.9), by experiment:

- A write survives a SIGKILL as soon as the call returns: the log is replayed at load. It survives
  a power loss when the log was synced, see `wal`. An operation is applied whole or not at all.
- Its files are mapped into memory, so that a full disk is a SIGBUS and not an error: whoever
  writes makes sure of the space beforehand (`edge.EdgeStore`).
- A filter on a key without an index reads every payload: 10,000 points cost 40 to 110 ms, with
  an index 2 ms. An index with `nested` answers conditions on elements of a list of objects.
- The IDF of a sparse query counts every point that has the sparse vector, also staged, foreign
  and deleted ones (payload-only points do not count). With `IdfParams(corpus=...)` it counts
  exactly those that are searched, for 0.1 ms per 1,000 of them.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self
from uuid import UUID

import qdrant_edge as engine

from pipelines.store.conditions import Clause
from pipelines.store.durable import make_folders, storage_full, write_file
from pipelines.store.engine import filter_of, index_of, query_of
from pipelines.store.records import DENSE, INDEXES, SPARSE, Payload, Point, Shape
from pipelines.store.wal import sync_log
from twofold.errors import StartupError

_PAGE = 256
_SHAPE = "shape.json"


class Shard:
    """A shard that is open.

    Attributes:
        name: Of its folder.
        shape: Of the vectors in it.
        is_open: Until `close`.
    """

    def __init__(self, folder: Path, shape: Shape, shard: engine.EdgeShard) -> None:
        self.name = folder.name
        self.shape = shape
        self.is_open = True
        self._folder = folder
        self._shard = shard

    @classmethod
    def create(cls, folder: Path, shape: Shape) -> Self:
        """Make an empty shard, durably."""
        cls.remove(folder)  # what an earlier, unfinished try has left
        with storage_full(folder):
            make_folders([folder / "shard"])
            shard = engine.EdgeShard.create(str(folder / "shard"), _config(shape.dimensions))
            for key, schema in INDEXES.items():
                shard.update(engine.UpdateOperation.create_field_index(key, index_of(schema)))
            shard.flush()
        content = json.dumps(shape._asdict()).encode()
        write_file(folder / _SHAPE, lambda file: file.write(content))
        return cls(folder, shape, shard)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a shard that `exists`.

        Raises:
            StartupError: Its files cannot be read.
        """
        try:
            shape = Shape(**json.loads((folder / _SHAPE).read_bytes()))
            return cls(folder, shape, engine.EdgeShard.load(str(folder / "shard")))
        except Exception as error:  # the engine has no class of its own for its errors
            raise StartupError(
                reason=f"the collection in {folder} cannot be opened ({error}); restore it from a "
                "backup, or move that folder away and upload its documents again"
            ) from error

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether the folder holds a shard that was made to the end."""
        return (folder / _SHAPE).is_file()

    @staticmethod
    def remove(folder: Path) -> None:
        """Delete the files of a shard that is not open; whatever is cut off, it has gone."""
        (folder / _SHAPE).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def upsert(self, points: Sequence[Point], *, over: Clause | None = None) -> None:
        """Insert points; replace those of the same id, with `over` only where it holds for them."""
        condition = filter_of(over) if over else None
        self._update(engine.UpdateOperation.upsert_points([*map(_point, points)], condition))

    def set_payload(self, where: Clause, payload: Payload) -> None:
        """Set keys of every point that the clause holds for."""
        self._update(engine.UpdateOperation.set_payload_by_filter(filter_of(where), payload))

    def delete(self, where: Clause) -> None:
        """Delete every point that the clause holds for."""
        self._update(engine.UpdateOperation.delete_points_by_filter(filter_of(where)))

    def _update(self, operation: engine.UpdateOperation) -> None:
        with storage_full(self._folder):
            self._shard.update(operation)

    def sync(self) -> None:
        """Make everything until now survive a power loss."""
        with storage_full(self._folder):
            if sync_log(self._folder / "shard"):
                self._shard.flush()

    def get(self, point_id: UUID) -> Payload | None:
        """Payload of a point."""
        found = self._shard.retrieve([point_id], with_payload=True, with_vector=False)
        return found[0].payload if found else None

    def page(
        self, where: Clause, *, start: UUID | None = None, limit: int = _PAGE
    ) -> tuple[list[Payload], UUID | None]:
        """Payloads of up to `limit` points by ascending id, and the id that the next begins at."""
        records, following = self._scroll(where, start, limit, vectors=False)
        return [record.payload or {} for record in records], following

    def payloads(self, where: Clause) -> Iterator[Payload]:
        """Payload of every point that the clause holds for."""
        return (record.payload or {} for record in self.records(where))

    def records(self, where: Clause, *, vectors: bool = False) -> Iterator[engine.Record]:
        """Every point that the clause holds for, with its vectors if wanted."""
        start: UUID | None = None
        while True:
            records, start = self._scroll(where, start, _PAGE, vectors=vectors)
            yield from records
            if start is None:
                return

    def _scroll(
        self, where: Clause, start: UUID | None, limit: int, *, vectors: bool
    ) -> tuple[list[engine.Record], UUID | None]:
        records, following = self._shard.scroll(
            engine.ScrollRequest(
                offset=start,
                limit=limit,
                filter=filter_of(where),
                with_payload=True,
                with_vector=vectors,
            )
        )
        return records, UUID(str(following)) if following is not None else None

    def oldest(
        self, where: Clause, *, since: float | None = None, limit: int = _PAGE
    ) -> list[Payload]:
        """Payloads of up to `limit` points in the order of `touched`, from `since` on."""
        records, _ = self._shard.scroll(
            engine.ScrollRequest(
                limit=limit,
                filter=filter_of(where),
                with_payload=True,
                order_by=engine.OrderBy("touched", start_from=since),
            )
        )
        return [record.payload or {} for record in records]

    def count(self, where: Clause) -> int:
        """How many points the clause holds for."""
        return self._shard.count(engine.CountRequest(exact=True, filter=filter_of(where)))

    def count_by(self, key: str, where: Clause) -> dict[str, int]:
        """How many points the clause holds for, by the value of an indexed key."""
        request = engine.FacetRequest(key, limit=_PAGE, exact=True, filter=filter_of(where))
        return {str(hit.value): hit.count for hit in self._shard.facet(request).hits if hit.count}

    def query(self, requests: Sequence[Clause]) -> list[list[engine.ScoredPoint]]:
        """Several searches in one pass, each with its own hits, best first."""
        return self._shard.query_batch(engine.QueryBatchRequest([*map(query_of, requests)]))

    @property
    def size(self) -> int:
        """Chunks and ledger rows, approximately; costs next to nothing."""
        return self._shard.info().points_count

    def unindexed(self) -> int:
        """Dense vectors that were written since the last index was built.

        The engine counts what is in any index, and a sparse vector is in one as soon as it is
        written: what its count has grown by is what has no dense index yet.
        """
        counted = json.loads(self._index_note.read_bytes()) if self._index_note.exists() else 0
        return self._shard.info().indexed_vectors_count - int(counted)

    def note_indexed(self) -> None:
        """Remember that everything there is now has an index."""
        count = json.dumps(self._shard.info().indexed_vectors_count).encode()
        write_file(self._index_note, lambda file: file.write(count))

    @property
    def _index_note(self) -> Path:
        return self._folder / "indexed.json"

    def close(self) -> None:
        """Flush and let go."""
        self.is_open = False
        self._shard.flush()
        self._shard.close()


def _point(point: Point) -> engine.Point:
    if point.vectors is None:
        return engine.Point(point.id, {}, point.payload)
    dense, sparse = point.vectors
    vectors = {
        DENSE: dense.tolist(),
        SPARSE: engine.SparseVector(sparse.indices, sparse.values),
    }
    return engine.Point(point.id, vectors, point.payload)


def _config(dimensions: int) -> engine.EdgeConfig:
    return engine.EdgeConfig(
        # Cosine leaves vectors of unit length as they are, bit by bit.
        vectors={DENSE: engine.EdgeVectorParams(dimensions, engine.Distance.Cosine)},
        sparse_vectors={SPARSE: engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf)},
        # Whether to index is decided before `optimize` is called, so it shall not decide again.
        optimizers=engine.EdgeOptimizersConfig(indexing_threshold=1),
    )
