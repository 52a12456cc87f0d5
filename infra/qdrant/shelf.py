"""The collections of the stand-in: shards of the embedded engine, with names and aliases.

    DIR/lock                        one process at a time
    DIR/aliases.json                alias -> collection
    DIR/NAME/collection.json        the body that it was created with; written last
    DIR/NAME/shard/                 the engine's files

A write survives a SIGKILL (the engine replays its log), not a power loss.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import qdrant_edge as engine

from pipelines.store.durable import write_file
from pipelines.store.engine import filter_of, index_of
from pipelines.store.lock import FolderLock

Body = Mapping[str, Any]


class Refused(Exception):
    """A request that Qdrant would refuse, with the status that it would answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Shelf:
    """All collections of one folder."""

    def __init__(self, folder: Path) -> None:
        self._lock = FolderLock.take(folder)
        self._folder = folder
        self._notes: dict[str, dict[str, Any]] = {}
        self._shards: dict[str, engine.EdgeShard] = {}
        for path in folder.glob("*/collection.json"):
            name = unquote(path.parent.name)
            self._notes[name] = json.loads(path.read_bytes())
            self._shards[name] = engine.EdgeShard.load(str(path.parent / "shard"))
        aliases = folder / "aliases.json"
        self.aliases: dict[str, str] = json.loads(aliases.read_bytes()) if aliases.exists() else {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._shards)

    def name_of(self, name: str) -> str:
        """The collection that a name or an alias means."""
        name = self.aliases.get(name, name)
        if name not in self._shards:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return name

    def shard(self, name: str) -> engine.EdgeShard:
        """The shard that a name or an alias means."""
        return self._shards[self.name_of(name)]

    def note(self, name: str) -> dict[str, Any]:
        """The body that the collection was created with."""
        return self._notes[self.name_of(name)]

    def create(self, name: str, body: Body) -> None:
        """Make a collection."""
        if name in self._shards or name in self.aliases:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        folder = self._path(name)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "shard").mkdir(parents=True)
        self._shards[name] = engine.EdgeShard.create(str(folder / "shard"), _config(body))
        self._notes[name] = dict(body)
        self._write(folder / "collection.json", body)

    def change_vectors(self, name: str, changes: Mapping[str, Body]) -> None:
        """Note what named vectors are to have from now on."""
        note = self.note(name)
        for vector, change in changes.items():
            if vector not in note["vectors"]:
                raise Refused(400, f"Wrong input: Not existing vector name error: {vector}")
            note["vectors"][vector] |= change
            if change.get("quantization_config") == "Disabled":
                del note["vectors"][vector]["quantization_config"]
        self._write(self._path(self.name_of(name)) / "collection.json", note)

    def delete(self, name: str) -> bool:
        """Remove a collection and the aliases that lead to it."""
        shard = self._shards.pop(name, None)
        if shard is None:
            return False
        shard.close()
        del self._notes[name]
        (self._path(name) / "collection.json").unlink()
        shutil.rmtree(self._path(name))
        self.change_aliases({alias: at for alias, at in self.aliases.items() if at != name})
        return True

    def index(self, name: str, key: str, schema: Body | str) -> None:
        """Make a payload index; again is nothing."""
        index = index_of({"type": schema} if isinstance(schema, str) else schema)
        self.shard(name).update(engine.UpdateOperation.create_field_index(key, index))

    def change_aliases(self, aliases: dict[str, str]) -> None:
        """Set what all aliases mean."""
        for alias, name in aliases.items():
            if name not in self._shards:
                raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
            if alias in self._shards:
                raise Refused(409, f"Wrong input: Collection `{alias}` already exists!")
        self.aliases = aliases
        self._write(self._folder / "aliases.json", aliases)

    def close(self) -> None:
        """Flush and let go of the folder."""
        while self._shards:
            self._shards.popitem()[1].close()
        self._lock.release()

    def _path(self, name: str) -> Path:
        return self._folder / quote(name, safe="@")

    @staticmethod
    def _write(path: Path, content: Body) -> None:
        write_file(path, lambda file: file.write(json.dumps(content).encode()))


def operation_of(body: Body) -> engine.UpdateOperation:
    """One element of the `operations` of `/points/batch`."""
    match body:
        case {"upsert": upsert}:
            condition, mode = upsert.get("update_filter"), upsert.get("update_mode")
            return engine.UpdateOperation.upsert_points(
                [_point(each) for each in upsert["points"]],
                filter_of(condition) if condition else None,
                _MODES[mode] if mode else None,
            )
        case {"set_payload": {"payload": payload, "filter": clause}}:
            return engine.UpdateOperation.set_payload_by_filter(filter_of(clause), payload)
        case {"delete": {"filter": clause}}:
            return engine.UpdateOperation.delete_points_by_filter(filter_of(clause))
        case {"delete": {"points": points}}:
            return engine.UpdateOperation.delete_points(points)
        case _:
            raise Refused(501, f"the stand-in has no such operation: {', '.join(body)}")


_MODES = {
    "upsert": engine.UpdateMode.Upsert,
    "insert_only": engine.UpdateMode.InsertOnly,
    "update_only": engine.UpdateMode.UpdateOnly,
}


def _point(body: Body) -> engine.Point:
    vectors = {
        name: engine.SparseVector(each["indices"], each["values"])
        if isinstance(each, dict)
        else each
        for name, each in body["vector"].items()
    }
    return engine.Point(body["id"], vectors, body.get("payload"))


def _config(body: Body) -> engine.EdgeConfig:
    """Named vectors as asked for; quantised copies and graphs are built by nobody here."""
    return engine.EdgeConfig(
        vectors={
            name: engine.EdgeVectorParams(each["size"], getattr(engine.Distance, each["distance"]))
            for name, each in (body.get("vectors") or {}).items()
        },
        sparse_vectors={
            name: engine.EdgeSparseVectorParams(
                modifier=engine.Modifier.Idf if each.get("modifier") == "idf" else None
            )
            for name, each in (body.get("sparse_vectors") or {}).items()
        },
    )
