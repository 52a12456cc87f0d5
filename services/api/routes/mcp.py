"""`/mcp`: the collections as tools of the Model Context Protocol, over streamable HTTP.

https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
"""

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.api.mcp.library import Library, library_of
from services.api.parts import Parts
from twofold.schema import with_examples

if TYPE_CHECKING:
    from services.api.mcp.server import Answer

router = APIRouter(tags=["mcp"])


class McpMessage(BaseModel):
    """Body of `POST /mcp`: one message of JSON-RPC 2.0; one without an `id` gets no answer."""

    model_config = with_examples(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "list_collections", "arguments": {}},
        },
    )

    jsonrpc: Literal["2.0"]
    id: int | str | None = None
    method: str
    params: dict[str, Any] | None = None


SHAPE = {"$ref": "#/components/schemas/McpAnswer"}
REFUSED = {
    "description": "The message cannot be taken as it is; JSON-RPC says so in its own words.",
    "content": {
        "application/json": {
            "schema": {"anyOf": [SHAPE, {"$ref": "#/components/schemas/ErrorBody"}]}
        }
    },
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, whether the tool could be used or not.",
        "content": {"application/json": {"schema": SHAPE}},
    },
    202: {"description": "Taken; there is no answer to a notification."},
    **dict.fromkeys((400, 404, 406), REFUSED),
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/McpMessage"}}},
    }
}


@router.post(
    "/mcp",
    operation_id="mcp",
    summary="Tools for agents (MCP)",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=BODY,
)
async def mcp(
    library: Annotated[Library, Depends(library_of)], parts: Parts, request: Request
) -> Response:
    """`search`, `get_document` and `list_collections` for clients of the protocol.

    Each request stands for itself: there are no sessions, and no stream to listen to.
    """
    if not answerer.cache_info().currsize:
        await asyncio.to_thread(answerer)
    return answerer()(
        library,
        longest=parts.settings.max_body_bytes,
        request_id=request.state.request_id,
    )


@cache
def answerer() -> "type[Answer]":
    """What answers by the SDK of the protocol, whose import is a third of what a server imports.

    Whoever first speaks the protocol waits for that, and neither the start nor the event loop:
    the first call belongs on a thread.
    """
    from services.api.mcp.server import Answer

    return Answer
