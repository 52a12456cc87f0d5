"""The door: who is let in, by what, before a body is read, and what is written down of it."""

import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.datastructures import Headers

from services.api import auth
from services.api.auth import Keyring
from tests.support.keys import make_key
from tests.support.server import threaded_server
from tests.support.service import running
from twofold import Client
from twofold.apikeys import KeyFile
from twofold.errors import Forbidden, Unauthenticated

pytestmark = pytest.mark.anyio


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def admin(keys: KeyFile) -> dict[str, str]:
    return make_key(keys.path, "acme")


@pytest.fixture
async def client(
    tmp_path: Path, keys: KeyFile, admin: dict[str, str]
) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path, api_keys_file=keys.path) as (client, _):
        yield client


@pytest.fixture
async def keyless(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    origins = "https://app.example.com, http://localhost:3000"
    async with running(tmp_path, cors_origins=origins, allowed_hosts="search.lan") as (client, _):
        yield client


def bearer(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


# --- Keys -----------------------------------------------------------------------------------


async def test_a_key_is_taken_from_each_place_where_clients_put_it(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    key = bearer(admin)
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer {key}"},
        {"X-API-Key": key},
        {"api-key": key},
        {"Authorization": "Basic cHJveHk6cHJveHk=", "X-API-Key": key},
    ):
        assert (await client.get("/documents", headers=headers)).status_code == 404, headers


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer tf_",
        "Basic abc",
        "Bearer tf_000000000000_" + "A" * 43,
    ],
)
async def test_what_is_no_key_of_ours_is_a_401(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.get("/documents", headers={"Authorization": value})
    assert answer.status_code == 401
    assert "Authorization: Bearer" in answer.json()["error"]["message"]


async def test_a_key_with_one_letter_changed_is_a_401(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    key = bearer(admin)
    for place in (20, 40, len(key) - 1):
        changed = key[:place] + ("A" if key[place] != "A" else "B") + key[place + 1 :]
        assert (await client.get("/keys", headers={"X-API-Key": changed})).status_code == 401


async def test_a_key_in_the_address_is_none(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    address = {"api_key": bearer(admin), "key": bearer(admin), "tenant": "acme"}
    assert (await client.get("/documents", params=address)).status_code == 401


async def test_a_tenant_in_a_header_changes_nothing(
    client: httpx.AsyncClient, admin: dict[str, str], keys: KeyFile
) -> None:
    other = {**make_key(keys.path, "other"), "X-Tenant": "acme", "Tenant": "acme"}
    body = {"documents": [{"id": "a", "text": "rye"}]}
    posted = await client.post("/documents?wait=30&tenant=other", json=body, headers=admin)
    assert posted.status_code == 202
    await anyio.sleep(auth.LOOK_S)
    assert (await client.get("/documents/a", headers=other)).status_code == 404


async def test_an_admin_makes_and_revokes_keys_that_work_and_stop_at_once(
    client: httpx.AsyncClient, admin: dict[str, str], keys: KeyFile
) -> None:
    wanted = {"name": "reader", "scopes": ["read"], "expires_in_days": 30}
    answer = await client.post("/keys", json=wanted, headers=admin)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["tenant"], made["scopes"]) == ("acme", ["read"])
    assert answer.headers["cache-control"] == "no-store"
    reader = {"X-API-Key": made["key"]}
    assert (await client.get("/documents", headers=reader)).status_code == 404
    assert (await client.get("/keys", headers=reader)).status_code == 403

    listed = (await client.get("/keys", headers=admin)).text
    assert made["id"] in listed
    assert made["key"] not in listed
    assert "sha256" not in listed

    assert (await client.delete(f"/keys/{made['id']}", headers=admin)).json()["name"] == "reader"
    assert (await client.get("/documents", headers=reader)).status_code == 401
    assert (await client.delete(f"/keys/{made['id']}", headers=admin)).status_code == 404


async def test_an_admin_cannot_make_a_key_for_another_tenant(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    wanted = {"name": "spy", "tenant": "other"}
    assert (await client.post("/keys", json=wanted, headers=admin)).status_code == 422


async def test_keys_on_a_read_only_mount_are_a_409_that_says_so(
    client: httpx.AsyncClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        answer = await client.post("/keys", json={"name": "x"}, headers=admin)
    assert answer.status_code == 409
    assert "Read-only file system" in answer.json()["error"]["message"]


async def test_a_server_without_keys_says_that_it_has_none_to_manage(
    keyless: httpx.AsyncClient,
) -> None:
    answer = await keyless.get("/keys")
    assert answer.status_code == 409
    assert "TWOFOLD_API_KEYS_FILE" in answer.json()["error"]["message"]


# --- The file changes -----------------------------------------------------------------------


@pytest.fixture
def every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "LOOK_S", 0.0)


def known(ring: Keyring, headers: dict[str, str]) -> bool:
    return ring.caller(Headers(headers)) is not None


@pytest.mark.usefixtures("every_look")
def test_a_key_made_or_revoked_in_the_file_counts_without_a_restart(
    keys: KeyFile, admin: dict[str, str]
) -> None:
    ring = Keyring(keys)
    late = make_key(keys.path, "late")
    assert known(ring, late)
    keys.revoke(bearer(late).split("_")[1])
    assert not known(ring, late)
    assert known(ring, admin)


@pytest.mark.usefixtures("every_look")
def test_a_broken_file_locks_nobody_out_and_an_empty_one_everybody(
    keys: KeyFile, admin: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    ring = Keyring(keys)
    keys.path.write_text("{")
    assert known(ring, admin)
    assert "stay as they were" in caplog.text
    keys.path.write_text('{"keys": []}')
    assert not known(ring, admin)


@pytest.mark.usefixtures("every_look")
def test_a_mounted_secret_that_is_swapped_behind_its_links_is_seen(tmp_path: Path) -> None:
    # As Kubernetes does it: keys.json -> ..data/keys.json, and ..data -> a folder by its date.
    for folder, tenant in (("..2026_01", "old"), ("..2026_02", "new")):
        (tmp_path / folder).mkdir()
        make_key(tmp_path / folder / "keys.json", tenant)
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "keys.json").symlink_to("..data/keys.json")
    ring = Keyring(KeyFile(tmp_path / "keys.json"))
    late = make_key(tmp_path / "..2026_02" / "keys.json", "new")
    assert not known(ring, late)
    (tmp_path / "..tmp").symlink_to("..2026_02")
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    assert known(ring, late)


def test_an_expired_key_is_none(keys: KeyFile) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    made = keys.create(name="old", tenant="acme", scopes=["read"], expires_at=yesterday)
    assert not known(Keyring(keys), {"X-API-Key": made.key})


def test_a_keys_file_that_others_can_write_is_warned_of(
    keys: KeyFile, admin: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    Keyring(keys)
    assert not caplog.records
    keys.path.chmod(0o666)
    Keyring(keys)
    assert "chmod 600" in caplog.text


# --- Over a socket --------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path: Path, keys: KeyFile, admin: dict[str, str]) -> Iterator[str]:
    with threaded_server(tmp_path / "data", api_keys_file=keys.path) as url:
        yield url


@pytest.mark.parametrize("path", ["/documents", "/search", "/keys", "/nowhere"])
def test_a_stranger_is_refused_with_the_body_unread(url: str, path: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        # A gigabyte is announced and not one byte of it is sent.
        connection.sendall(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_a_client_with_a_wrong_key_reads_why_even_in_the_middle_of_an_upload(
    url: str, tmp_path: Path
) -> None:
    big = tmp_path / "big.txt"
    big.write_bytes(b"rye " * 4_000_000)
    with Client(url, api_key="tf_wrong") as client, pytest.raises(Unauthenticated, match="valid"):
        client.add_files([big])


def test_a_client_reads_which_scope_its_key_lacks(url: str, keys: KeyFile) -> None:
    reader = bearer(make_key(keys.path, "acme", "read"))
    time.sleep(auth.LOOK_S)
    with Client(url, api_key=reader) as client, pytest.raises(Forbidden, match="'write'"):
        client.delete("a")


# --- Web pages ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "search.lan", "SEARCH.LAN"],
)
async def test_a_server_without_keys_answers_to_the_names_of_its_machine(
    keyless: httpx.AsyncClient, host: str
) -> None:
    assert (await keyless.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "192.168.1.4",
        "",
        "[",
        "localhost.evil",
    ],
)
async def test_a_name_that_was_bent_to_this_machine_is_refused(
    keyless: httpx.AsyncClient, host: str
) -> None:
    answer = await keyless.get("/documents", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "foreign_site"
    assert "TWOFOLD_ALLOWED_HOSTS" in answer.json()["error"]["message"]


BODY = {"documents": [{"name": "a.txt", "text": "rye"}]}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_origin_changes_nothing_on_a_server_without_keys(
    keyless: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for call in (
        keyless.post("/documents", json=BODY, headers=headers),
        keyless.delete("/documents/a", headers=headers),
    ):
        answer = await call
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "foreign_site"
    assert (await keyless.get("/documents")).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Origin": "https://app.example.com"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_our_own_pages_and_those_that_the_operator_names_may(
    keyless: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await keyless.post("/documents", json=BODY, headers=headers)).status_code == 202


ALLOWED = "access-control-allow-origin"
PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}


async def test_pages_of_other_origins_read_nothing(client: httpx.AsyncClient) -> None:
    assert ALLOWED not in (await client.get("/healthz", headers=PREFLIGHT)).headers
    assert (await client.options("/search", headers=PREFLIGHT)).status_code == 401


async def test_pages_of_the_origins_that_the_operator_names_read_answers(
    keyless: httpx.AsyncClient,
) -> None:
    answer = await keyless.get("/healthz", headers=PREFLIGHT)
    assert answer.headers[ALLOWED] == PREFLIGHT["Origin"]
    assert (await keyless.options("/search", headers=PREFLIGHT)).status_code == 200
    other = {"Origin": "https://evil.example"}
    assert ALLOWED not in (await keyless.get("/healthz", headers=other)).headers


async def test_every_answer_tells_browsers_to_guess_frame_and_keep_nothing(
    keyless: httpx.AsyncClient,
) -> None:
    for path in ("/healthz", "/documents", "/docs", "/nowhere", "/openapi.json"):
        headers = (await keyless.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["cache-control"] == "no-store", path


# --- The audit log --------------------------------------------------------------------------


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [
        json.loads(each.getMessage()) for each in caplog.records if each.name == "twofold.audit"
    ]


async def test_changes_and_refusals_are_written_down_without_a_key_or_a_word(
    client: httpx.AsyncClient,
    admin: dict[str, str],
    keys: KeyFile,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    said = {"documents": [{"id": "a", "text": "confidential porridge"}]}
    headers = {**admin, "X-Request-ID": "r-1"}
    await client.post("/documents?wait=30&note=hush", json=said, headers=headers)
    await client.get("/search?q=porridge", headers=admin)
    await client.post("/keys", json={"name": "x"}, headers=admin)
    await client.delete("/documents/a", headers=admin)
    await client.delete("/documents/a", headers={"X-API-Key": "tf_guess"})
    found = lines(caplog)
    assert [(each["action"], each["target"], each["outcome"]) for each in found] == [
        ("add_documents", "/documents", 202),
        ("create_key", "/keys", 201),
        ("delete_document", "/documents/a", 200),
        ("DELETE", "/documents/a", 401),
    ]
    key_id = bearer(admin).split("_")[1]
    assert [each["key"] for each in found] == [key_id, key_id, key_id, None]
    assert found[0]["tenant"] == "acme"
    assert found[0]["request_id"] == "r-1"
    # All logs but that of the caller's own library, which is no server's.
    written = "\n".join(each.getMessage() for each in caplog.records if each.name != "httpx")
    for hidden in (bearer(admin), bearer(admin).split("_", 2)[2], "porridge", "hush", "tf_guess"):
        assert hidden not in written


async def test_a_change_that_fails_within_is_written_down_as_that(
    client: httpx.AsyncClient,
    admin: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(KeyFile, "create", broken)
    assert (await client.post("/keys", json={"name": "x"}, headers=admin)).status_code == 500
    assert [each["outcome"] for each in lines(caplog)] == [500]


async def test_strangers_cannot_fill_the_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="twofold.audit")
    for _ in range(200):
        assert (await client.get("/documents")).status_code == 401
    written = lines(caplog)
    assert 10 <= len(written) < 150
    told = [int(str(each.get("more_like_it_before", 0))) for each in written]
    assert len(written) + sum(told) <= 200
