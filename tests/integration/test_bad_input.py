"""Bad input gets one clear sentence and the right status, and harms nothing."""

import errno
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service import running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    limits = {"max_upload_bytes": 10_000, "max_request_bytes": 50_000, "max_body_bytes": 20_000}
    async with running(tmp_path, **limits) as (client, _):
        good = {"documents": [{"id": "good", "text": "Rye is a cereal."}]}
        assert (await client.post("/documents?wait=30", json=good)).status_code == 202
        yield client
        # Whatever was refused, what was there before still answers.
        found = (await client.get("/search", params={"q": "cereal"})).json()["results"]
        assert found[0]["document_id"] == "good"


def told(response: httpx.Response, status: int, code: str) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code
    assert error["request_id"] == response.headers["x-request-id"]
    assert len(error["message"]) < 400
    assert error["message"].rstrip()[-1] in ".?)'"
    return str(error["message"])


@pytest.mark.parametrize(
    ("body", "code", "status", "word"),
    [
        ({"query": "x", "limit": -1}, "invalid", 422, "limit"),
        ({"query": "x", "limit": 10_000}, "invalid", 422, "limit"),
        ({"query": ""}, "invalid", 422, "query"),
        ({"query": "   "}, "invalid", 422, "query"),
        ({}, "invalid", 422, "query"),
        ({"query": "x", "limt": 3}, "invalid", 422, "limt"),
        ({"query": "x", "collection": "../etc"}, "invalid", 422, "collection"),
        ({"query": "x", "filter": {"key": "year"}}, "invalid", 422, "operator"),
        (
            {"query": "x", "rerank": {"required": True, "enabled": False}},
            "invalid",
            422,
            "required",
        ),
        ({"query": "x", "collection": "nowhere"}, "collection_not_found", 404, "nowhere"),
    ],
)
async def test_a_wrong_search_is_told_what_is_wrong(
    client: httpx.AsyncClient, body: dict[str, Any], code: str, status: int, word: str
) -> None:
    assert word in told(await client.post("/search", json=body), status, code)


async def test_a_filter_that_nests_too_deep_is_refused(client: httpx.AsyncClient) -> None:
    tree: dict[str, Any] = {"key": "a", "eq": 1}
    for _ in range(50):
        tree = {"not": tree}
    told(await client.post("/search", json={"query": "x", "filter": tree}), 422, "invalid")


async def test_a_filter_of_very_many_conditions_is_refused(client: httpx.AsyncClient) -> None:
    many = {"or": [{"key": "a", "eq": n} for n in range(60)]}
    body = {"query": "x", "filter": {"and": [many] * 5}}
    assert "256 conditions" in told(await client.post("/search", json=body), 422, "invalid")


@pytest.mark.parametrize(
    ("metadata", "word"),
    [({f"k{n}": n for n in range(65)}, "64 keys"), ({"a": "x" * 17_000}, "16384 characters")],
)
async def test_metadata_that_would_weigh_on_every_passage_is_refused(
    client: httpx.AsyncClient, metadata: dict[str, Any], word: str
) -> None:
    body = {"documents": [{"name": "a.txt", "text": "rye", "metadata": metadata}]}
    assert word in told(await client.post("/documents", json=body), 422, "invalid")
    form = {"metadata": json.dumps(metadata)}
    answer = await client.post("/documents", files={"files": ("a.txt", b"rye")}, data=form)
    assert word in told(answer, 422, "invalid")


async def test_a_query_of_a_megabyte_is_refused_by_its_size(client: httpx.AsyncClient) -> None:
    message = told(await client.post("/search", json={"query": "x" * 1_000_000}), 413, "too_large")
    assert "20000" in message


async def test_a_query_that_is_too_long_is_refused_without_being_echoed(tmp_path: Path) -> None:
    async with running(tmp_path / "other") as (client, _):
        response = await client.post("/search", json={"query": "x" * 1_000_000})
        assert "32768" in told(response, 422, "invalid")


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"documents": [}', b"[" * 5_000])
async def test_malformed_json_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    told(await client.post("/documents", content=body, headers=headers), 400, "malformed")


async def test_malformed_json_in_a_search_is_a_400(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    told(await client.post("/search", content=b'{"query": ', headers=headers), 400, "malformed")


async def test_a_body_that_is_neither_form_nor_json_is_a_400(client: httpx.AsyncClient) -> None:
    message = told(await client.post("/documents", content=b"plain"), 400, "malformed")
    assert "multipart/form-data" in message


async def test_a_form_without_files_says_how_to_attach_one(client: httpx.AsyncClient) -> None:
    form = {"collection": (None, "default")}
    assert "curl -F" in told(await client.post("/documents", files=form), 422, "invalid")


async def test_a_broken_form_is_a_400(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = await client.post("/documents", content=b"no boundary here", headers=headers)
    told(response, 400, "malformed")


@pytest.mark.parametrize("metadata", ["{", "[1]", '{"a b": 1}', '{"a": {"nested": 1}}'])
async def test_wrong_metadata_is_a_422(client: httpx.AsyncClient, metadata: str) -> None:
    files = {"files": ("a.txt", b"text")}
    response = await client.post("/documents", files=files, data={"metadata": metadata})
    assert "metadata" in told(response, 422, "invalid")


async def test_an_empty_file_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/documents", files={"files": ("empty.txt", b"")})
    assert "empty" in told(response, 422, "invalid")


async def test_a_file_over_the_cap_is_refused_and_its_neighbours_are_accepted(
    client: httpx.AsyncClient,
) -> None:
    alone = await client.post("/documents", files={"files": ("big.txt", b"x" * 10_001)})
    assert "big.txt" in told(alone, 413, "too_large")
    both = [("files", ("big.txt", b"x" * 10_001)), ("files", ("small.txt", b"small"))]
    response = await client.post("/documents?wait=30", files=both)
    assert response.status_code == 202
    body = response.json()
    assert [each["name"] for each in body["documents"]] == ["small.txt"]
    assert [(each["name"], each["error"]["code"]) for each in body["rejected"]] == [
        ("big.txt", "too_large")
    ]


async def test_a_request_over_the_cap_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/documents", files={"files": ("big.txt", b"x" * 60_000)})
    told(response, 413, "too_large")


async def test_a_body_that_hides_its_length_is_cut_off_at_the_cap(
    client: httpx.AsyncClient,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000

    headers = {"content-type": "application/json"}
    told(await client.post("/search", content=endless(), headers=headers), 413, "too_large")


async def test_a_program_called_pdf_is_refused_on_its_row(client: httpx.AsyncClient) -> None:
    program = b"MZ\x90\x00\x03" + bytes(500)
    response = await client.post("/documents?wait=30", files={"files": ("invoice.pdf", program)})
    assert "invoice.pdf" in told(response, 415, "unsupported_format")


@pytest.mark.parametrize("path", ["/nowhere", "/documents/missing", "/documents/missing/content"])
async def test_what_is_not_there_is_a_404(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] in {"not_found", "document_not_found"}


async def test_events_of_what_is_not_there_are_a_404(client: httpx.AsyncClient) -> None:
    told(await client.get("/documents/missing/events"), 404, "document_not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/search", "GET, POST"),
        ("DELETE", "/documents", "GET, POST"),
        ("POST", "/documents/good", "GET, DELETE"),
        ("PUT", "/collections/default", "GET, PATCH, DELETE"),
        ("GET", "/collections/default/rebuild", "POST, DELETE"),
        ("GET", "/mcp", "POST"),
        ("POST", "/docs", "GET, HEAD"),
        ("POST", "/page/main.js", "GET, HEAD"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_a_405_that_names_those_it_takes(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)
    assert allowed in told(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


async def test_a_cursor_that_is_not_ours_is_refused(client: httpx.AsyncClient) -> None:
    told(await client.get("/documents", params={"cursor": "made-up"}), 422, "invalid")


async def test_a_full_disk_is_a_507_and_loses_nothing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "files")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        body = {"documents": [{"id": "late", "text": "no room"}]}
        told(await client.post("/documents", json=body), 507, "storage_full")
    assert (await client.get("/documents/late")).status_code == 404
    assert (await client.post("/documents?wait=30", json=body)).status_code == 202


async def test_a_request_id_is_the_callers_own_where_it_is_harmless(
    client: httpx.AsyncClient,
) -> None:
    mine = await client.get("/healthz", headers={"X-Request-ID": "trace-42"})
    assert mine.headers["x-request-id"] == "trace-42"
    evil = await client.get("/healthz", headers={"X-Request-ID": "a b<script>"})
    assert evil.headers["x-request-id"] != "a b<script>"
