"""From the body of an upload to `Upload`s: files in a multipart form, or texts in JSON."""

import asyncio
import hashlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError
from starlette.datastructures import FormData, UploadFile

from pipelines.documents import Upload
from pipelines.parse.door import HEAD_BYTES, refusal
from twofold import errors
from twofold.errors import TwofoldError
from twofold.schema import AddDocuments, CollectionName, DocumentId, DocumentText, Metadata

MAX_FILES = 1_000
MAX_NAME_CHARACTERS = 1_024
IN_MEMORY_BYTES = 1_000_000
UNNAMED = "unnamed"
Model = TypeVar("Model", bound=BaseModel)


class UploadForm(BaseModel):
    """The fields of a multipart upload beside its files."""

    model_config = ConfigDict(extra="forbid")

    collection: CollectionName = "default"
    metadata: Json[Metadata] = Field(default_factory=dict)
    wait: float | None = Field(default=None, ge=0, le=300)
    id: DocumentId | None = None


@dataclass
class Batch:
    """What one request uploads.

    Attributes:
        refused: Name and reason of what does not get past the door.
        wait: Seconds to wait for the end of ingestion, if the body said so.
    """

    collection: str
    uploads: list[Upload] = field(default_factory=list)
    refused: list[tuple[str, TwofoldError]] = field(default_factory=list)
    wait: float | None = None


@asynccontextmanager
async def batch_of(request: Request, *, cap: int) -> AsyncIterator[Batch]:
    """Read an upload; what it spooled to disk is there for the time of the block.

    Args:
        request: With its body unread.
        cap: Bytes that a single file may have.

    Raises:
        MalformedRequest: The body is neither a form nor JSON, or broken.
        RequestValidationError: A field is wrong.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=MAX_FILES, max_fields=8) as form:
            with tempfile.TemporaryDirectory(prefix="twofold-") as folder:
                yield await from_form(form, cap=cap, folder=Path(folder))
    elif kind == "application/json":
        yield from_json(await request.body(), cap=cap)
    else:
        raise errors.MalformedRequest(
            reason=f"its content type is '{kind or 'missing'}'; send files as multipart/form-data "
            "(curl -F files=@NAME) or texts as application/json"
        )


async def from_form(form: FormData, *, cap: int, folder: Path) -> Batch:
    """The files of a form, each hashed and, if large, spooled into the folder."""
    files = [(key, value) for key, value in form.multi_items() if isinstance(value, UploadFile)]
    fields = {key: value for key, value in form.multi_items() if not isinstance(value, UploadFile)}
    said = validated(UploadForm, fields)
    if stray := next((key for key, _ in files if key != "files"), None):
        raise errors.InvalidRequest(field=stray, reason="files belong in the field 'files'")
    if not files:
        raise errors.InvalidRequest(
            field="files", reason="there is none; attach one or more (curl -F files=@NAME)"
        )
    if said.id is not None and len(files) > 1:
        raise errors.InvalidRequest(field="id", reason="one id cannot name several files")
    batch = Batch(said.collection, wait=said.wait)
    for number, (_, file) in enumerate(files):
        name = name_of(file)
        head = await file.read(HEAD_BYTES)
        if refused := refusal_of(name, file.size or 0, cap) or foreign(name, head, file):
            batch.refused.append((name, refused))
            continue
        content, sha256 = await asyncio.to_thread(spool, file, folder / str(number))
        batch.uploads.append(
            Upload(
                name=name,
                content=content,
                size=file.size or 0,
                sha256=sha256,
                media_type=file.content_type or "application/octet-stream",
                id=said.id,
                metadata=said.metadata,
            )
        )
    return batch


def from_json(body: bytes, *, cap: int) -> Batch:
    """The texts of a JSON body, each as a file of UTF-8."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise errors.MalformedRequest(reason=f"it is not valid JSON ({error})") from None
    said = validated(AddDocuments, parsed)
    batch = Batch(said.collection)
    for document in said.documents:
        upload = from_text(document)
        if refused := refusal_of(upload.name, upload.size, cap):
            batch.refused.append((upload.name, refused))
        else:
            batch.uploads.append(upload)
    return batch


def from_text(document: DocumentText) -> Upload:
    """A text as the file that it would be."""
    content = document.text.encode()
    return Upload(
        name=document.name or str(document.id),
        content=content,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        media_type=f"{document.media_type}; charset=utf-8",
        id=document.id,
        metadata=document.metadata,
    )


def name_of(file: UploadFile) -> str:
    """The caller's name for a file: shown, never used as a path."""
    printable = "".join(each for each in file.filename or "" if each.isprintable())
    return printable.strip()[-MAX_NAME_CHARACTERS:] or UNNAMED


def refusal_of(name: str, size: int, cap: int) -> TwofoldError | None:
    """Why a file does not get past the door, judged by its size alone."""
    if size == 0:
        return errors.InvalidRequest(field=name, reason="the file is empty; there is nothing in it")
    if size > cap:
        return errors.TooLarge(
            what=f"The file '{name}'",
            size=size,
            limit=cap,
            advice="split it, or raise TWOFOLD_MAX_UPLOAD_BYTES.",
        )
    return None


def foreign(name: str, head: bytes, file: UploadFile) -> TwofoldError | None:
    """Why a file does not get past the door, judged by its first bytes."""
    sentence = refusal(head, name=name, media_type=file.content_type)
    return errors.UnsupportedFormat(f"'{name}': {sentence}", name=name) if sentence else None


def spool(file: UploadFile, path: Path) -> tuple[bytes | Path, str]:
    """The content, in memory when it is small and else at `path`, and its sha256."""
    source = file.file
    source.seek(0)
    if (file.size or 0) <= IN_MEMORY_BYTES:
        content = source.read()
        return content, hashlib.sha256(content).hexdigest()
    with path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    with path.open("rb") as written:
        return path, hashlib.file_digest(written, "sha256").hexdigest()


def validated(model: type[Model], value: object) -> Model:
    """The value as the model; what is wrong with it becomes a 422 like any other body's."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from None
