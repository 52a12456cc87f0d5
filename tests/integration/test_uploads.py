"""An upload is read as it arrives: bounded in memory, on disk and in time, file by file."""

import asyncio
import hashlib
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.build import Twofold
from services.api.app import create_app
from services.api.archives import opened
from services.api.forms import Form, FormFile, FormReader
from services.api.uploads import ABANDONED_S, prepare_spool
from tests.support.files import zipped
from tests.support.samples import SAMPLES
from tests.support.service import running
from twofold.errors import InvalidRequest, MalformedRequest, TooLarge, UnsupportedFormat

pytestmark = pytest.mark.anyio

TYPE = "multipart/form-data; boundary=bound"
CHUNK = 65_536


def part(name: str, content: bytes, field: str = "files") -> bytes:
    head = f'--bound\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--bound--\r\n"


def read(folder: Path, chunks: Iterator[bytes], cap: int = 10_000_000) -> Form:
    reader = FormReader(TYPE, folder=folder, cap=cap)
    try:
        for chunk in chunks:
            reader.feed(chunk)
        return reader.finish()
    finally:
        reader.close()


def pieces(data: bytes, size: int = CHUNK) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


# --- The form -------------------------------------------------------------------------------


@given(cuts=st.lists(st.integers(1, 400), max_size=8))
def test_a_form_is_the_same_however_it_is_cut(tmp_path_factory, cuts):
    contents = {"a.txt": b"alpha\r\n--boun", "b.txt": b"\r\n\r\nbeta\r"}
    data = body(
        *(part(name, content) for name, content in contents.items()),
        b'--bound\r\nContent-Disposition: form-data; name="id"\r\n\r\nx\r\n',
    )
    edges = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    chunks = (data[a:b] for a, b in pairwise(edges))
    form = read(tmp_path_factory.mktemp("spool"), chunks)
    assert {file.name: file.path.read_bytes() for file in form.files} == contents
    assert [file.sha256 for file in form.files] == [
        hashlib.sha256(content).hexdigest() for content in contents.values()
    ]
    assert form.fields == {"id": "x"}


def test_a_file_over_the_cap_is_counted_and_not_kept(tmp_path):
    largest = 0

    def watched() -> Iterator[bytes]:
        nonlocal largest
        for chunk in pieces(body(part("big.txt", b"x" * 3_000_000), part("small.txt", b"small"))):
            yield chunk
            on_disk = sum(path.stat().st_size for path in tmp_path.iterdir())
            largest = max(largest, on_disk)

    big, small = read(tmp_path, watched(), cap=1_000_000).files
    assert isinstance(big.refused, TooLarge)
    assert big.size == 3_000_000
    assert "3000000 bytes" in big.refused.message
    assert (small.refused, small.path.read_bytes()) == (None, b"small")
    assert [path.name for path in tmp_path.iterdir()] == [small.path.name]
    assert largest <= 1_000_000


def test_what_no_parser_reads_never_reaches_the_disk(tmp_path):
    program = b"MZ\x90\0" + bytes(2_000_000)
    chunks = pieces(body(part("invoice.pdf", program), part("empty.txt", b"")))
    program_file, empty = read(tmp_path, chunks).files
    assert isinstance(program_file.refused, UnsupportedFormat)
    assert isinstance(empty.refused, InvalidRequest)
    assert not list(tmp_path.iterdir())


def test_memory_holds_a_chunk_and_not_a_file(tmp_path):
    chunk = b"x" * CHUNK

    def large() -> Iterator[bytes]:
        yield part("large.txt", b"")[:-2]
        for _ in range(800):
            yield chunk
        yield b"\r\n--bound--\r\n"

    tracemalloc.start()
    try:
        [file] = read(tmp_path, large(), cap=100_000_000).files
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file.size == file.path.stat().st_size == 800 * CHUNK
    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("data", "error", "word"),
    [
        (part("a.txt", b"text"), MalformedRequest, "middle"),
        (b"--bound\r\nContent-Disposition: form-data\r\n\r\nx\r\n", MalformedRequest, "no name"),
        (b"not a form", MalformedRequest, "broken"),
        (part("a.txt", b"x") * 1_001 + b"--bound--", InvalidRequest, "1000"),
        (
            b'--bound\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
            + b"x" * 1_000_001,
            InvalidRequest,
            "metadata",
        ),
    ],
)
def test_a_form_that_is_none_says_why(tmp_path, data, error, word):
    with pytest.raises(error, match=word):
        read(tmp_path, pieces(data))


def test_what_a_killed_server_left_is_removed_at_start_and_nothing_else(tmp_path):
    old, young, other = (tmp_path / name for name in ("upload-old", "upload-young", "keep"))
    for folder in (old, young, other):
        folder.mkdir()
        (folder / "0").write_text("x")
    past = time.time() - ABANDONED_S - 60
    for folder in (old, other):
        os.utime(folder, (past, past))
    prepare_spool(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keep", "upload-young"]


# --- The request ----------------------------------------------------------------------------


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Twofold]]:
    limits = {"max_upload_bytes": 100_000, "max_request_bytes": 1_000_000}
    async with running(tmp_path, **limits) as parts:
        yield parts
        assert not list((tmp_path / "incoming").iterdir())


@pytest.fixture
def client(service: tuple[httpx.AsyncClient, Twofold]) -> httpx.AsyncClient:
    return service[0]


async def test_every_file_of_a_request_has_its_own_verdict(client: httpx.AsyncClient) -> None:
    files = [
        ("files", ("one.txt", b"first")),
        ("files", ("virus.pdf", b"MZ\x90\0program")),
        ("files", ("one.txt", b"second of that name")),
        ("files", ("big.txt", b"x" * 200_000)),
        ("files", ("two.txt", b"last")),
    ]
    response = await client.post("/documents?wait=30", files=files)
    assert response.status_code == 202, response.text
    answer = response.json()
    assert [(each["name"], each["status"]) for each in answer["documents"]] == [
        ("one.txt", "ready"),
        ("two.txt", "ready"),
    ]
    assert [(each["name"], each["error"]["code"]) for each in answer["rejected"]] == [
        ("virus.pdf", "unsupported_format"),
        ("one.txt", "invalid"),
        ("big.txt", "too_large"),
    ]


async def test_files_that_are_all_refused_each_say_why(client: httpx.AsyncClient) -> None:
    files = [("files", ("empty.txt", b"")), ("files", ("virus.exe", b"MZ\x90\0program"))]
    response = await client.post("/documents", files=files, data={"collection": "untouched"})
    assert response.status_code == 202
    assert [each["error"]["code"] for each in response.json()["rejected"]] == [
        "invalid",
        "unsupported_format",
    ]
    gone = await client.get("/documents", params={"collection": "untouched"})
    assert gone.status_code == 404


async def test_a_name_is_stored_in_one_spelling(client: httpx.AsyncClient) -> None:
    for name in ("Bo\u0308gen.md", "Bögen.md"):
        response = await client.post("/documents?wait=30", files={"files": (name, b"# Yew")})
        assert response.status_code == 202
    assert response.json()["documents"][0]["verdict"] == "unchanged"
    texts = {"documents": [{"name": "../../\u202egnp.md\n", "text": "A name is data."}]}
    answer = (await client.post("/documents?wait=30", json=texts)).json()
    assert answer["documents"][0]["name"] == "../../gnp.md"


async def test_files_that_need_no_upload_are_told_by_name_hash_and_metadata(
    client: httpx.AsyncClient,
) -> None:
    for name, content in (("Bögen.md", b"# Yew"), ("broken.pdf", b"%PDF-1.7\nno document")):
        files = {"files": (name, content)}
        await client.post("/documents?wait=30", files=files, data={"metadata": '{"year": 1}'})

    async def unchanged(name: str, content: bytes, **more: object) -> list[str]:
        file = {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
        body = {"files": [file], "metadata": {"year": 1}, **more}
        answer = await client.post("/documents/compare", json=body)
        assert answer.status_code == 200, answer.text
        return [each["name"] for each in answer.json()["documents"]]

    assert await unchanged("Bo\u0308gen.md", b"# Yew") == ["Bögen.md"]
    assert await unchanged("Bögen.md", b"# Ash") == []
    assert await unchanged("Bögen.md", b"# Yew", metadata={"year": 2}) == []
    assert await unchanged("Bögen.md", b"# Yew", collection="elsewhere") == []
    assert await unchanged("broken.pdf", b"%PDF-1.7\nno document") == []  # to be tried again


async def test_uploads_of_one_id_at_once_end_in_one_whole_version(
    client: httpx.AsyncClient,
) -> None:
    async def upload(n: int) -> str:
        files = {"files": (f"{n}.md", f"# Notes\n\nedition {n}".encode())}
        response = await client.post("/documents?wait=30", files=files, data={"id": "notes"})
        return response.json()["documents"][0]["verdict"]

    verdicts = await asyncio.gather(*map(upload, range(6)))
    assert sorted(verdicts) == ["created"] + ["updated"] * 5
    row = (await client.get("/documents/notes")).json()
    assert (row["status"], row["version"], row["live_version"]) == ("ready", 6, 6)
    text = (await client.get("/documents/notes/content")).json()["text"]
    assert text.endswith(f"edition {row['name'].removesuffix('.md')}")


async def test_a_json_body_has_the_cap_of_a_json_body(tmp_path: Path) -> None:
    async with running(tmp_path, max_body_bytes=1_000) as (client, _):
        texts = {"documents": [{"name": "a.txt", "text": "x" * 2_000}]}
        assert (await client.post("/documents", json=texts)).status_code == 413
        files = {"files": ("a.txt", b"x" * 2_000)}
        assert (await client.post("/documents", files=files)).status_code == 202


async def test_a_disk_that_is_almost_full_takes_no_upload(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(os)("usage")
    usage.free = 50_000_000
    with monkeypatch.context() as patched:
        patched.setattr("shutil.disk_usage", lambda _: usage)
        response = await client.post("/documents", files={"files": ("a.txt", b"text")})
    assert (response.status_code, response.json()["error"]["code"]) == (507, "storage_full")


Receive = Callable[[], Any]


async def asked(twofold: Twofold, receive: Receive, **settings: float) -> list[dict[str, Any]]:
    """What the application sends when a body arrives as `receive` has it."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    app = create_app(twofold)
    for middleware in app.user_middleware:
        if middleware.cls.__name__ == "BodyLimit":
            middleware.kwargs |= settings
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/documents",
        "raw_path": b"/documents",
        "query_string": b"",
        "headers": [(b"content-type", TYPE.encode()), (b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "root_path": "",
    }
    await app(scope, receive, send)
    return sent


async def test_a_dropped_connection_leaves_nothing_behind(
    service: tuple[httpx.AsyncClient, Twofold], caplog: pytest.LogCaptureFixture
) -> None:
    client, twofold = service
    messages = iter(
        [
            {"type": "http.request", "body": part("a.txt", b"x" * 90_000), "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    await asked(twofold, receive)
    assert not list((twofold.settings.data_dir / "incoming").iterdir())
    assert (await client.get("/documents")).status_code in (200, 404)
    assert "failed" not in caplog.text


async def test_a_body_that_trickles_is_ended(service: tuple[httpx.AsyncClient, Twofold]) -> None:
    _, twofold = service
    sent_bytes = 0

    async def receive() -> dict[str, Any]:
        nonlocal sent_bytes
        await asyncio.sleep(0.02)
        sent_bytes += 1
        head = part("a.txt", b"")[:-2] if sent_bytes == 1 else b"x"
        return {"type": "http.request", "body": head, "more_body": True}

    start, *_ = await asked(twofold, receive, patience_s=0.5, slowest=1_000.0)
    assert start["status"] == 408
    assert not list((twofold.settings.data_dir / "incoming").iterdir())


# --- Archives -------------------------------------------------------------------------------


async def test_an_archive_becomes_its_members_where_the_operator_allows_it(tmp_path: Path) -> None:
    archive = zipped(
        {
            "guides/yew.md": "# Yew",
            "../../ash.md": "# Ash",
            "inner.zip": zipped({"x.md": "# X"}),
            "virus.exe": b"MZ\x90\0program",
            "big.txt": "x" * 60_000,
        }
    )
    files = {"files": ("woods.zip", archive)}
    limits = {"max_upload_bytes": 50_000}
    async with running(tmp_path / "a", open_archives=True, **limits) as (client, _):
        answer = (await client.post("/documents?wait=30", files=files)).json()
        assert [(each["name"], each["status"]) for each in answer["documents"]] == [
            ("woods.zip/guides/yew.md", "ready"),
            ("woods.zip/ash.md", "ready"),
        ]
        assert [(each["name"], each["error"]["code"]) for each in answer["rejected"]] == [
            ("woods.zip/inner.zip", "unsupported_format"),
            ("woods.zip/virus.exe", "unsupported_format"),
            ("woods.zip/big.txt", "too_large"),
        ]
        assert not list((tmp_path / "a" / "incoming").iterdir())
    async with running(tmp_path / "b") as (client, _):
        [document] = (await client.post("/documents?wait=30", files=files)).json()["documents"]
        assert document["error"]["code"] == "unsupported_format"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (zipped({f"{n}.md": "x" for n in range(1_001)}), "1000"),
        (zipped({"a.md": "x" * 1_000})[:-30], "damaged"),
        (zipped({"folder/": ""}), "nothing"),
    ],
)
def test_an_archive_that_cannot_be_opened_says_why(tmp_path, content, word):
    (tmp_path / "0").write_bytes(content)
    file = FormFile("files", "a.zip", "application/zip", tmp_path / "0", len(content))
    [refused] = opened(Form({}, [file]), tmp_path, cap=10_000, total=10_000).files
    assert word in refused.refused.message


def test_what_all_members_unpack_to_has_a_cap(tmp_path):
    content = zipped({f"{n}.txt": "x" * 4_000 for n in range(5)})
    (tmp_path / "0").write_bytes(content)
    file = FormFile("files", "a.zip", "application/zip", tmp_path / "0", len(content))
    members = opened(Form({}, [file]), tmp_path, cap=10_000, total=10_000).files
    assert [each.refused is None for each in members] == [True, True, False, False, False]


def test_a_document_that_is_called_an_archive_stays_one(tmp_path):
    content = SAMPLES[".docx"]
    (tmp_path / "0").write_bytes(content)
    file = FormFile("files", "a.zip", "application/zip", tmp_path / "0", len(content))
    assert opened(Form({}, [file]), tmp_path, cap=10_000, total=10_000).files == [file]
