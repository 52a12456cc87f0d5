"""What a parser finds in a file reaches whoever searches: metadata, and what leads a passage."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from pipelines.build import Models
from tests.support.models import WordEmbedder
from tests.support.service import running

pytestmark = pytest.mark.anyio

MAIL = (
    b"From: Ada <ada@example.org>\r\nSubject: Bows\r\nDate: Mon, 06 Jan 2020 10:00:00 +0100\r\n\r\n"
)
TABLE = "| wood | use |\n|---|---|\n" + "".join(
    f"| yew number {n} of the north | bow number {n} of the archers |\n" for n in range(200)
)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path, models=Models(WordEmbedder(), None)) as (client, _):
        yield client


async def upload(client: httpx.AsyncClient, name: str, data: bytes, **form: str) -> str:
    files = {"files": (name, data)}
    response = await client.post("/documents?wait=30", files=files, data=form)
    (document,) = response.json()["documents"]
    assert document["status"] == "ready", document
    return document["id"]


async def found(client: httpx.AsyncClient, query: str, **options: object) -> list[dict]:
    response = await client.post("/search", json={"query": query, **options})
    assert response.status_code == 200, response.text
    return response.json()["results"]


async def test_what_a_file_says_of_itself_is_shown_and_filtered(client: httpx.AsyncClient) -> None:
    document = await upload(client, "a.eml", MAIL + b"Yew is best for bows.")
    await upload(client, "b.txt", b"Yew is best for bows, they say.")
    after = {"key": "file.date", "gte": "2020-01-06T08:00:00Z"}
    (only,) = await found(client, "yew bows", filter=after)
    assert only["document_id"] == document
    assert only["metadata"]["file.from"] == "Ada <ada@example.org>"
    assert (
        await found(client, "yew bows", filter={"key": "file.date", "gt": "2021-01-01T00:00:00Z"})
        == []
    )


async def test_a_file_cannot_speak_for_its_owner(client: httpx.AsyncClient) -> None:
    claims = b"---\nteam: finance\nfile.author: boss\n---\nYew is best for bows.\n"
    await upload(client, "c.md", claims, metadata='{"file.author": "Ada"}')
    assert await found(client, "yew", filter={"key": "team", "eq": "finance"}) == []
    (only,) = await found(client, "yew")
    assert only["metadata"]["file.author"] == "Ada"


async def test_rows_of_a_divided_table_come_with_their_head(client: httpx.AsyncClient) -> None:
    document = await upload(client, "t.md", TABLE.encode())
    chunks = (await client.get(f"/documents/{document}/chunks")).json()["chunks"]
    assert [each["lead"] for each in chunks] == [None, *["| wood | use |"] * (len(chunks) - 1)]
    results = await found(client, "yew number 199")
    assert any(each["lead"] == "| wood | use |" and " 199 " in each["text"] for each in results)
