"""The bar of an upload: every byte is counted once, whatever becomes of its file."""

import pytest
from rich.console import Console
from rich.progress import Progress

from twofold.progress import Sending, bars
from twofold.schema import AcceptedDocument, AcceptedDocuments, ErrorInfo, RejectedFile
from twofold.uploads import Sent

NOW = "2026-01-01T00:00:00Z"


def accepted(*names: str) -> AcceptedDocuments:
    rest = {"collection": "c", "media_type": "text/plain", "size": 1, "version": 1}
    rows = [{"id": name, "name": name, "verdict": "created", **rest} for name in names]
    return AcceptedDocuments(
        documents=[
            AcceptedDocument.model_validate(
                {**row, "sha256": "0" * 64, "created_at": NOW, "updated_at": NOW}
            )
            for row in rows
        ]
    )


def refused(name: str) -> AcceptedDocuments:
    error = ErrorInfo(code="unreadable", message="No.")
    return AcceptedDocuments(documents=[], rejected=[RejectedFile(name=name, error=error)])


@pytest.fixture
def progress() -> Progress:
    return bars(Console(quiet=True))


def test_what_was_sent_known_or_refused_is_counted_once(tmp_path, progress):
    files = {name: tmp_path / name for name in ("known.md", "new.md", "gone.md", "torn.md")}
    for name, size in (("known.md", 10), ("new.md", 200), ("torn.md", 3_000)):
        files[name].write_bytes(b"x" * size)
    sending = Sending(progress, files)
    [task] = progress.tasks
    assert (task.completed, task.total) == (0, 3_210)
    sending.settle(accepted("known.md"))
    assert task.completed == 10
    sending.note(Sent("new.md", 150, 3_200))
    assert (task.completed, task.description) == (160, "uploading new.md")
    sending.settle(accepted("new.md"))
    sending.note(Sent("torn.md", 3_000, 3_000))
    sending.note(Sent("torn.md", 500, 3_000))  # a request that is tried again
    assert task.completed == 710
    for name in ("torn.md", "gone.md"):
        sending.settle(refused(name))
    assert task.finished
    assert (task.completed, task.description) == (3_210, "uploaded")


def test_a_name_cannot_command_the_terminal(tmp_path, progress):
    path = tmp_path / "a"
    path.write_text("x")
    sending = Sending(progress, {"\x1b[2Ja": path})
    sending.note(Sent("\x1b[2Ja", 1, 1))
    assert progress.tasks[0].description == "uploading [2Ja"
