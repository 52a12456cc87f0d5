"""Client and API through each other: both clients, and the command line, on a real Twofold."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from services.api.app import create_app
from tests.support.server import threaded_server
from tests.support.service import running
from twofold import AsyncClient, Client
from twofold.cli import main
from twofold.errors import (
    Conflict,
    ContentNotReady,
    DocumentNotFound,
    InvalidRequest,
)
from twofold.schema import Condition, DocumentText

WAIT_S = 60.0
TEXTS = [
    DocumentText(
        id="a/b?c=ä#%2F",
        name="yew.md",
        text="# Yew\n\nA stave of yew dries for a year before it is tillered.",
        media_type="text/markdown",
        metadata={"year": 2020},
    ),
    DocumentText(
        id="a..b",
        name="rye.txt",
        text="Rye dough rests for two hours before it is shaped.",
        metadata={"year": 1999},
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with threaded_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def client(url) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.fixture
async def aclient(tmp_path, anyio_backend) -> AsyncIterator[AsyncClient]:
    async with running(tmp_path) as (_, twofold):
        transport = httpx.ASGITransport(create_app(twofold))
        async with AsyncClient("http://localhost", transport=transport) as client:
            yield client


# --- The blocking client over a socket ------------------------------------------------------


def test_a_document_goes_in_is_found_read_and_removed(client):
    accepted = client.add_texts(TEXTS, collection="life", wait=WAIT_S)
    assert [(each.verdict, each.status) for each in accepted.documents] == [
        ("created", "ready"),
        ("created", "ready"),
    ]
    again = client.add_texts(TEXTS, collection="life")
    assert [each.verdict for each in again.documents] == ["unchanged", "unchanged"]

    response = client.search("how long does yew dry before tillering", collection="life")
    best = response.results[0]
    assert best.document_id == TEXTS[0].id
    assert best.headings == ["Yew"]
    assert response.rerank.status == "applied"

    for text in TEXTS:
        assert text.id is not None
        content = client.content(text.id, collection="life").text
        chunks = client.chunks(text.id, collection="life").chunks
        assert [content[chunk.start : chunk.end] for chunk in chunks] == [
            chunk.text for chunk in chunks
        ]
        assert client.document(text.id, collection="life").name == text.name
        assert client.delete(text.id, collection="life").id == text.id
        with pytest.raises(DocumentNotFound):
            client.document(text.id, collection="life")
    assert list(client.documents("life")) == []


def test_a_filter_reaches_the_store(client):
    client.add_texts(TEXTS, collection="filtered", wait=WAIT_S)
    found = client.search(
        "before it is", collection="filtered", filter=Condition(key="year", lt=2000)
    )
    assert {result.name for result in found.results} == {"rye.txt"}


def test_pages_of_a_search_are_one_ranking(client):
    client.add_texts(TEXTS, collection="paged", wait=WAIT_S)
    whole = client.search("before it is", collection="paged").results
    assert len(whole) == 2
    pages = list(client.search_pages("before it is", collection="paged", limit=1))
    assert [result for page in pages for result in page.results] == whole
    first, second = client.search_batch(["before it is", "before it is"])
    assert first.error is not None, "the collection 'default' was never made"
    assert first.error.code == second.error.code == "collection_not_found"


def test_texts_from_anywhere_are_put_in_order_by_the_second_stage(client):
    answer = client.rerank("yew dries", ["rye rests", "yew dries slowly", "yew"], top_n=2)
    assert answer.model == "overlap"
    assert [each.index for each in answer.results] == [1, 2]
    assert answer.results[0].relevance_score > answer.results[1].relevance_score
    with pytest.raises(InvalidRequest, match="takes none"):
        client.rerank("yew", ["yew"], instruction="Prefer wood.")


def test_files_keep_the_names_that_they_were_given(client, tmp_path):
    (tmp_path / "same.md").write_text("# Ash\n\nAsh bends well.")
    names = ["guides/ash.md", "ä ö/ash, old.md"]
    files = dict.fromkeys(names, tmp_path / "same.md")
    accepted = client.add_files(files, collection="files", metadata={"tags": ["a"]}, wait=WAIT_S)
    assert sorted(each.name for each in accepted.documents) == sorted(names)
    assert {each.status for each in accepted.documents} == {"ready"}
    assert [each.metadata for each in accepted.documents] == [{"tags": ["a"]}] * 2


def test_a_bad_file_among_good_ones_is_named_and_the_others_go_in(client, tmp_path):
    (tmp_path / "good.md").write_text("# Good")
    (tmp_path / "empty.md").touch()
    accepted = client.add_files([tmp_path / "good.md", tmp_path / "empty.md"], collection="mixed")
    assert [each.name for each in accepted.documents] == ["good.md"]
    assert [each.name for each in accepted.rejected] == ["empty.md"]
    with pytest.raises(InvalidRequest, match=r"empty\.md"):
        client.add_files(tmp_path / "empty.md", collection="mixed")


def test_events_end_with_the_final_state(client):
    [accepted] = client.add_texts([TEXTS[0]], collection="events").documents
    states = list(client.events(accepted.id, collection="events"))
    assert states[-1].status == "ready"
    assert states == sorted(states, key=lambda state: state.updated_at)


def test_errors_of_the_server_arrive_as_their_classes(client):
    client.add_texts([TEXTS[0]], collection="errors", wait=WAIT_S)
    document_id = str(TEXTS[0].id)
    with pytest.raises(Conflict, match="only a failed"):
        client.retry(document_id, collection="errors")
    for use in (client.document, client.content, client.chunks, client.delete, client.retry):
        with pytest.raises(DocumentNotFound) as caught:
            use("no such", collection="errors")
        assert caught.value.request_id
    with pytest.raises(InvalidRequest):
        client.add_texts([TEXTS[0]], collection="Not A Name")
    with pytest.raises(InvalidRequest):
        client.document("x", collection="Not A Name")


def test_a_document_that_failed_can_be_retried(client, tmp_path):
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    [failed] = client.add_files(tmp_path / "broken.pdf", wait=WAIT_S).documents
    assert failed.status == "failed"
    assert failed.error
    with pytest.raises(ContentNotReady):
        client.content(failed.id)
    assert client.retry(failed.id).status == "queued"
    [again] = client.wait([failed.id], timeout=WAIT_S)
    assert again.status == "failed"


def test_health_and_readiness(client):
    assert client.health().status == "ok"
    readiness = client.ready()
    assert readiness.ready
    assert (readiness.embedder, readiness.reranker) == ("words-64", "overlap")


# --- The other client, without a socket -----------------------------------------------------


@pytest.mark.anyio
async def test_the_async_client_does_the_same(aclient, tmp_path):
    (tmp_path / "ash.md").write_text("# Ash\n\nAsh bends well.")
    await aclient.add_files(tmp_path / "ash.md")
    accepted = await aclient.add_texts(TEXTS, wait=WAIT_S)
    assert [each.status for each in accepted.documents] == ["ready", "ready"]

    states = [state async for state in aclient.events(str(TEXTS[0].id))]
    assert [state.status for state in states] == ["ready"]
    found = await aclient.search("how long does yew dry", limit=1)
    assert [result.document_id for result in found.results] == [TEXTS[0].id]
    assert "dries for a year" in (await aclient.content(str(TEXTS[0].id))).text

    assert (await aclient.delete("a..b")).name == "rye.txt"
    with pytest.raises(DocumentNotFound):
        await aclient.document("a..b")
    assert {each.name async for each in aclient.documents()} == {"yew.md", "ash.md"}
    assert (await aclient.ready()).ready


# --- The command line -----------------------------------------------------------------------


@pytest.fixture
def run(url, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["--url", url, *arguments])
        output = capsys.readouterr()
        return int(done.value.code or 0), output.out, output.err

    return run


def test_the_command_line_adds_a_folder_and_finds_it_again(run, tmp_path):
    folder = tmp_path / "woods"
    folder.mkdir()
    (folder / "yew.md").write_text(TEXTS[0].text)
    (folder / "ash.md").write_text("# Ash\n\nAsh bends well.")
    (folder / "empty.md").touch()
    status, out, _ = run("add", str(folder), "-c", "shell", "-m", "year=2020")
    assert status == 1
    assert "2 created" in out
    assert "woods/empty.md" in out

    (folder / "empty.md").unlink()
    status, out, _ = run("add", str(folder), "-c", "shell", "-m", "year=2020")
    assert (status, "2 unchanged" in out) == (0, True)

    status, out, _ = run("search", "how long does yew dry", "-c", "shell", "--json")
    found = json.loads(out)["results"]
    assert (status, found[0]["name"]) == (0, "woods/yew.md")
    assert run("search", "yew", "-c", "no-such")[0] == 1


@pytest.mark.slow
def test_watching_a_folder_adds_what_changes_and_ends_quietly(url, client, tmp_path):
    (tmp_path / "first.md").write_text("# First")
    client.add_files(tmp_path / "first.md", collection="watched")
    command = [sys.executable, "-m", "twofold.cli", "--url", url]
    command += ["add", str(tmp_path), "--watch", "-c", "watched"]
    root = Path(__file__).parents[2]
    shown = tmp_path.with_suffix(".out")
    with (
        shown.open("w") as out,
        subprocess.Popen(
            command, cwd=root, stdout=out, stderr=subprocess.PIPE, text=True
        ) as watching,
    ):
        try:
            assert named(client, f"{tmp_path.name}/first.md").version == 1
            (tmp_path / "second.md").write_text("# Second")
            assert named(client, f"{tmp_path.name}/second.md").version == 1
            (tmp_path / "first.md").write_text("# First, changed")
            assert named(client, f"{tmp_path.name}/first.md", version=2).version == 2
            end = time.monotonic() + 30
            while "updated" not in shown.read_text() and time.monotonic() < end:
                time.sleep(0.05)
            os.kill(watching.pid, signal.SIGINT)
            _, err = watching.communicate(timeout=30)
        finally:
            watching.kill()
    assert watching.returncode == 0
    assert "Stopped watching." in err
    assert "Traceback" not in err
    assert "updated" in shown.read_text()


def named(client: Client, name: str, version: int = 1):
    """The document of that name, once it is ready in that version."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for document in client.documents("watched", status=["ready"]):
            if document.name == name and document.version == version:
                return document
        time.sleep(0.1)
    raise AssertionError(f"{name} was not added")
