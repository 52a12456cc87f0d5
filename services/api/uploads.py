"""From the body of an upload to `Upload`s: files in a multipart form, or texts in JSON."""

import asyncio
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError

from pipelines.documents import Upload
from pipelines.store.durable import require_space
from services.api import archives
from services.api.forms import Form, FormReader
from twofold import errors
from twofold.errors import TwofoldError
from twofold.names import document_name
from twofold.schema import AddDocuments, CollectionName, DocumentId, DocumentText, GivenMetadata

SPOOLED = "upload-"
SPARE_BYTES = 100_000_000
"""Room on the disk that an upload has to leave: the store needs it."""
ABANDONED_S = 86_400.0
"""Age at which a spooled upload belongs to no living process."""

Model = TypeVar("Model", bound=BaseModel)


class UploadForm(BaseModel):
    """The fields of a multipart upload beside its files."""

    model_config = ConfigDict(extra="forbid")

    collection: CollectionName = "default"
    metadata: Json[GivenMetadata] = Field(default_factory=dict)
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
    _seen: set[str] = field(default_factory=set, repr=False)

    def add(self, upload: Upload, *, refused: TwofoldError | None) -> None:
        """Take a file in, unless something refuses it or the request had one like it."""
        identity = upload.id or upload.name
        if refused is None and identity in self._seen:
            refused = errors.InvalidRequest(
                field=identity,
                reason="the request has another document of that name, which would overwrite it",
            )
        if refused is not None:
            self.refused.append((upload.name, refused))
            return
        self._seen.add(identity)
        self.uploads.append(upload)


@asynccontextmanager
async def batch_of(
    request: Request, *, spool: Path, cap: int, unpacked: int | None = None
) -> AsyncIterator[Batch]:
    """Read an upload; what it spooled to disk is there for the time of the block.

    Args:
        request: With its body unread.
        spool: Folder in which files lie until they are accepted.
        cap: Bytes that a single file may have.
        unpacked: Bytes that the archives of the request may unpack to; None: they stay closed.

    Raises:
        MalformedRequest: The body is neither a form nor JSON, or broken.
        InvalidRequest: A field is wrong.
        RequestValidationError: The same, as pydantic says it.
        StorageFull: There is no room for what is announced.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        require_space(spool, int(request.headers.get("content-length", 0)) + SPARE_BYTES)
        with tempfile.TemporaryDirectory(prefix=SPOOLED, dir=spool) as folder:
            reader = FormReader(content_type, folder=Path(folder), cap=cap)
            with closing(reader):
                async for chunk in request.stream():
                    await asyncio.to_thread(reader.feed, chunk)
                form = reader.finish()
            if unpacked is not None:
                form = await asyncio.to_thread(
                    archives.opened, form, Path(folder), cap=cap, total=unpacked
                )
            yield from_form(form)
    elif kind == "application/json":
        yield from_json(await request.body(), cap=cap)
    else:
        raise errors.MalformedRequest(
            reason=f"its content type is '{kind or 'missing'}'; send files as multipart/form-data "
            "(curl -F files=@NAME) or texts as application/json"
        )


def prepare_spool(folder: Path) -> Path:
    """The folder that uploads go through, free of what a killed process has left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{SPOOLED}*"):
        if time.time() - left.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)
    return folder


def from_form(form: Form) -> Batch:
    """The files of a form, each accepted or refused."""
    said = validated(UploadForm, form.fields)
    if stray := next((file.key for file in form.files if file.key != "files"), None):
        raise errors.InvalidRequest(field=stray, reason="files belong in the field 'files'")
    if not form.files:
        raise errors.InvalidRequest(
            field="files", reason="there is none; attach one or more (curl -F files=@NAME)"
        )
    if said.id is not None and len(form.files) > 1:
        raise errors.InvalidRequest(field="id", reason="one id cannot name several files")
    batch = Batch(said.collection, wait=said.wait)
    for file in form.files:
        upload = Upload(
            name=file.name,
            content=file.path,
            size=file.size,
            sha256=file.sha256,
            media_type=file.media_type,
            id=said.id,
            metadata=said.metadata,
        )
        batch.add(upload, refused=file.refused)
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
        batch.add(upload, refused=refusal_of(upload, cap))
    return batch


def from_text(document: DocumentText) -> Upload:
    """A text as the file that it would be."""
    content = document.text.encode()
    return Upload(
        name=document_name(document.name or str(document.id)),
        content=content,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        media_type=f"{document.media_type}; charset=utf-8",
        id=document.id,
        metadata=document.metadata,
    )


def refusal_of(text: Upload, cap: int) -> TwofoldError | None:
    """Why a text does not get past the door."""
    if text.size == 0:
        return errors.InvalidRequest(field=text.name, reason="the text is empty; send one")
    if text.size > cap:
        return errors.TooLarge(
            what=f"The text '{text.name}'",
            size=text.size,
            limit=cap,
            advice="split it, or raise TWOFOLD_MAX_UPLOAD_BYTES.",
        )
    return None


def validated(model: type[Model], value: object) -> Model:
    """The value as the model; what is wrong with it becomes a 422 like any other body's."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from None
