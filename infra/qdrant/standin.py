"""A stand-in for a Qdrant server, for trying and for tests: `python -m infra.qdrant.standin`.

It speaks the part of Qdrant's REST interface that Twofold uses, over the embedded engine, which is
the engine of the server: filters, conditional updates, IDF, scores and durability under SIGKILL are
the real ones. What it lacks is what makes a server worth running: an index that is built while it
serves, more than one core, replicas, snapshots. Its speed says nothing about Qdrant's.

Bodies are checked against the models of Qdrant's own client, so that a field which a server would
refuse is refused here as well.
"""

import argparse
import hmac
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as engine
import uvicorn
from pydantic import BaseModel, ValidationError
from qdrant_client import models
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.qdrant.shelf import Refused, Shelf, operation_of
from pipelines.store.engine import filter_of, query_of

VERSION = "1.20.0"
OPEN = {"/", "/healthz", "/livez", "/readyz"}  # paths that need no key

T = TypeVar("T")
Answer = Callable[[Shelf, Request, Mapping[str, Any]], object]


def app(folder: Path, *, api_key: str | None = None, version: str = VERSION) -> Starlette:
    """The server over a folder, which is made if it is not there."""

    @asynccontextmanager
    async def shelf(server: Starlette) -> AsyncIterator[None]:
        server.state.shelf = Shelf(folder)
        yield
        server.state.shelf.close()

    def route(path: str, method: str, answer: Answer, body: type[BaseModel] | None = None) -> Route:
        return Route(path, _endpoint(answer, body, api_key), methods=[method])

    async def info(_: Request) -> Response:
        return JSONResponse({"title": "Twofold's stand-in for Qdrant", "version": version})

    async def healthy(_: Request) -> Response:
        return Response("healthz check passed")

    points = "/collections/{name}/points"
    return Starlette(
        lifespan=shelf,
        routes=[
            Route("/", info),
            *(Route(path, healthy) for path in sorted(OPEN - {"/"})),
            route("/collections", "GET", list_collections),
            route("/aliases", "GET", list_aliases),
            route("/collections/aliases", "POST", change_aliases, models.ChangeAliasesOperation),
            route("/collections/{name}", "GET", describe),
            route("/collections/{name}", "PUT", create, models.CreateCollection),
            route("/collections/{name}", "PATCH", change, models.UpdateCollection),
            route("/collections/{name}", "DELETE", delete),
            route("/collections/{name}/index", "PUT", index, models.CreateFieldIndex),
            route("/collections/{name}/facet", "POST", facet, models.FacetRequest),
            route(points, "POST", retrieve, models.PointRequest),
            route(f"{points}/batch", "POST", update, models.UpdateOperations),
            route(f"{points}/scroll", "POST", scroll, models.ScrollRequest),
            route(f"{points}/count", "POST", count, models.CountRequest),
            route(f"{points}/query/batch", "POST", query, models.QueryRequestBatch),
        ],
    )


def _endpoint(
    answer: Answer, body: type[BaseModel] | None, api_key: str | None
) -> Callable[[Request], Awaitable[Response]]:
    """An answer in the envelope that Qdrant puts around everything."""

    async def endpoint(request: Request) -> Response:
        try:
            _require_key(request, api_key)
            asked = _read(body, await request.body()) if body else {}
            result = answer(request.app.state.shelf, request, asked)
            return JSONResponse({"result": result, "status": "ok", "time": 0.0})
        except Refused as refused:
            envelope = {"status": {"error": str(refused)}, "time": 0.0}
            return JSONResponse(envelope, refused.status)
        except ClientDisconnect:
            return Response(status_code=400)  # a client that was killed; nobody reads it

    return endpoint


def _require_key(request: Request, api_key: str | None) -> None:
    given = request.headers.get("api-key", "")
    if api_key is not None and not hmac.compare_digest(given.encode(), api_key.encode()):
        raise Refused(401, "Must provide an API key or an Authorization bearer token")


def _read(model: type[BaseModel], body: bytes) -> dict[str, Any]:
    """The body as it came, once Qdrant's client has nothing against it."""
    try:
        model.model_validate_json(body)
    except ValidationError as error:
        raise Refused(400, f"Format error in JSON body: {error.errors()[0]['msg']}") from error
    content: dict[str, Any] = json.loads(body)
    return content


# --- Collections ----------------------------------------------------------------------------


def list_collections(shelf: Shelf, _: Request, __: Mapping[str, Any]) -> object:
    """GET /collections."""
    return {"collections": [{"name": name} for name in shelf]}


def list_aliases(shelf: Shelf, _: Request, __: Mapping[str, Any]) -> object:
    """GET /aliases."""
    return {
        "aliases": [
            {"alias_name": alias, "collection_name": name} for alias, name in shelf.aliases.items()
        ]
    }


def change_aliases(shelf: Shelf, _: Request, body: Mapping[str, Any]) -> object:
    """POST /collections/aliases: all of the changes at once."""
    aliases = dict(shelf.aliases)
    for action in body["actions"]:
        match action:
            case {"create_alias": {"alias_name": alias, "collection_name": name}}:
                aliases[alias] = shelf.name_of(name)
            case {"delete_alias": {"alias_name": alias}}:
                aliases.pop(alias, None)
            case _:
                raise Refused(501, "the stand-in makes and deletes aliases, nothing else")
    shelf.change_aliases(aliases)
    return True


def describe(shelf: Shelf, request: Request, _: Mapping[str, Any]) -> object:
    """GET /collections/NAME."""
    name = request.path_params["name"]
    note, info = shelf.note(name), shelf.shard(name).info()
    params = {key: note[key] for key in _PARAMS if note.get(key) is not None}
    return {
        "status": "green",
        "optimizer_status": "ok",
        "points_count": info.points_count,
        "indexed_vectors_count": info.indexed_vectors_count,
        "segments_count": info.segments_count,
        "config": {
            "params": params,
            "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000},
            "optimizer_config": {
                "deleted_threshold": 0.2,
                "vacuum_min_vector_number": 1000,
                "default_segment_number": 0,
                "flush_interval_sec": 5,
            },
            "metadata": note.get("metadata"),
        },
        "payload_schema": {},
    }


_PARAMS = (
    "vectors",
    "sparse_vectors",
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
)


def create(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """PUT /collections/NAME."""
    shelf.create(request.path_params["name"], body)
    return True


def change(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """PATCH /collections/NAME: what vectors are to have."""
    if body.keys() != {"vectors"}:
        raise Refused(501, "the stand-in changes named vectors, nothing else")
    shelf.change_vectors(request.path_params["name"], body["vectors"])
    return True


def delete(shelf: Shelf, request: Request, _: Mapping[str, Any]) -> object:
    """DELETE /collections/NAME."""
    return shelf.delete(request.path_params["name"])


def index(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """PUT /collections/NAME/index."""
    shelf.index(request.path_params["name"], body["field_name"], body["field_schema"])
    return _done()


# --- Points ---------------------------------------------------------------------------------


def update(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """POST /collections/NAME/points/batch: one after the other, each of them whole."""
    shard = _shard(shelf, request)
    operations = [operation_of(each) for each in body["operations"]]
    for operation in operations:
        _engine(lambda operation=operation: shard.update(operation))  # type: ignore[misc]
    return [_done() for _ in operations]


def retrieve(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """POST /collections/NAME/points."""
    found = _shard(shelf, request).retrieve(
        body["ids"], body.get("with_payload"), body.get("with_vector") or False
    )
    return [_record(record) for record in found]


def scroll(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """POST /collections/NAME/points/scroll."""
    order = body.get("order_by")
    asked = engine.ScrollRequest(
        offset=body.get("offset"),
        limit=body.get("limit"),
        filter=filter_of(body["filter"]) if body.get("filter") else None,
        with_payload=body.get("with_payload"),
        with_vector=body.get("with_vector") or False,
        order_by=engine.OrderBy(order["key"], start_from=order.get("start_from"))
        if order
        else None,
    )
    shard = _shard(shelf, request)
    records, following = _engine(lambda: shard.scroll(asked))
    return {
        "points": [_record(record) for record in records],
        "next_page_offset": None if following is None else str(following),
    }


def count(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """POST /collections/NAME/points/count."""
    clause = filter_of(body["filter"]) if body.get("filter") else None
    return {"count": _shard(shelf, request).count(engine.CountRequest(exact=True, filter=clause))}


def facet(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """POST /collections/NAME/facet."""
    asked = engine.FacetRequest(
        body["key"], limit=body.get("limit", 10), exact=True, filter=filter_of(body["filter"])
    )
    shard = _shard(shelf, request)
    hits = _engine(lambda: shard.facet(asked)).hits
    return {"hits": [{"value": hit.value, "count": hit.count} for hit in hits]}


def query(shelf: Shelf, request: Request, body: Mapping[str, Any]) -> object:
    """POST /collections/NAME/points/query/batch."""
    shard = _shard(shelf, request)
    asked = engine.QueryBatchRequest([query_of(each) for each in body["searches"]])
    return [
        {"points": [_record(hit) | {"version": 0, "score": hit.score} for hit in hits]}
        for hits in _engine(lambda: shard.query_batch(asked))
    ]


def _shard(shelf: Shelf, request: Request) -> engine.EdgeShard:
    return shelf.shard(request.path_params["name"])


def _engine(call: Callable[[], T]) -> T:
    """What the engine refuses is what the server would refuse."""
    try:
        return call()
    except Exception as error:  # the engine has no class of its own for its errors
        raise Refused(400, f"Wrong input: {error}") from error


def _done() -> dict[str, object]:
    return {"operation_id": 0, "status": "completed"}


def _record(record: engine.Record | engine.ScoredPoint) -> dict[str, object]:
    found: dict[str, object] = {"id": str(record.id), "payload": record.payload}
    if isinstance(record.vector, dict):
        found["vector"] = {
            name: {"indices": each.indices, "values": each.values}
            if isinstance(each, engine.SparseVector)
            else each
            for name, each in record.vector.items()
        }
    return found


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="A stand-in for a Qdrant server; for trying.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6333)
    parser.add_argument("--path", type=Path, required=True, help="folder of its data")
    options = parser.parse_args()
    api_key = os.environ.get("QDRANT__SERVICE__API_KEY")  # as Qdrant's own setting is called
    uvicorn.run(
        app(options.path, api_key=api_key),
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
