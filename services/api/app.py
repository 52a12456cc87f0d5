"""The HTTP application: routes, limits and errors around the parts that `build` put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from redis.asyncio import Redis
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from pipelines.build import Twofold
from pipelines.settings import Settings
from services.api import auth, described, errors
from services.api.audit import Audit
from services.api.auth import Doorkeeper, Gate, doorkeeper
from services.api.browsers import OwnMachineOnly, SecurityHeaders
from services.api.buckets import Buckets, LocalBuckets, RedisBuckets
from services.api.limits import BodyLimit, RequestIds
from services.api.overload import InFlight, Pace
from services.api.quotas import Limits, Quotas
from services.api.routes import (
    collections,
    dialects,
    documents,
    health,
    keys,
    mcp,
    page,
    search,
)
from services.api.uploads import prepare_spool
from twofold import __version__
from twofold.schema import AddDocuments, ErrorBody, McpAnswer

DESCRIPTION = """
Two-stage retrieval: wide recall, precise reranking, and an honest account of what each stage did.

Upload with `POST /documents`, ask with `POST /search`. Offsets count code points in the text that
`GET /documents/{id}/content` returns. Every error has the same shape and says what to do.
"""


TAGS = [
    {"name": "documents", "description": "Upload, watch, read and remove."},
    {"name": "search", "description": "Both stages, with what each of them did."},
    {"name": "collections", "description": "Make, instruct, rebuild beside the old one, remove."},
    {
        "name": "models",
        "description": "The embedder and the reranker alone, in the formats of Cohere, Jina, vLLM, "
        "OpenAI and text-embeddings-inference.",
    },
    {"name": "mcp", "description": "The Model Context Protocol, for agents and their desktops."},
    {"name": "keys", "description": "The API keys of the tenant whose key asks."},
    {"name": "health", "description": "For load balancers, and for people in a hurry."},
]

ALLOWED_HEADERS = [
    "Authorization",
    "Content-Type",
    "X-API-Key",
    "X-Request-ID",
    # What clients of the Model Context Protocol send.
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Protocol-Version",
]
"""Of the web pages of others, where the operator lets them call."""

FAILURE = {
    "description": "What was wrong, and what to do.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
}


def create_app(twofold: Twofold) -> FastAPI:
    """The application over parts that are ready to serve.

    Raises:
        ConfigurationError: The keys file that the settings name cannot be read.
    """
    settings = twofold.settings
    door = doorkeeper(settings.api_keys_file)
    quotas = Quotas(Limits.of(settings), buckets(settings))
    pace = Pace(shared=not settings.distributed)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(pace.lag.watch())
        yield
        watch.cancel()
        await quotas.buckets.close()

    app = FastAPI(
        title="Twofold",
        version=__version__,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        middleware=middleware(settings, door, quotas),
        lifespan=lifespan,
        responses={"default": FAILURE},
        separate_input_output_schemas=False,
    )
    app.state.twofold = twofold
    app.state.door = door
    app.state.spool = prepare_spool(settings.data_dir / "incoming")
    app.state.quotas = quotas
    app.state.pace = pace
    app.openapi = partial(openapi, app)  # type: ignore[method-assign]
    errors.install(app)
    for resource in (documents, search, collections, mcp, dialects, keys, health, page):
        app.include_router(resource.router)
    return app


def middleware(settings: Settings, door: Doorkeeper, quotas: Quotas) -> list[Middleware]:
    """What every request passes, outermost first; nothing before the last reads its body."""

    def cap(scope: Scope) -> int:
        form = Headers(scope=scope).get("content-type", "").lower().startswith("multipart/")
        upload = scope["path"] == "/documents" and scope["method"] == "POST"
        return settings.max_request_bytes if upload and form else settings.max_body_bytes

    origins = listed(settings.cors_origins)
    passed = [Middleware(RequestIds), Middleware(SecurityHeaders), Middleware(Audit)]
    if door.file is None:
        hosts = listed(settings.allowed_hosts)
        passed.append(Middleware(OwnMachineOnly, hosts=hosts, origins=origins))
    if origins:
        passed.append(
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=["GET", "POST", "PATCH", "DELETE"],
                allow_headers=ALLOWED_HEADERS,
                expose_headers=["Retry-After", "X-Request-ID"],
            )
        )
    places = settings.max_requests_in_flight
    # Without keys there is one tenant, and nobody to keep places for.
    share = places if door.file is None else max(1, places // 2)
    return [
        *passed,
        Middleware(Gate, door=door, quotas=quotas),
        Middleware(InFlight, places=places, share=share),
        Middleware(BodyLimit, cap=cap),
    ]


def buckets(settings: Settings) -> Buckets:
    """Where the quotas of a minute are counted: together where there is a Redis."""
    if settings.redis_url is None:
        return LocalBuckets()
    # No connection is made before a quota is asked for.
    return RedisBuckets(Redis.from_url(settings.redis_url.get_secret_value()))


def listed(setting: str | None) -> list[str]:
    """The parts of a setting that are separated by commas."""
    return [part.strip() for part in (setting or "").split(",") if part.strip()]


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the models that routes read or raise by hand."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        _, definitions = models_json_schema(
            [
                (AddDocuments, "validation"),
                (mcp.McpMessage, "validation"),
                (McpAnswer, "serialization"),
                (ErrorBody, "serialization"),
            ],
            ref_template="#/components/schemas/{model}",
        )
        document["components"]["schemas"] |= definitions["$defs"]
        auth.declare(document)
        described.describe(document)
    return app.openapi_schema or {}
