"""Documents of one generation of a collection, carried into another: what their rows become. Pure.

An upload is known by when its document was first uploaded and by its version; of two, the one that
came later wins. A row that is carried over keeps both, so that whoever looks at two generations
sees what the one lacks.
"""

from datetime import UTC, datetime

from twofold.schema import Document, DocumentStatus, Metadata


def entering(row: Document, address: str, status: DocumentStatus = "queued") -> Document:
    """A row as it begins in another generation: its upload, with nothing done about it yet."""
    now = datetime.now(UTC)
    return row.model_copy(
        update={
            "collection": address,
            "status": status,
            "progress": 0.0,
            "attempts": 0,
            "error": None,
            "live_version": None,
            "chunks": 0,
            "title": None,
            "updated_at": now,
            "heartbeat_at": now if status != "queued" else None,
        }
    )


def failing(row: Document, address: str) -> Document:
    """A row whose upload has failed: it would fail there alike, so it begins with its end."""
    return entering(row, address).model_copy(update={"status": "failed", "error": row.error})


def at(address: str, row: Document) -> Document:
    """A row as a generation has it, or as callers see it."""
    return row.model_copy(update={"collection": address})


def is_behind(there: Document | None, row: Document) -> bool:
    """Whether a generation has not heard yet of the upload that a row of another is of."""
    return there is None or upload(there) < upload(row)


def is_same(there: Document | None, row: Document) -> bool:
    """Whether two rows are of the same upload.

    Two callers who change a document at the moment of a switch, one on each ledger, may make the
    same version of it. They are told apart by what they have uploaded, and the one on the new
    ledger wins.
    """
    return there is not None and _contents(there) == _contents(row)


def _contents(row: Document) -> tuple[datetime, int, str, str, Metadata]:
    return *upload(row), row.sha256, row.name, row.metadata


def covers(there: Document | None, row: Document) -> bool:
    """Whether searches find there what they find by a row of another generation, or newer."""
    if row.live_version is None:
        return True
    if there is None or there.live_version is None:
        return False
    return (there.created_at, there.live_version) >= (row.created_at, row.live_version)


def upload(row: Document) -> tuple[datetime, int]:
    """What tells an upload from the others of its document, in their order."""
    return row.created_at, row.version
