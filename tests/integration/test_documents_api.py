"""What a caller of `/documents` can rely on, over a whole Twofold without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.build import Models, Twofold
from tests.support.models import WordEmbedder
from tests.support.reranking import OverlapModel
from tests.support.service import running

pytestmark = pytest.mark.anyio

RYE = "# Rye\n\nRye dough is sticky and ferments fast.\n\n## Baking\n\nBake rye at 250 degrees.\n"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Twofold]]:
    async with running(tmp_path) as parts:
        yield parts


@pytest.fixture
def client(service: tuple[httpx.AsyncClient, Twofold]) -> httpx.AsyncClient:
    return service[0]


async def upload(client: httpx.AsyncClient, name: str, text: str, **form: str) -> dict[str, Any]:
    response = await client.post(
        "/documents?wait=30", files=[("files", (name, text.encode()))], data=form
    )
    assert response.status_code == 202, response.text
    [document] = response.json()["documents"]
    return document


async def test_an_uploaded_file_becomes_ready_and_its_offsets_cut_the_passages(
    client: httpx.AsyncClient,
) -> None:
    document = await upload(client, "rye.md", RYE)
    assert (document["status"], document["verdict"], document["title"]) == (
        "ready",
        "created",
        "Rye",
    )
    content = (await client.get(f"/documents/{document['id']}/content")).json()["text"]
    chunks = (await client.get(f"/documents/{document['id']}/chunks")).json()["chunks"]
    assert len(chunks) == document["chunks"] > 0
    assert all(content[each["start"] : each["end"]] == each["text"] for each in chunks)


async def test_several_files_of_one_request_are_each_accepted(client: httpx.AsyncClient) -> None:
    files = [("files", (f"{n}.txt", f"note number {n}".encode())) for n in range(20)]
    response = await client.post("/documents?wait=30", files=files)
    assert [each["status"] for each in response.json()["documents"]] == ["ready"] * 20


async def test_texts_come_as_json_with_ids_of_any_shape(client: httpx.AsyncClient) -> None:
    odd = "wiki/Käse & Brot?rev=2#top"
    body = {"documents": [{"id": odd, "text": "Cheese on bread.", "metadata": {"year": 2024}}]}
    response = await client.post("/documents?wait=30", json=body)
    assert response.json()["documents"][0]["id"] == odd
    path = "/documents/wiki%2FK%C3%A4se%20%26%20Brot%3Frev%3D2%23top"
    assert (await client.get(path)).json()["metadata"] == {"year": 2024}
    assert (await client.get(f"{path}/content")).json()["text"] == "Cheese on bread."
    assert (await client.delete(path)).status_code == 200


async def test_the_same_bytes_again_change_nothing(client: httpx.AsyncClient) -> None:
    first = await upload(client, "rye.md", RYE)
    again = await upload(client, "rye.md", RYE)
    assert (again["verdict"], again["version"]) == ("unchanged", first["version"])
    assert again["updated_at"] == first["updated_at"]


async def test_identical_content_under_another_name_says_whose_copy_it_is(
    client: httpx.AsyncClient,
) -> None:
    first = await upload(client, "rye.md", RYE)
    copy = await upload(client, "copy.md", RYE)
    assert (copy["verdict"], copy["duplicate_of"]) == ("created", first["id"])


async def test_copies_in_one_upload_name_the_first(client: httpx.AsyncClient) -> None:
    files = [("files", (name, RYE.encode())) for name in ("one.md", "two.md")]
    first, copy = (await client.post("/documents?wait=30", files=files)).json()["documents"]
    assert (first["duplicate_of"], copy["duplicate_of"]) == (None, first["id"])


async def test_a_new_version_replaces_the_old_one_whole(client: httpx.AsyncClient) -> None:
    await upload(client, "rye.md", RYE)
    second = await upload(client, "rye.md", RYE.replace("250 degrees", "230 degrees"))
    assert (second["verdict"], second["version"], second["live_version"]) == ("updated", 2, 2)
    found = (await client.get("/search", params={"q": "bake rye degrees"})).json()["results"]
    assert any("230 degrees" in each["text"] for each in found)
    assert not any("250 degrees" in each["text"] for each in found)


async def test_only_changed_chunks_are_embedded_again(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    sections = [f"# Part {n}\n\n" + f"word{n} " * 150 for n in range(8)]
    async with running(tmp_path, models=Models(embedder, OverlapModel())) as (client, _):
        first = await upload(client, "book.md", "\n\n".join(sections))
        made = embedder.embedded
        assert made == first["chunks"] >= 8
        sections[3] = sections[3].replace("word3", "other")
        await upload(client, "book.md", "\n\n".join(sections))
        assert 0 < embedder.embedded - made <= made / 4


async def test_metadata_alone_is_an_update_that_embeds_nothing(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    async with running(tmp_path, models=Models(embedder, OverlapModel())) as (client, _):
        await upload(client, "rye.md", RYE)
        made = embedder.embedded
        again = await upload(client, "rye.md", RYE, metadata='{"year": 2025}')
        assert (again["verdict"], embedder.embedded) == ("updated", made)
        query = {"query": "rye", "filter": {"key": "year", "eq": 2025}}
        assert (await client.post("/search", json=query)).json()["results"]


async def test_a_deleted_document_is_gone_from_search_and_from_disk(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    document = await upload(client, "rye.md", RYE)
    assert (await client.delete(f"/documents/{document['id']}")).status_code == 200
    assert (await client.get("/search", params={"q": "rye"})).json()["results"] == []
    assert (await client.get(f"/documents/{document['id']}")).status_code == 404
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


async def test_old_versions_leave_no_files_behind(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    for n in range(3):
        await upload(client, "rye.md", RYE + f"\nEdition {n}.\n")
    for _ in range(50):  # the sweep comes after `ready`
        names = sorted(path.name for path in (tmp_path / "files").rglob("*") if path.is_file())
        if len(names) == 3:
            break
        await asyncio.sleep(0.1)
    kinds = ["-".join(name.split("-")[:2]) for name in names]
    assert kinds == ["document-3", "original-3", "text-3"]


async def test_a_document_that_cannot_be_read_fails_with_a_reason_and_can_be_retried(
    client: httpx.AsyncClient,
) -> None:
    document = await upload(client, "broken.pdf", "%PDF-1.7\nthis is no document")
    assert document["status"] == "failed"
    assert document["error"]["code"] == "corrupt"
    assert document["error"]["message"].endswith(".")
    retried = await client.post(f"/documents/{document['id']}/retry")
    assert (retried.status_code, retried.json()["status"]) == (202, "queued")


async def test_a_failed_update_leaves_the_old_version_in_search(client: httpx.AsyncClient) -> None:
    await upload(client, "paper.pdf", RYE)  # a lie about the type is refused ...
    good = await upload(client, "paper.txt", "Rye is a cereal.", id="paper")
    assert good["status"] == "ready"
    bad = await upload(client, "paper.pdf", "%PDF-1.7\nbroken", id="paper")
    assert (bad["status"], bad["version"], bad["live_version"]) == ("failed", 2, 1)
    found = (await client.get("/search", params={"q": "cereal"})).json()["results"]
    assert [each["document_id"] for each in found] == ["paper"]
    content = (await client.get("/documents/paper/content")).json()
    assert (content["version"], content["text"]) == (1, "Rye is a cereal.")


async def test_only_a_failed_document_can_be_retried(client: httpx.AsyncClient) -> None:
    document = await upload(client, "rye.md", RYE)
    refused = await client.post(f"/documents/{document['id']}/retry")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")


async def test_the_list_pages_through_every_document_once(client: httpx.AsyncClient) -> None:
    texts = [{"name": f"{n}.txt", "text": f"number {n}"} for n in range(25)]
    await client.post("/documents?wait=30", json={"documents": texts})
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 10, "status": "ready"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/documents", params=query)).json()
        seen += [each["name"] for each in page["documents"]]
        if (cursor := page["cursor"]) is None:
            break
    assert sorted(seen) == sorted(each["name"] for each in texts)


async def test_events_follow_a_document_until_it_is_ready(client: httpx.AsyncClient) -> None:
    body = {"documents": [{"id": "note", "text": "Rye and water."}]}
    await client.post("/documents", json=body)
    states: list[str] = []
    async with client.stream("GET", "/documents/note/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                states.append(json.loads(line.removeprefix("data:"))["status"])
    assert states[-1] == "ready"


async def test_two_uploads_of_one_name_at_once_end_in_one_whole_version(
    client: httpx.AsyncClient,
) -> None:
    texts = [f"# Notes\n\nedition {n} " + "rye " * 50 for n in range(5)]
    await asyncio.gather(*(upload(client, "notes.md", text) for text in texts))
    [row] = (await client.get("/documents")).json()["documents"]
    assert row["status"] == "ready"
    assert row["live_version"] == row["version"] == 5
    found = (await client.get("/search", params={"q": "edition rye"})).json()["results"]
    assert len({each["text"] for each in found}) == 1


async def test_what_was_unfinished_goes_on_after_a_restart(tmp_path: Path) -> None:
    texts = [{"name": f"{n}.txt", "text": f"number {n}"} for n in range(30)]
    async with running(tmp_path) as (client, _):
        await client.post("/documents", json={"documents": texts})
    async with running(tmp_path) as (client, _):
        for _ in range(300):
            rows = (await client.get("/documents")).json()["documents"]
            if all(row["status"] == "ready" for row in rows):
                break
            await asyncio.sleep(0.1)
    assert len(rows) == 30
    assert {row["status"] for row in rows} == {"ready"}
    assert {row["attempts"] for row in rows} == {1}
