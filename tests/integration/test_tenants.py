"""No tenant learns of another: not its data, not its counts, not whether something exists.

Every operation of the OpenAPI document is asked, with a stranger's ids and with ids that nobody
has, and an operation that this file does not know fails it: whoever adds a route adds how it is
probed.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from services.api import auth
from services.api.page import ASSETS
from tests.support.keys import make_key
from tests.support.service import running
from twofold.schema import ApiScope

pytestmark = pytest.mark.anyio


class Ask(NamedTuple):
    """One way to ask an operation.

    Attributes:
        path: May hold `{id}`, `{collection}` and `{key}`, which are filled in; so may the rest.
        found: Status when what it names is the caller's own; None where nothing is named.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    found: int | None = None


def dify(collection: str, query: str, **conditions: str) -> dict[str, Any]:
    """The body of a search by Dify, of metadata with these values."""
    return {
        "knowledge_id": collection,
        "query": query,
        "retrieval_setting": {"top_k": 200, "score_threshold": 0.0},
        "metadata_condition": {
            "conditions": [
                {"name": name, "comparison_operator": "is", "value": value}
                for name, value in conditions.items()
            ]
        },
    }


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    """The body of a call of a tool."""
    params = {"name": name, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


ASKS: dict[str, list[Ask]] = {
    "add_documents": [
        Ask("POST", "/documents?wait=30", {"documents": [{"id": "{id}", "text": "{word}, oats"}]}),
        Ask("POST", "/documents", {"documents": [{"name": "{name}", "text": "{word} and rye"}]}),
    ],
    "compare_documents": [
        Ask(
            "POST",
            "/documents/compare",
            {"files": [{"name": "{name}", "sha256": "0" * 64}], "collection": "{collection}"},
        )
    ],
    "list_documents": [
        Ask("GET", "/documents"),
        Ask("GET", "/documents?status=ready&status=failed"),
        Ask("GET", "/documents?collection={collection}", found=200),
    ],
    "get_document": [
        Ask("GET", "/documents/{id}", found=200),
        Ask("GET", "/documents/{id}?collection={collection}", found=404),
    ],
    "get_document_content": [Ask("GET", "/documents/{id}/content", found=200)],
    "get_document_chunks": [Ask("GET", "/documents/{id}/chunks", found=200)],
    "watch_document": [Ask("GET", "/documents/{id}/events", found=200)],
    "retry_document": [Ask("POST", "/documents/{id}/retry", found=409)],
    "search": [
        Ask("POST", "/search", {"query": "{word}", "limit": 200}),
        Ask("POST", "/search", {"query": "{word}", "filter": {"key": "seal", "eq": "{word}"}}),
        Ask("POST", "/search", {"query": "{word}", "collection": "{collection}"}, found=200),
        Ask("POST", "/search", {"query": "{word}", "limit": 1, "cursor": "{cursor}"}, found=200),
    ],
    "search_batch": [
        Ask(
            "POST",
            "/search/batch",
            {"searches": [{"query": "{word}"}, {"query": "{word}", "collection": "{collection}"}]},
        )
    ],
    "search_by_query": [
        Ask("GET", "/search?q={word}&limit=200"),
        Ask("GET", "/search?q={word}&collection={collection}", found=200),
    ],
    "retrieve_dify": [
        Ask("POST", "/retrieval", dify("default", "{word}")),
        Ask("POST", "/retrieval", dify("default", "{word}", seal="{word}")),
        Ask("POST", "/retrieval", dify("{collection}", "{word}"), found=200),
    ],
    "mcp": [
        Ask("POST", "/mcp", tool("search", query="{word}", limit=20)),
        Ask("POST", "/mcp", tool("search", query="{word}", filter={"key": "seal", "eq": "{word}"})),
        Ask("POST", "/mcp", tool("search", query="{word}", collection="{collection}")),
        Ask("POST", "/mcp", tool("get_document", document_id="{id}")),
        Ask("POST", "/mcp", tool("list_collections")),
    ],
    "rerank_cohere": [Ask("POST", "/v2/rerank", {"query": "{word}", "documents": ["{word}"]})],
    "rerank_jina": [Ask("POST", "/v1/rerank", {"query": "{word}", "documents": ["{word}"]})],
    "rerank": [Ask("POST", "/rerank", {"query": "{word}", "texts": ["{word}"]})],
    "score": [Ask("POST", "/v1/score", {"text_1": "{word}", "text_2": "{word}"})],
    "embed_openai": [Ask("POST", "/v1/embeddings", {"input": "{word}"})],
    "embed": [Ask("POST", "/embed", {"inputs": "{word}"})],
    "tokenize": [Ask("POST", "/tokenize", {"inputs": "{word}"})],
    "list_models": [Ask("GET", "/v1/models")],
    "model_info": [Ask("GET", "/info")],
    "model_health": [Ask("GET", "/health")],
    "create_collection": [Ask("POST", "/collections", {"name": "new-{word}"})],
    "list_collections": [Ask("GET", "/collections")],
    "get_collection": [Ask("GET", "/collections/{collection}", found=200)],
    "change_collection": [
        Ask("PATCH", "/collections/{collection}", {"query_instruction": "{word}"}, found=200)
    ],
    "watch_collection": [Ask("GET", "/collections/{collection}/events", found=200)],
    "switch_rebuild": [Ask("POST", "/collections/{collection}/rebuild/switch", found=404)],
    "rebuild_collection": [
        Ask("POST", "/collections/{collection}/rebuild", {"switch": "manual"}, found=202)
    ],
    "cancel_rebuild": [Ask("DELETE", "/collections/{collection}/rebuild", found=200)],
    "create_key": [Ask("POST", "/keys", {"name": "another", "scopes": ["read"]})],
    "list_keys": [Ask("GET", "/keys")],
    "health": [Ask("GET", "/healthz")],
    "ready": [Ask("GET", "/readyz")],
    # What removes comes last, so that there is something for the others to find.
    "delete_document": [Ask("DELETE", "/documents/{id}", found=200)],
    "delete_collection": [Ask("DELETE", "/collections/{collection}", found=200)],
    "revoke_key": [Ask("DELETE", "/keys/{key}", found=200)],
}

SCOPES: dict[str, ApiScope | None] = {
    **dict.fromkeys(ASKS, "read"),
    **dict.fromkeys(
        (
            "add_documents",
            "compare_documents",
            "retry_document",
            "delete_document",
            "create_collection",
            "change_collection",
            "delete_collection",
            "rebuild_collection",
            "switch_rebuild",
            "cancel_rebuild",
        ),
        "write",
    ),
    **dict.fromkeys(("create_key", "list_keys", "revoke_key"), "admin"),
    **dict.fromkeys(("health", "ready", "model_health"), None),
}
"""The scope that each operation needs: said here again, so that a slip of the table that the
server goes by is found."""


@dataclass
class Tenant:
    """A tenant with two documents in the shared collection and one in a collection of its own.

    Attributes:
        word: In its texts and ids; others ask for it.
        secret: In its texts, metadata, names and ids as well, and nobody else ever says it.
        key: Id of a key that it may lose.
        cursor: Of a search for its word, one result a page.
    """

    name: str
    word: str
    secret: str
    headers: dict[str, str] = field(default_factory=dict)
    key: str = ""
    cursor: str = ""

    @property
    def values(self) -> dict[str, str]:
        """What others fill in to ask for what is this tenant's."""
        return {
            "id": f"id-{self.word}",
            "name": f"{self.word}.txt",
            "word": self.word,
            "collection": f"own-{self.word}",
            "key": self.key,
            "cursor": self.cursor,
        }

    async def move_in(self, client: httpx.AsyncClient) -> None:
        text = f"The {self.word} grows beside the rye. Its root is {self.secret}."
        about = {"name": f"{self.secret}.txt", "text": text, "metadata": {"seal": self.secret}}
        for collection, document_id in (
            ("default", self.values["id"]),
            ("default", f"id-{self.secret}"),
            (self.values["collection"], self.values["id"]),
        ):
            body = {"collection": collection, "documents": [{"id": document_id, **about}]}
            answer = await client.post("/documents?wait=30", json=body, headers=self.headers)
            assert [each["status"] for each in answer.json()["documents"]] == ["ready"], answer.text


def thornfield() -> Tenant:
    return Tenant("thornfield", "quixotry", "brummagem")


def pemberley() -> Tenant:
    return Tenant("pemberley", "zephyrine", "taradiddle")


MISSING = {
    "id": "id-of-nobody",
    "name": "nobody.txt",
    "word": "nothingness",
    "collection": "own-nobody",
    "key": "0" * 12,
    "cursor": f"{'A' * 22}.1",
}


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """The value with every `{placeholder}` in it filled in."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], value)
    if isinstance(value, list):
        return [filled(each, values) for each in value]
    if isinstance(value, dict):
        return {key: filled(each, values) for key, each in value.items()}
    return value


async def ask(
    client: httpx.AsyncClient, one: Ask, values: Mapping[str, str], headers: Mapping[str, str] = {}
) -> httpx.Response:
    path, body = filled(one.path, values), filled(one.json, values)
    return await client.request(one.method, path, json=body, headers=headers)


@pytest.fixture
async def client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(auth, "LOOK_S", 0.0)
    (tmp_path / "keys.json").write_text('{"keys": []}')
    async with running(tmp_path, api_keys_file=tmp_path / "keys.json") as (client, _):
        yield client


@pytest.fixture
async def tenants(client: httpx.AsyncClient, tmp_path: Path) -> tuple[Tenant, Tenant]:
    """Two of them, moved in, with a key each that they may lose."""
    both = thornfield(), pemberley()
    for tenant in both:
        tenant.headers = make_key(tmp_path / "keys.json", tenant.name)
    for tenant in both:
        await tenant.move_in(client)
        made = await client.post("/keys", json={"name": "spare"}, headers=tenant.headers)
        tenant.key = made.json()["id"]
        asked = {"query": tenant.word, "limit": 1, "pages": True}
        page = await client.post("/search", json=asked, headers=tenant.headers)
        tenant.cursor = page.json()["cursor"]
    return both


async def operations(client: httpx.AsyncClient, headers: Mapping[str, str]) -> dict[str, Any]:
    document = (await client.get("/openapi.json", headers=headers)).json()
    return {
        operation["operationId"]: operation
        for methods in document["paths"].values()
        for operation in methods.values()
    }


def declared(operation: Mapping[str, Any]) -> ApiScope | None:
    """The scope that an operation says it needs."""
    scopes: set[ApiScope] = {
        scope for way in operation["security"] for each in way.values() for scope in each
    }
    return scopes.pop() if scopes else None


def shape(response: httpx.Response, values: Mapping[str, str]) -> tuple[int, str]:
    """An answer without what the caller put into it, and without ids and times of its own."""
    text = response.text
    for name, value in sorted(values.items(), key=lambda item: len(item[1]), reverse=True):
        text = text.replace(value, f"<{name}>")
    text = re.sub(r'"(request_id|document_id|chunk_id|id)":"[^"]*"', r'"\1":"?"', text)
    return response.status_code, re.sub(r"\d", "#", text)


async def test_every_operation_is_probed_here_and_says_which_scope_it_needs(
    client: httpx.AsyncClient, tenants: tuple[Tenant, Tenant]
) -> None:
    there = await operations(client, tenants[0].headers)
    assert set(there) == set(ASKS)
    assert {name: declared(operation) for name, operation in there.items()} == SCOPES


async def test_nothing_that_a_tenant_can_ask_shows_it_anything_of_another(
    client: httpx.AsyncClient, tenants: tuple[Tenant, Tenant]
) -> None:
    victim, spy = tenants
    for one in (each for asks in ASKS.values() for each in asks):
        foreign = await ask(client, one, victim.values, spy.headers)
        for canary in (victim.secret, victim.name):
            assert canary not in foreign.text, f"{one.method} {one.path}: {foreign.text}"
        if one.found is None:
            # 501: the small models of the tests have no tokenizer.
            assert foreign.status_code < 400 or foreign.status_code == 501, foreign.text


async def test_the_owner_does_find_what_the_others_must_not(
    client: httpx.AsyncClient, tenants: tuple[Tenant, Tenant]
) -> None:
    owner = tenants[0]
    for name in ("list_documents", "get_document", "get_document_content", "search", "list_keys"):
        own = await ask(client, ASKS[name][0], owner.values, owner.headers)
        assert (owner.name if name == "list_keys" else owner.secret) in own.text
    for call in ASKS["mcp"]:
        if "filter" in str(call.json):  # by what is nobody's value of that key
            continue
        own = await ask(client, call, owner.values, owner.headers)
        assert (owner.word if "list" in str(call.json) else owner.secret) in own.text


async def test_what_is_anothers_is_answered_as_what_nobody_has(
    client: httpx.AsyncClient, tenants: tuple[Tenant, Tenant]
) -> None:
    victim, spy = tenants
    for one in (each for asks in ASKS.values() for each in asks if each.found is not None):
        foreign = await ask(client, one, victim.values, spy.headers)
        missing = await ask(client, one, MISSING, spy.headers)
        shapes = shape(foreign, victim.values), shape(missing, MISSING)
        assert shapes[0] == shapes[1], f"{one.method} {one.path}"
        assert foreign.status_code == 404, f"{one.method} {one.path}: {foreign.text}"
        assert set(foreign.headers) == set(missing.headers)
    # And after all of that nothing is missing that was there before.
    for one in (each for asks in ASKS.values() for each in asks if each.found is not None):
        own = await ask(client, one, victim.values, victim.headers)
        if one.path != "/documents/{id}?collection={collection}":
            assert own.status_code == one.found, f"{one.method} {one.path}: {own.text}"


async def test_the_answers_to_one_tenant_are_the_same_with_and_without_the_other(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    spy, victim = pemberley(), thornfield()
    spy.headers = make_key(tmp_path / "keys.json", spy.name)
    victim.headers = make_key(tmp_path / "keys.json", victim.name)
    await spy.move_in(client)
    looks = [
        Ask("GET", "/documents"),
        Ask("GET", "/readyz"),
        Ask("GET", "/keys"),
        Ask("GET", "/collections"),
        Ask("POST", "/search", {"query": "rye"}),
        Ask("POST", "/search", {"query": "quixotry rye", "rerank": {"enabled": False}}),
    ]
    before = [(await ask(client, one, {}, spy.headers)).json() for one in looks]
    await victim.move_in(client)
    after = [(await ask(client, one, {}, spy.headers)).json() for one in looks]
    for volatile in ("request_id", "timings_ms", "rerank"):
        for answer in (*before, *after):
            answer.pop(volatile, None)
    assert before == after


async def test_without_a_key_nothing_answers_but_whether_the_server_is_well(
    client: httpx.AsyncClient, tenants: tuple[Tenant, Tenant]
) -> None:
    owner = tenants[0]
    for name, asks in ASKS.items():
        for one in asks:
            answer = await ask(client, one, owner.values)
            if SCOPES[name] is None:
                assert name in {"health", "ready", "model_health"}
                assert answer.status_code == 200
                told = answer.json() if answer.content else {}
                assert told.get("documents", {}) == told.get("workers", {}) == {}
                continue
            assert answer.status_code == 401, f"{one.method} {one.path}"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "unauthenticated"
    for path in ASSETS:
        assert (await client.get(path)).status_code == 200, path
        assert (await client.head(path)).status_code == 200, path
        assert (await client.delete(path)).status_code == 401, path
    for path in ("/page/", "/page/nothing.js", "/page/../keys", "/page/__init__.py"):
        assert (await client.get(path)).status_code == 401, path
    assert (await client.post("/", json={"inputs": "rye"})).status_code == 401
    for path in (
        "/docs",
        "/openapi.json",
        "/redoc",
        "/nowhere",
        "/documents/",
        "http://localhost//keys",
    ):
        assert (await client.get(path)).status_code == 401, path


@pytest.mark.parametrize("scope", ["read", "write", "admin"])
async def test_a_key_does_what_its_scope_says_and_nothing_else(
    client: httpx.AsyncClient, tenants: tuple[Tenant, Tenant], tmp_path: Path, scope: ApiScope
) -> None:
    owner = tenants[0]
    narrow = make_key(tmp_path / "keys.json", owner.name, scope)
    for name, asks in ASKS.items():
        for one in asks if SCOPES[name] not in (None, scope) else ():
            answer = await ask(client, one, owner.values, narrow)
            assert answer.status_code == 403, f"{one.method} {one.path}"
            assert f"'{SCOPES[name]}'" in answer.json()["error"]["message"]
    allowed = {"read": "/documents", "admin": "/keys"}.get(scope)
    if allowed:
        assert (await client.get(allowed, headers=narrow)).status_code == 200
    else:
        body = {"documents": [{"name": "a.txt", "text": "oats"}]}
        assert (await client.post("/documents", json=body, headers=narrow)).status_code == 202
