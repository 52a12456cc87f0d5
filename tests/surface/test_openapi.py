"""The OpenAPI document: complete, with stable names, errors and examples."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.api.described import SAMPLE
from tests.support.service import running
from twofold.errors import (
    ConnectionFailed,
    MethodNotAllowed,
    ParseError,
    RequestError,
    ServiceError,
    StartupError,
    TwofoldError,
    UnexpectedResponse,
)
from twofold.schema import ErrorBody

pytestmark = pytest.mark.anyio


@pytest.fixture
async def document(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    async with running(tmp_path) as (client, _):
        yield (await client.get("/openapi.json")).json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


async def test_the_operations_are_these(document: dict[str, Any]) -> None:
    assert {name: each["operationId"] for name, each in operations(document)} == {
        "POST /documents": "add_documents",
        "POST /documents/compare": "compare_documents",
        "GET /documents": "list_documents",
        "GET /documents/{document_id}": "get_document",
        "DELETE /documents/{document_id}": "delete_document",
        "POST /documents/{document_id}/retry": "retry_document",
        "GET /documents/{document_id}/content": "get_document_content",
        "GET /documents/{document_id}/chunks": "get_document_chunks",
        "GET /documents/{document_id}/events": "watch_document",
        "POST /search": "search",
        "POST /search/batch": "search_batch",
        "GET /search": "search_by_query",
        "POST /mcp": "mcp",
        "POST /collections": "create_collection",
        "GET /collections": "list_collections",
        "GET /collections/{name}": "get_collection",
        "PATCH /collections/{name}": "change_collection",
        "DELETE /collections/{name}": "delete_collection",
        "GET /collections/{name}/events": "watch_collection",
        "POST /collections/{name}/rebuild": "rebuild_collection",
        "POST /collections/{name}/rebuild/switch": "switch_rebuild",
        "DELETE /collections/{name}/rebuild": "cancel_rebuild",
        "POST /keys": "create_key",
        "GET /keys": "list_keys",
        "DELETE /keys/{key_id}": "revoke_key",
        "POST /v2/rerank": "rerank_cohere",
        "POST /v1/rerank": "rerank_jina",
        "POST /rerank": "rerank",
        "POST /v1/score": "score",
        "POST /v1/embeddings": "embed_openai",
        "POST /embed": "embed",
        "POST /tokenize": "tokenize",
        "GET /v1/models": "list_models",
        "GET /info": "model_info",
        "GET /health": "model_health",
        "POST /retrieval": "retrieve_dify",
        "GET /healthz": "health",
        "GET /readyz": "ready",
    }


async def test_every_operation_says_what_it_does_and_how_it_fails(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        assert operation.get("summary"), name
        assert operation.get("description"), name
        failure = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert failure == {"$ref": "#/components/schemas/ErrorBody"}, name


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        _, components, kind, name = reference.split("/")
        assert name in document[components][kind]


async def test_a_search_comes_with_examples(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["SearchRequest"]["examples"]


async def test_every_failure_that_is_listed_has_the_shape_of_errors(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            listed = response.get("content", {}).get("application/json", {}).get("examples", {})
            for code in listed:
                shown = ErrorBody.model_validate(document["components"]["examples"][code]["value"])
                assert shown.error.code == code, name
                assert f"`{code}`" in response["description"], (name, status)


async def test_what_asks_for_a_key_says_what_comes_without(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        guarded = {"401", "403", "429", "503"} <= set(operation["responses"])
        assert guarded == bool(operation["security"]), name
        if guarded:
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"], name
            assert "Retry-After" in operation["responses"]["429"]["headers"], name
            assert "Retry-After" in operation["responses"]["503"]["headers"], name


async def test_every_tag_is_explained(document: dict[str, Any]) -> None:
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"] if tag["description"]}


def test_every_error_that_an_answer_may_carry_has_a_sample() -> None:
    said_by_default = {TwofoldError, RequestError, ServiceError, MethodNotAllowed}
    carried = set(tree(TwofoldError)) - set(tree(StartupError)) - said_by_default
    assert set(SAMPLE) == carried - {ParseError, ConnectionFailed, UnexpectedResponse}


def tree(root: type[TwofoldError]) -> Iterator[type[TwofoldError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)
