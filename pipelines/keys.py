"""Where a document's files lie: the keys under which `Blobs` holds them.

    TENANT/COLLECTION/UUID/original-N-TIME-CONTENT   the bytes as uploaded
    TENANT/COLLECTION/UUID/document-N-TIME-CONTENT   who they are: enough to rebuild a lost store
    TENANT/COLLECTION/UUID/text-N-TIME-GENERATION    the text that the offsets of a version count in
    TENANT/COLLECTION/rebuild-GENERATION             what a rebuild is to compare before its switch

The uuid is made from the document's id, which is any string; nothing that a caller names becomes
part of a path. N is the version and TIME when the document was first uploaded: together they are
an upload that the ledger has taken. CONTENT stands for the bytes, the name and the metadata, so
that two processes which take uploads for the same version at once write to different keys, and
the one that the ledger refuses has overwritten nothing. TIME keeps a document apart from the one
of the same id that was deleted before it. A generation of the collection has texts of its own:
parsers may have changed since those of another were extracted.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID, uuid5

from pipelines.ports import Collection, plain_name
from twofold.schema import Document

NAMESPACE = UUID("6f0d2a52-6a0e-5c53-9d0b-3f3f3c1a7a11")
"""Namespace of every uuid that Twofold derives."""


@lru_cache(4_096)
def derived_uuid(*parts: str | int) -> str:
    """A uuid5 over the parts; different tuples never collide by concatenation."""
    return str(uuid5(NAMESPACE, "\x1f".join(f"{len(str(part))}:{part}" for part in parts)))


def shelf(tenant: str, collection: str) -> str:
    """Prefix of everything that belongs to a collection, with the slash at its end."""
    return f"{tenant}/{plain_name(collection)}/"


def folder(tenant: str, collection: str, document_id: str) -> str:
    """Prefix of everything that belongs to a document, with the slash at its end."""
    uuid = derived_uuid(tenant, plain_name(collection), document_id)
    return f"{shelf(tenant, collection)}{uuid}/"


def compared(tenant: str, generation: Collection) -> str:
    """Key of the queries that a generation is compared by before it goes live."""
    return f"{shelf(tenant, generation.name)}rebuild-{generation.generation}"


def identity(tenant: str, document: Document) -> str:
    """Key of the small file that says whose bytes these are."""
    return _of_upload("document", tenant, document)


def original(tenant: str, document: Document) -> str:
    """Key of the bytes as uploaded."""
    return _of_upload("original", tenant, document)


def text(tenant: str, document: Document, version: int | None = None) -> str:
    """Key of the extracted text of a version, by default the one that the row is at.

    Args:
        tenant: Whose.
        document: As the ledger of a generation has it: its collection is `docs@2`.
        version: Which one.
    """
    _, _, generation = document.collection.rpartition("@")
    return f"{_of_version('text', tenant, document, version or document.version)}-{generation}"


def is_of(key: str, document: Document) -> bool:
    """Whether a file is of this document, and not of one with its id before or after it."""
    return _stamp(key)[1] == _time(document.created_at)


def is_identity(key: str, document: Document, version: int | None) -> bool:
    """Whether a file says who a version of this document is."""
    return _kind(key) == "document" and _stamp(key) == (version, _time(document.created_at))


def left_behind(keys: Iterable[str], tenant: str, document: Document) -> list[str]:
    """Those of a document's files that are of no use once the row's version has been published.

    They belong to an earlier version, or to an upload that wanted to be this one and was refused.
    """
    time = _time(document.created_at)
    used = {identity(tenant, document), original(tenant, document)}

    def is_left(key: str) -> bool:
        version, stamped = _stamp(key)
        if stamped != time or version > document.version:
            return False
        if version == document.version and _kind(key) == "text":
            return False  # of another generation
        return key not in used

    return [key for key in keys if is_left(key)]


def _of_upload(kind: str, tenant: str, document: Document) -> str:
    metadata = json.dumps(document.metadata, sort_keys=True)
    content = UUID(derived_uuid(document.sha256, document.name, metadata)).hex
    return f"{_of_version(kind, tenant, document, document.version)}-{content}"


def _of_version(kind: str, tenant: str, document: Document, version: int) -> str:
    place = folder(tenant, document.collection, document.id)
    return f"{place}{kind}-{version}-{_time(document.created_at)}"


def _time(created: datetime) -> str:
    return created.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _kind(key: str) -> str:
    return key.rpartition("/")[2].partition("-")[0]


def _stamp(key: str) -> tuple[int, str]:
    """Version and time of a key; 0 and nothing for what is none of ours."""
    _, version, time, *_ = [*key.rpartition("/")[2].split("-"), "", "", ""]
    return (int(version), time) if version.isdigit() else (0, "")
