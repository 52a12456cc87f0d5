"""The documents of a set, uploaded into a collection of their own.

Through the API as anybody's are: what is measured is what users get. The same bytes again are
`unchanged`, so an upload that was interrupted goes on where it was.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, TaskID

from twofold.client import Client
from twofold.errors import ServiceError
from twofold.evaluation.judgements import bad
from twofold.evaluation.readers.beir import entries
from twofold.progress import WINDOW, bars
from twofold.schema import Document, DocumentText
from twofold.uploads import text_batches

STALL_S = 600.0
"""Longest wait for one document; those before it are done by then."""


@dataclass
class Uploaded:
    """What came of it.

    Attributes:
        names: By id, of everything that was sent.
        empty: Documents without text, which nothing can find.
        failed: What the server could not take in, with its reason.
    """

    names: dict[str, str] = field(default_factory=dict)
    empty: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def collection_of(name: str) -> str:
    """The collection that a set is uploaded to: `eval-` and its name, as far as names may go."""
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")
    return f"eval-{slug}"[:63]


def upload(client: Client, path: Path, *, collection: str, console: Console) -> Uploaded:
    """Send every document and wait until all can be searched.

    Args:
        client: Of the server.
        path: JSON Lines as BEIR has them.
        collection: Comes into being.
        console: For the progress.

    Raises:
        InvalidRequest: A line cannot be used.
        ServiceError: A document stayed unfinished for STALL_S.
    """
    done = Uploaded()
    total = sum(1 for _ in entries(path))
    with bars(console) as progress:
        task = progress.add_task("uploading", total=total)
        reading = progress.add_task("reading and embedding", total=total)
        waiting: list[Document] = []
        for batch in text_batches(_texts(path, done)):
            answer = client.add_texts(batch, collection=collection)
            for file in answer.rejected:
                done.failed[file.name] = file.error.message
            for document in answer.documents:
                done.names[document.id] = document.name
            progress.update(task, completed=len(done.names) + done.empty)
            waiting += answer.documents
            while len(waiting) > WINDOW:
                _follow(client, waiting[: WINDOW // 2], done, progress, reading)
                del waiting[: WINDOW // 2]
        _follow(client, waiting, done, progress, reading)
    return done


def _texts(path: Path, done: Uploaded) -> Iterator[DocumentText]:
    for place, entry in entries(path):
        text = entry.whole
        if not text:
            done.empty += 1
            continue
        name = entry.title.strip() if entry.title and entry.title.strip() else entry.id
        try:
            yield DocumentText(id=entry.id, name=name[:1024], text=text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise bad(place, f"{first['loc'][0]}: {first['msg']}") from None


def _follow(
    client: Client,
    documents: Sequence[Document],
    done: Uploaded,
    progress: Progress,
    task: TaskID,
) -> None:
    for document in documents:
        now = document
        if not now.final:
            [now] = client.wait(now.id, collection=now.collection, timeout=STALL_S)
        if not now.final:
            raise ServiceError(
                f"'{now.name}' has been {now.status} for {STALL_S / 60:.0f} minutes; see what "
                "`twofold status` says, and give the same command again to go on."
            )
        if now.error:
            done.failed[now.id] = now.error.message
        progress.advance(task)
