"""The HTTP application: routes, limits and errors around the parts that `build` put together."""

from functools import partial
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.middleware import Middleware
from starlette.types import Scope

from pipelines.build import Twofold
from services.api import errors
from services.api.limits import BodyLimit, RequestIds
from services.api.routes import documents, health, search
from twofold import __version__
from twofold.schema import AddDocuments, ErrorBody

DESCRIPTION = """
Two-stage retrieval: wide recall, precise reranking, and an honest account of what each stage did.

Upload with `POST /documents`, ask with `POST /search`. Offsets count code points in the text that
`GET /documents/{id}/content` returns. Every error has the same shape and says what to do.
"""


FAILURE = {
    "description": "What was wrong, and what to do.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
}


def create_app(twofold: Twofold) -> FastAPI:
    """The application over parts that are ready to serve."""
    settings = twofold.settings

    def cap(scope: Scope) -> int:
        upload = scope["path"] == "/documents" and scope["method"] == "POST"
        return settings.max_request_bytes if upload else settings.max_body_bytes

    app = FastAPI(
        title="Twofold",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        middleware=[Middleware(RequestIds), Middleware(BodyLimit, cap=cap)],
        responses={"default": FAILURE},
        separate_input_output_schemas=False,
    )
    app.state.twofold = twofold
    app.openapi = partial(openapi, app)  # type: ignore[method-assign]
    errors.install(app)
    for resource in (documents, search, health):
        app.include_router(resource.router)
    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the models that routes read or raise by hand."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        _, definitions = models_json_schema(
            [(AddDocuments, "validation"), (ErrorBody, "serialization")],
            ref_template="#/components/schemas/{model}",
        )
        document["components"]["schemas"] |= definitions["$defs"]
    return app.openapi_schema or {}
