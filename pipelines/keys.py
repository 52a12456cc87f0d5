"""Where a document's files lie: the keys under which `Blobs` holds them.

    TENANT/COLLECTION/UUID/document.json   who it is: enough to rebuild a lost store from files
    TENANT/COLLECTION/UUID/original-N      the bytes as uploaded, at version N
    TENANT/COLLECTION/UUID/text-N          the text that the offsets of version N count in

The uuid is made from the document's id, which is any string; nothing that a caller names becomes
part of a path. The version in the name lets a worker sweep what is older than its own without
ever touching what a newer upload has just written.
"""

from uuid import UUID, uuid5

NAMESPACE = UUID("6f0d2a52-6a0e-5c53-9d0b-3f3f3c1a7a11")
"""Namespace of every uuid that Twofold derives."""


def derived_uuid(*parts: str | int) -> str:
    """A uuid5 over the parts; different tuples never collide by concatenation."""
    return str(uuid5(NAMESPACE, "\x1f".join(f"{len(str(part))}:{part}" for part in parts)))


def folder(tenant: str, collection: str, document_id: str) -> str:
    """Prefix of everything that belongs to a document, with the slash at its end."""
    return f"{tenant}/{collection}/{derived_uuid(tenant, collection, document_id)}/"


def identity(tenant: str, collection: str, document_id: str) -> str:
    """Key of the small file that says whose bytes these are."""
    return folder(tenant, collection, document_id) + "document.json"


def original(tenant: str, collection: str, document_id: str, version: int) -> str:
    """Key of the bytes as uploaded."""
    return folder(tenant, collection, document_id) + f"original-{version}"


def text(tenant: str, collection: str, document_id: str, version: int) -> str:
    """Key of the extracted text of a version."""
    return folder(tenant, collection, document_id) + f"text-{version}"


def version_of(key: str) -> int | None:
    """The version that a key belongs to; None for what all versions share."""
    _, dash, number = key.rpartition("-")
    return int(number) if dash and number.isdigit() else None
