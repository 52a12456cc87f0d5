"""An upload as it is seen in a terminal: a bar for the files, a bar for what becomes of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from twofold import adding
from twofold.client import Client
from twofold.render import plain
from twofold.schema import AcceptedDocuments, Document, Metadata
from twofold.uploads import joined, updated


@dataclass
class Upload:
    """Sends files and follows them until they can be searched, or for `timeout` seconds."""

    connect: Callable[[], Client]
    console: Console
    collection: str
    metadata: Metadata
    timeout: float

    def __call__(self, files: dict[str, Path]) -> AcceptedDocuments:
        with self.connect() as client, self._progress() as progress:
            accepted = joined(self._send(client, files, progress))
            return updated(accepted, self._follow(client, accepted, progress))

    def _send(
        self, client: Client, files: dict[str, Path], progress: Progress
    ) -> Iterable[AcceptedDocuments]:
        task = progress.add_task("uploading", total=len(files))
        for answer in adding.send(
            client, files, collection=self.collection, metadata=self.metadata
        ):
            progress.advance(task, len(answer.documents) + len(answer.rejected))
            yield answer

    def _follow(
        self, client: Client, accepted: AcceptedDocuments, progress: Progress
    ) -> Iterable[Document]:
        unfinished = [document for document in accepted.documents if not document.final]
        task = progress.add_task("queued", total=len(unfinished))
        finished = 0
        for document in adding.follow(
            client, unfinished, collection=self.collection, timeout=self.timeout
        ):
            yield document
            finished += document.final
            done = finished if document.final else finished + document.progress
            progress.update(
                task, completed=done, description=f"{document.status} {plain(document.name)[:40]}"
            )

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
