"""An upload as it is seen in a terminal: a bar for the files, a bar for what becomes of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from twofold import adding
from twofold.client import Client
from twofold.outcomes import Listener
from twofold.render import plain
from twofold.schema import AcceptedDocument, Metadata

WINDOW = 2_000
"""Documents that may be on their way; more are sent when the oldest of them have arrived."""


@dataclass
class Upload:
    """Sends files and follows them until they can be searched, or for `timeout` seconds."""

    connect: Callable[[], Client]
    console: Console
    collection: str
    metadata: Metadata
    timeout: float

    def __call__(self, files: Mapping[str, Path], tell: Listener) -> None:
        """Tell of every file once, when nothing more happens to it or the time is up."""
        waiting: list[AcceptedDocument] = []
        with self.connect() as client, bars(self.console) as progress:
            sending = progress.add_task("uploading", total=len(files))
            for answer in adding.send(
                client, files, collection=self.collection, metadata=self.metadata
            ):
                progress.advance(sending, len(answer.documents) + len(answer.rejected))
                for file in answer.rejected:
                    tell(file)
                for document in answer.documents:
                    if self.timeout > 0 and not document.final:
                        waiting.append(document)
                    else:
                        tell(document)
                while len(waiting) > WINDOW:
                    self._follow(client, waiting[: WINDOW // 2], progress, tell)
                    del waiting[: WINDOW // 2]
            self._follow(client, waiting, progress, tell)

    def _follow(
        self,
        client: Client,
        documents: Sequence[AcceptedDocument],
        progress: Progress,
        tell: Listener,
    ) -> None:
        latest = {document.id: document for document in documents}
        task = progress.add_task("queued", total=len(latest))
        finished = 0
        for news in adding.follow(
            client, documents, collection=self.collection, timeout=self.timeout
        ):
            latest[news.id] = latest[news.id].model_copy(update=dict(news))
            finished += news.final
            done = finished if news.final else finished + news.progress
            progress.update(
                task, completed=done, description=f"{news.status} {plain(news.name)[:40]}"
            )
        progress.remove_task(task)
        for document in latest.values():
            tell(document)


def bars(console: Console) -> Progress:
    """A display of tasks that is gone when it is done, and is not there without a terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
