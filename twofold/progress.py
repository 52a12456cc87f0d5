"""An upload as it is seen in a terminal: a bar for its bytes, a bar for what becomes of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from twofold import adding
from twofold.client import Client
from twofold.names import document_name
from twofold.outcomes import Listener
from twofold.render import plain
from twofold.schema import AcceptedDocument, AcceptedDocuments, Metadata
from twofold.uploads import Sent

WINDOW = 2_000
"""Documents that may be on their way; more are sent when the oldest of them have arrived."""

_NAME = 40  # characters of a file's name beside its bar


@dataclass
class Upload:
    """Sends files and follows them until they can be searched, or for `timeout` seconds.

    A terminal shows how far that is, unless it is to be `quiet`.
    """

    connect: Callable[[], Client]
    console: Console
    collection: str
    metadata: Metadata
    timeout: float
    quiet: bool = False

    def __call__(self, files: Mapping[str, Path], tell: Listener) -> None:
        """Tell of every file once, when nothing more happens to it or the time is up."""
        waiting: list[AcceptedDocument] = []
        with self.connect() as client, bars(self.console, quiet=self.quiet) as progress:
            sending = Sending(progress, files)
            for answer in adding.send(
                client,
                files,
                collection=self.collection,
                metadata=self.metadata,
                on_sent=sending.note,
            ):
                sending.settle(answer)
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
                task, completed=done, description=f"{news.status} {plain(news.name)[:_NAME]}"
            )
        progress.remove_task(task)
        for document in latest.values():
            tell(document)


class Sending:
    """The bar of an upload: its bytes that are sent, are known to the server, or are refused."""

    def __init__(self, progress: Progress, files: Mapping[str, Path]) -> None:
        self._progress = progress
        self._sizes = {document_name(name): _size(path) for name, path in files.items()}
        self._settled = 0
        total = sum(self._sizes.values())
        self._task = progress.add_task("comparing", total=total, in_bytes=True)

    def note(self, sent: Sent) -> None:
        """Show how far the request is that is being sent."""
        self._progress.update(
            self._task,
            completed=self._settled + sent.sent,
            description=f"uploading {plain(sent.name)[:_NAME]}",
        )

    def settle(self, answer: AcceptedDocuments) -> None:
        """Count what the server, or the disk, has given an answer about, sent or not."""
        names = [each.name for each in answer.documents] + [each.name for each in answer.rejected]
        self._settled += sum(self._sizes.pop(document_name(name), 0) for name in names)
        description = "comparing" if self._sizes else "uploaded"
        self._progress.update(self._task, completed=self._settled, description=description)


class Amount(ProgressColumn):
    """How much of how much: of a task `in_bytes` in a unit that suits, of others in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._pieces = DownloadColumn(), MofNCompleteColumn()

    def render(self, task: Task) -> Text:
        """The two numbers."""
        return (self._bytes if task.fields.get("in_bytes") else self._pieces).render(task)


def bars(console: Console, *, quiet: bool = False) -> Progress:
    """A display of tasks that is gone when it is done, and is not there without a terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        Amount(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # what is wrong with it is said when it is read
        return 0
