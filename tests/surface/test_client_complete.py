"""Whatever the API can be asked, the client can ask, but for what other libraries are there for."""

from pathlib import Path

import pytest

from tests.support.service import running
from twofold import Client

pytestmark = pytest.mark.anyio

METHODS = {
    "add_documents": ("add_files", "add_texts"),
    "compare_documents": ("unchanged",),
    "list_documents": ("documents",),
    "get_document": ("document", "wait"),
    "get_document_content": ("content",),
    "get_document_chunks": ("chunks",),
    "watch_document": ("events",),
    "delete_document": ("delete",),
    "retry_document": ("retry",),
    "search": ("search", "search_pages"),
    "search_batch": ("search_batch",),
    "rerank_jina": ("rerank",),
    "embed_openai": ("embed",),
    "create_key": ("create_key",),
    "list_keys": ("keys",),
    "revoke_key": ("revoke_key",),
    "mcp": ("mcp",),
    "create_collection": ("create_collection",),
    "list_collections": ("collections",),
    "get_collection": ("collection",),
    "change_collection": ("change_collection",),
    "delete_collection": ("delete_collection",),
    "rebuild_collection": ("rebuild_collection",),
    "watch_collection": ("rebuild_progress",),
    "switch_rebuild": ("switch_rebuild",),
    "cancel_rebuild": ("cancel_rebuild",),
    "health": ("health",),
    "ready": ("ready",),
}
"""The methods of the client by the operation that they ask."""

LEFT_TO_OTHERS = {
    "search_by_query",  # for people at an address bar
    "retrieve_dify",
    "rerank_cohere",
    "rerank",
    "score",
    "embed",
    "tokenize",
    "list_models",
    "model_info",
    "model_health",
}
"""Dialects: whoever speaks them has a library that does."""


async def test_every_operation_has_its_method(tmp_path: Path) -> None:
    async with running(tmp_path) as (client, _):
        document = (await client.get("/openapi.json")).json()
    operations = {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    assert operations == set(METHODS) | LEFT_TO_OTHERS


def test_every_method_asks_an_operation() -> None:
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public - {"close"} == {name for names in METHODS.values() for name in names}
