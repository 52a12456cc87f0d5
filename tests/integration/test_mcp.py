"""The tools of `/mcp`, asked by the official SDK's client over HTTP and through `twofold mcp`."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from tests.support.keys import make_key
from tests.support.live import clean_environment
from tests.support.server import threaded_server
from twofold import Client
from twofold.schema import DocumentText

pytestmark = pytest.mark.anyio

TEXT = "# Yew\n\nYew dries slowly. " + "It bends well. " * 2_000
WAIT_S = 60.0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text('{"keys": []}')
    return path


@pytest.fixture(scope="module")
def bowyer(keys: Path) -> Mapping[str, str]:
    return make_key(keys, "bowyer", "read", "write")


@pytest.fixture(scope="module")
def baker(keys: Path) -> Mapping[str, str]:
    return make_key(keys, "baker", "read", "write")


@pytest.fixture(scope="module")
def writer(keys: Path) -> Mapping[str, str]:
    return make_key(keys, "bowyer", "write")


@pytest.fixture(scope="module")
def url(
    keys: Path,
    bowyer: Mapping[str, str],
    baker: Mapping[str, str],
    writer: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A server with keys on which two tenants have a document under the same id."""
    with threaded_server(tmp_path_factory.mktemp("mcp"), api_keys_file=keys) as url:
        upload(url, bowyer, DocumentText(id="d", name="yew.md", text=TEXT, metadata={"year": 2024}))
        upload(url, baker, DocumentText(id="d", name="rye.md", text="Rye rests overnight."))
        yield url


def upload(url: str, headers: Mapping[str, str], text: DocumentText) -> None:
    with Client(url, api_key=key_of(headers)) as client:
        client.add_texts([text], collection="books", wait=WAIT_S)


def key_of(headers: Mapping[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def connected(
    url: str, headers: Mapping[str, str], mode: str = "auto"
) -> AsyncIterator[McpClient]:
    """A client of the SDK; `legacy` shakes hands as clients of before 2026-07-28 do."""
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=WAIT_S) as http,
        McpClient(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def sentence(result: CallToolResult) -> str:
    [block] = result.content
    assert block.type == "text"
    return block.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_of_either_age_searches_and_reads_on_at_the_source(
    url: str, bowyer: Mapping[str, str], mode: str
) -> None:
    async with connected(url, bowyer, mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "twofold"
        told = await client.call_tool(
            "search",
            {"query": "how does yew dry", "collection": "books", "limit": 3},
        )
        assert not told.is_error, sentence(told)
        best = told.structured_content["passages"][0]
        assert (best["rank"], best["document_id"], best["name"]) == (1, "d", "yew.md")
        assert best["metadata"] == {"year": 2024}
        assert told.structured_content["rerank_status"] == "applied"
        assert best["text"] in sentence(told)
        assert "yew.md" in sentence(told)

        around = {"document_id": "d", "collection": "books", "start": best["start"], "length": 50}
        told = await client.call_tool("get_document", around)
        excerpt = told.structured_content
        start, end = excerpt["start"], excerpt["end"]
        assert excerpt["text"] == TEXT[start:end]
        assert (end - start, excerpt["next_start"]) == (50, end)


async def test_what_is_listed_says_how_it_is_asked_and_what_it_answers(
    url: str, bowyer: Mapping[str, str]
) -> None:
    async with connected(url, bowyer) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"search", "get_document", "list_collections"}
    for tool in tools.values():
        assert tool.title
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert tool.output_schema is not None
        # Schemas that refer to themselves are more than several clients can read.
        assert "$ref" not in json.dumps(tool.input_schema)


async def test_a_document_is_read_to_its_end_in_parts_of_bounded_size(
    url: str, bowyer: Mapping[str, str]
) -> None:
    asked: dict[str, Any] = {"document_id": "d", "collection": "books"}
    parts, start = [], 0
    async with connected(url, bowyer) as client:
        while start is not None:
            told = await client.call_tool("get_document", {**asked, "start": start})
            parts.append(told.structured_content["text"])
            start = told.structured_content["next_start"]
        beyond = await client.call_tool("get_document", {**asked, "start": 10**9})
        greedy = await client.call_tool("get_document", {**asked, "length": 10**9})
    assert "".join(parts) == TEXT
    assert max(map(len, parts)) == 8_000
    assert beyond.structured_content["text"] == ""
    assert greedy.is_error
    assert "'length' is not valid" in sentence(greedy)


async def test_a_tenant_sees_its_own_documents_through_the_tools_and_no_others(
    url: str, bowyer: Mapping[str, str], baker: Mapping[str, str]
) -> None:
    seen = {}
    for name, headers in (("bowyer", bowyer), ("baker", baker)):
        async with connected(url, headers) as client:
            calls = [
                await client.call_tool("list_collections"),
                await client.call_tool(
                    "search", {"query": "yew rye", "collection": "books", "limit": 20}
                ),
                await client.call_tool("get_document", {"document_id": "d", "collection": "books"}),
            ]
        seen[name] = json.dumps([call.structured_content for call in calls])
        assert '"documents": 1' in seen[name]
    assert "yew.md" in seen["bowyer"]
    assert "rye" not in seen["bowyer"].lower()
    assert "rye.md" in seen["baker"]
    assert "yew" not in seen["baker"].lower()


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("search", {"query": "yew", "collection": "nowhere"}, "No collection 'nowhere'"),
        ("search", {"query": " "}, "'query' is not valid"),
        ("search", {"question": "yew"}, "is not valid"),
        ("search", {"query": "yew", "filter": {"key": "year", "over": 3}}, "'filter.over'"),
        ("get_document", {"document_id": "nobody", "collection": "books"}, "No document 'nobody'"),
    ],
)
async def test_an_error_is_a_sentence_that_the_model_can_act_on(
    url: str, bowyer: Mapping[str, str], tool: str, arguments: dict[str, Any], words: str
) -> None:
    async with connected(url, bowyer) as client:
        told = await client.call_tool(tool, arguments)
    assert told.is_error
    assert words in sentence(told)


def call(url: str, headers: Mapping[str, str], tool: str = "list_collections") -> httpx.Response:
    params = {"name": tool, "arguments": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return httpx.post(f"{url}/mcp", json=body, headers=headers, timeout=WAIT_S)


def test_without_a_key_or_with_one_that_may_not_read_no_tool_answers(
    url: str, writer: Mapping[str, str]
) -> None:
    assert call(url, {}).status_code == 401
    assert call(url, writer).status_code == 403


def test_a_request_stands_for_itself_so_that_any_process_may_answer_it(
    url: str, bowyer: Mapping[str, str]
) -> None:
    answer = call(url, {**bowyer, "Mcp-Session-Id": "of another process"})
    assert answer.json()["result"]["structuredContent"]["collections"][0]["name"] == "books"
    assert "mcp-session-id" not in answer.headers
    assert httpx.get(f"{url}/mcp", headers=bowyer, timeout=WAIT_S).status_code == 405


def test_a_server_without_keys_answers_no_web_page_and_no_other_name(tmp_path: Path) -> None:
    with threaded_server(tmp_path) as url:
        assert call(url, {}).status_code == 200
        for headers in ({"Host": "rebound.example"}, {"Origin": "https://page.example"}):
            refused = call(url, headers)
            assert refused.status_code == 403
            assert refused.json()["error"]["code"] == "foreign_site"


def stdio(url: str, key: str) -> StdioServerParameters:
    environment = clean_environment() | {"TWOFOLD_API_KEY": key, "TWOFOLD_URL": url}
    command = [sys.executable, "-m", "twofold.cli", "mcp"]
    return StdioServerParameters(command=command[0], args=command[1:], env=environment)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_starts_programs_reaches_the_same_tools(
    url: str, baker: Mapping[str, str], mode: str
) -> None:
    with anyio.fail_after(WAIT_S):
        async with McpClient(stdio(url, key_of(baker)), mode=mode) as client:
            tools = await client.list_tools()
            asked = {"document_id": "d", "collection": "books"}
            told = await client.call_tool("get_document", asked)
    assert {tool.name for tool in tools.tools} == {"search", "get_document", "list_collections"}
    assert told.structured_content["text"] == "Rye rests overnight."


def test_the_bridge_answers_every_line_also_when_the_server_cannot(url: str) -> None:
    lines = [
        "this is no message",
        '{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}',
        '{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "search"}}',
    ]
    done = subprocess.run(
        [sys.executable, "-m", "twofold.cli", "mcp"],
        input="\n".join(lines) + "\n",
        env=clean_environment() | {"TWOFOLD_URL": url, "TWOFOLD_API_KEY": "tf_wrong"},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = {each["id"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert set(answers) == {None, 1, 2}
    assert answers[None]["error"]["code"] == -32700
    assert "Send a valid API key" in answers[1]["error"]["message"]
    assert answers[2]["result"]["isError"]
    assert "Send a valid API key" in answers[2]["result"]["content"][0]["text"]
