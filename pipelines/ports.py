"""The seams of Twofold: what the two flows need, said as small protocols.

Two rules keep them small. Compute and request are different seams: an `Embedder` or a
`RerankModel` knows batches and nothing of clients; a `Reranker` knows clients, deadlines and
queues and nothing of tensors. And the tenant is always the first argument, required, so that no
call can forget it.

Everything that works in embedded mode and on a cluster is written against this file alone; the
contract suites in tests/contract run over every implementation of a protocol.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from twofold.schema import Document, DocumentStatus, Filter, RerankStatus

Vector: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]


# --- Parsing and chunking -------------------------------------------------------------------

BlockKind: TypeAlias = Literal["text", "heading", "list", "table", "code"]


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of the extracted text that belongs together; blocks are in order and disjoint.

    Attributes:
        start: First code point in the extracted text.
        end: One past the last.
        kind: What it is, for a chunker that must not cut a table row or a code line.
        headings: The path of headings above it, outermost first; a heading is in its own path.
        page: Counted from 1, where the format has pages (or slides).
        lead: Length of its beginning without which the rest is not understood, such as the head
            row of a table or the first line of a function; 0 when there is none.
    """

    start: int
    end: int
    kind: BlockKind = "text"
    headings: tuple[str, ...] = ()
    page: int | None = None
    lead: int = 0


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser makes of a file.

    Attributes:
        text: The extracted text; every offset counts in it, in code points.
        blocks: Its structure; together they need not cover the text (separators lie between).
        media_type: As found in the content, which may differ from what the caller claimed.
        title: As found in the document, or None.
        metadata: What the document says of itself (author, date ...); strings only.
    """

    text: str
    blocks: tuple[Block, ...]
    media_type: str
    title: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Parser(Protocol):
    """Files in, text out."""

    def parse(self, path: Path, *, name: str, media_type: str | None) -> Parsed:
        """Extract the text of the file at `path`.

        Args:
            path: The bytes. Never derived from `name`.
            name: What the caller calls the file; its extension is a hint, the content decides.
            media_type: What the caller claims it to be; a hint as well.

        Raises:
            ParseError: It cannot be read; `failure` and the sentence say why.
        """
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document, as it is embedded, stored and cited.

    Attributes:
        id: uuid5 of tenant, collection, document, version and ordinal.
        text: `content[start:end]` of the document, exactly.
        title: Of the document, for the header.
        headings: Path above the passage, outermost first.
        lead: The beginning of the block that the text continues: a table's head row, say. It is
            in the passage and not in the text.
        metadata: The caller's, and what the file says of itself under keys with a prefix. A
            `Metadata`, as wide as msgspec wants it, which reads chunks as they were stored.
        sha256: Of `passage`; equal hashes have equal vectors, whatever the version.
    """

    id: str
    document_id: str
    version: int
    ordinal: int
    text: str
    start: int
    end: int
    sha256: str
    name: str
    title: str | None = None
    headings: tuple[str, ...] = ()
    page: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    lead: str | None = None

    @property
    def passage(self) -> str:
        """What the models read: the text under its title, headings and lead."""
        return passage_of(self.text, self.title, self.headings, self.lead)


def passage_of(
    text: str, title: str | None, headings: Sequence[str], lead: str | None = None
) -> str:
    """Put title and heading path, without repeats, and the lead in front: the models' view."""
    path = [title, *headings] if title else list(headings)
    header = " > ".join(dict.fromkeys(part for part in path if part))
    return "\n".join([*filter(None, (header, lead)), text])


# --- Models (compute) -----------------------------------------------------------------------


class SparseVector(NamedTuple):
    """Weights by token id; ids are unique and in no particular order."""

    indices: list[int]
    values: list[float]


class EmbedderIdentity(Protocol):
    """Whose vectors they are: what a collection remembers, and compares."""

    @property
    def name(self) -> str: ...
    @property
    def dimensions(self) -> int: ...


class Embedder(EmbedderIdentity, Protocol):
    """Texts in, dense vectors out. Blocking; called from a worker thread.

    Attributes:
        name: Model and variant; a collection remembers it and refuses another.
        dimensions: Length of a vector.
        max_tokens: Longest passage that is embedded whole, special tokens not counted.
        tokenizer_json: The tokenizer in the format of the `tokenizers` library, so that chunks
            are measured in the model's own tokens; None when it is not known (a remote model).
    """

    @property
    def max_tokens(self) -> int: ...
    @property
    def tokenizer_json(self) -> str | None: ...

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        """Embed queries: [n, dimensions] float32, unit length, in input order."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Embed passages: [n, dimensions] float32, unit length, in input order."""
        ...


class SparseEmbedder(Protocol):
    """Texts in, sparse term weights out; the store multiplies by the collection's IDF."""

    def embed_query(self, text: str) -> SparseVector:
        """Weights of a query's terms."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weights of the terms of each passage, in input order."""
        ...


SparseEmbedders: TypeAlias = Callable[[str | None], SparseEmbedder]
"""The sparse embedder of a language, by its English name in lower case; None: nobody has said.
Cheap to ask for again; raises ConfigurationError where a language has none."""


@dataclass(frozen=True, slots=True)
class RerankProfile:
    """How far a reranker can be trusted, found by evaluation (`make bench-quality`).

    Attributes:
        depth: Candidates that are worth scoring; weak models lose quality with depth.
        weight: Share of its score in the fused one, 0..1.
        calibrated: Whether scores are in 0..1 and mean the same for every query; if not, they are
            normalised over the candidates of the query.
        instructed: Whether an instruction reaches the model.
    """

    depth: int
    weight: float
    calibrated: bool
    instructed: bool = False


class Pairs(NamedTuple):
    """One query and the passages to score for it."""

    query: str
    passages: Sequence[str]
    instruction: str | None = None


class PairScores(NamedTuple):
    """Scores of one `Pairs`, in the order of its passages.

    Attributes:
        scores: [n] float32, greater is more relevant; finite.
        truncated: [n] bool, True where the model saw only the beginning of the passage.
    """

    scores: Vector
    truncated: Bools


class RerankModel(Protocol):
    """Pairs in, scores out. Blocking; called from one thread at a time.

    Attributes:
        name: Model and variant, as it appears in answers.
        profile: The depth and weight that evaluation found for it.
    """

    @property
    def name(self) -> str: ...
    @property
    def profile(self) -> RerankProfile: ...

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        """Score the passages of several queries in one go, in input order.

        A score never depends on what else is in the batch.
        """
        ...


@runtime_checkable
class Tokenizing(Protocol):
    """A model that may know its tokenizer, in the format of the `tokenizers` library."""

    @property
    def name(self) -> str: ...
    @property
    def tokenizer_json(self) -> str | None: ...


@runtime_checkable
class Shortenable(Protocol):
    """An embedder whose vectors may be cut, and normalised again, down to `min_dimensions`."""

    @property
    def min_dimensions(self) -> int: ...


def shortest(embedder: Embedder) -> int:
    """Length of the shortest vectors that an embedder gives."""
    return embedder.min_dimensions if isinstance(embedder, Shortenable) else embedder.dimensions


@runtime_checkable
class Instructable(Protocol):
    """An embedder that says whether an instruction reaches its model."""

    @property
    def instructed(self) -> bool: ...


def takes_instructions(embedder: Embedder) -> bool:
    """Whether an instruction changes the vectors of queries."""
    return isinstance(embedder, Instructable) and embedder.instructed


@runtime_checkable
class Closeable(Protocol):
    """A model that holds connections or memory which it can let go of."""

    def close(self) -> None:
        """Let go; nothing is called afterwards."""
        ...


# --- Reranking (request) --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A query with its candidates, best first, so that a deadline cuts the tail.

    Attributes:
        deadline: On the clock of `time.monotonic()`, seconds; nothing is scored after it.
        tenant: Who asks. The model does not care; a memory of scores does.
    """

    query: str
    passages: Sequence[str]
    deadline: float
    instruction: str | None = None
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class RerankOutcome:
    """What came of a request: never an exception, always a status.

    Attributes:
        status: `applied` all scored; `partial` the head was; any other status: none was.
        scores: [n] float32 in the order of the passages, NaN where not scored.
        truncated: [n] bool.
        queue_s: Seconds that the request waited before the model took it up.
        compute_s: Seconds from then to the last score.
        reason: One sentence when the status is not `applied`.
        cached: How many of the scores were known from before.
    """

    status: RerankStatus
    scores: Vector
    truncated: Bools
    queue_s: float = 0.0
    compute_s: float = 0.0
    reason: str | None = None
    cached: int = 0

    @classmethod
    def unscored(cls, pairs: int, status: RerankStatus, reason: str) -> "RerankOutcome":
        """What comes of a request with so many passages that no model takes up."""
        return cls(
            status=status,
            scores=np.full(pairs, np.nan, dtype=np.float32),
            truncated=np.zeros(pairs, dtype=np.bool_),
            reason=reason,
        )

    @property
    def scored(self) -> int:
        """How many passages have a score."""
        return int(np.count_nonzero(~np.isnan(self.scores)))


class Reranker(Protocol):
    """The second stage as the search flow sees it: a queue with a deadline before a model."""

    @property
    def model(self) -> str | None:
        """Name of the model behind it; None when there is none."""
        ...

    @property
    def profile(self) -> RerankProfile:
        """The default depth and weight."""
        ...

    async def rerank(self, request: RerankRequest) -> RerankOutcome:
        """Score what the deadline allows; answers by the deadline, refuses what it would miss."""
        ...

    async def close(self) -> None:
        """Finish or refuse what waits, and let go of the model."""
        ...


# --- Query embedding (request) --------------------------------------------------------------


class EmbedderFacts(EmbedderIdentity, Protocol):
    """What is known of an embedder wherever its model is.

    All of it raises Unavailable while nobody knows which model it is: when it runs in workers and
    none of them has ever come up.

    Attributes:
        min_dimensions: Length of the shortest beginning of a vector that is a vector itself, for
            models that were trained for it (MRL; Kusupati et al., NeurIPS 2022); else the same as
            `dimensions`.
        max_tokens: Longest text that is embedded whole, special tokens not counted.
        instructed: Whether an instruction reaches the model.
    """

    @property
    def min_dimensions(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def instructed(self) -> bool: ...


class QueryEmbedder(EmbedderFacts, Protocol):
    """The embedder as the search flow sees it: a query in by a deadline, wherever the model is."""

    async def embed(self, query: str, *, instruction: str | None = None, deadline: float) -> Vector:
        """Embed a query: [dimensions] float32, unit length.

        Args:
            query: As the user put it.
            instruction: Overrides the model's own; models without instructions ignore it.
            deadline: On the clock of `time.monotonic()`, seconds.

        Raises:
            TimeoutError: The deadline came first.
            Unavailable: The model does not answer, or has no time.
        """
        ...


# --- Embedding of texts (request) -----------------------------------------------------------

TextKind: TypeAlias = Literal["query", "passage"]


class TextEmbedder(EmbedderFacts, Protocol):
    """The embedder as other applications borrow it: many texts in, by a deadline."""

    async def embed_texts(self, texts: Sequence[str], *, kind: TextKind, deadline: float) -> Vector:
        """Embed all of them: [n, dimensions] float32, unit length, in input order.

        Args:
            texts: All of one kind.
            kind: Which of the two verbs of the model reads them.
            deadline: On the clock of `time.monotonic()`, seconds.

        Raises:
            TimeoutError: The deadline came first.
            Unavailable: The model does not answer, or has too much to do.
        """
        ...


# --- Storage --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Collection:
    """A tenant's collection: whose vectors it holds, and how its documents are read and asked.

    What one tenant calls by a name says nothing about another's of the same name.

    Attributes:
        name: As the tenant calls it.
        embedder: Model and variant that its vectors come from.
        dimensions: Length of a vector.
        generation: Which of its generations this is. They are counted from 1, and under a name
            no number comes twice, not even after the collection was deleted.
        chunk_tokens: Longest passage; None: as long as the embedder allows.
        language: Of its documents, for the terms of the sparse vectors; None: any.
        query_instruction: For the embedding of queries; None: the model's own.
        rerank_instruction: For the reranker; None: the model's own.

    Instructions may change at any time; everything else stays as it is for a generation.
    """

    name: str
    embedder: str
    dimensions: int
    generation: int = 1
    chunk_tokens: int | None = None
    language: str | None = None
    query_instruction: str | None = None
    rerank_instruction: str | None = None

    @property
    def address(self) -> str:
        """This generation in particular: `docs@2`."""
        return f"{self.name}@{self.generation}"

    def is_built_like(self, other: "Collection") -> bool:
        """Whether passages and vectors of the one are those of the other."""
        return all(getattr(self, each) == getattr(other, each) for each in _BUILT)


_BUILT = ("embedder", "dimensions", "chunk_tokens", "language")


def plain_name(address: str) -> str:
    """The collection that an address is of: `docs` for `docs` and for `docs@2`."""
    return address.partition("@")[0]


GenerationState: TypeAlias = Literal["building", "live", "former"]
"""Of a collection's generations one is live. Others are being built to follow it, or were it."""


class Generation(NamedTuple):
    """One of the places in which a collection's rows and passages lie.

    Attributes:
        collection: Its settings; `collection.address` is where to find it.
        note: What was written beside it by `note_generation`, and means nothing to the store.
    """

    collection: Collection
    state: GenerationState
    note: str | None = None


class Vectors(NamedTuple):
    """Both vectors of one chunk."""

    dense: Vector  # [dimensions] float32
    sparse: SparseVector


@dataclass(frozen=True, slots=True)
class RecallQuery:
    """What the first stage looks for.

    Attributes:
        dense: [dimensions] float32, or None in sparse mode.
        sparse: None in dense mode.
        limit: Length of each list that is searched.
        vectors: Whether candidates come with their dense vectors.
    """

    dense: Vector | None
    sparse: SparseVector | None
    limit: int
    filter: Filter | None = None
    vectors: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that the first stage found, with what each list said of it (None: not in it).

    Attributes:
        vector: [dimensions] float32, unit length, where the query asked for vectors.
    """

    chunk: Chunk
    dense: float | None = None
    sparse: float | None = None
    vector: Vector | None = field(default=None, compare=False, repr=False)


class DocumentPage(NamedTuple):
    """One page of the ledger; `cursor` continues it, None at the end."""

    documents: list[Document]
    cursor: str | None


class Health(NamedTuple):
    """Whether a part answers, for a readiness check; `reason` is a sentence unless it is ok."""

    state: Literal["ok", "slow", "down"]
    reason: str | None = None


class Store(Protocol):
    """Vectors, passages and the ledger of documents, in one place with one backup.

    A document's chunks are staged, which no search sees, and then published: from one moment to
    the next every search sees the new version and none sees the old. What `put_documents` and
    `publish` have returned from survives a SIGKILL and a power loss.

    Several processes may use one store at once, and each may be interrupted anywhere. An upload
    is known by `version` and `created_at` of its row: the version counts up while the row is
    there, and a row that comes after a deletion is created at another time. Whatever changes a
    row names the upload that it means, and changes nothing when the row is of another one.

    A collection belongs to a tenant and lies in generations, of which one is live. Every
    `collection` below is an address: `docs` is the live generation, whichever that is by now, and
    `docs@2` is this one. Rows say in `Document.collection` the address that they were asked for
    by, so callers who say `docs` read `docs`; `unfinished` names generations. Whoever works on a
    row for longer than a call asks for it by its generation, else the half of the work might go
    to the next one.

    Reads of a collection that does not exist raise CollectionNotFound, and GenerationNotFound if
    it has not the generation; nothing can be staged, touched or published there. A store that is
    reached over a network raises Unavailable while it does not answer.
    """

    # --- Collections ------------------------------------------------------------------------

    async def ensure_collection(self, tenant: str, collection: Collection) -> Collection:
        """The tenant's collection of this name, which may have other settings; else make it."""
        ...

    async def create_collection(self, tenant: str, collection: Collection) -> Collection:
        """Make it, durably, as its first generation.

        Args:
            tenant: Whose it is to be.
            collection: Its settings; what it says of the generation is not looked at.

        Raises:
            CollectionExists: The tenant has one of this name.
        """
        ...

    async def get_collection(self, tenant: str, collection: str) -> Collection:
        """The settings of its live generation, or of the one that is named."""
        ...

    async def list_collections(self, tenant: str) -> list[Collection]:
        """The tenant's collections by name, each with its live generation; empty ones as well."""
        ...

    async def instruct_collection(
        self,
        tenant: str,
        name: str,
        *,
        query_instruction: str | None,
        rerank_instruction: str | None,
    ) -> Collection:
        """Set both instructions, for all of its generations."""
        ...

    async def delete_collection(self, tenant: str, name: str) -> None:
        """Remove it with all rows and passages, durably; when this returns nobody finds it.

        The same is finished later, by another call or at the next start, if it is interrupted.

        Raises:
            CollectionNotFound: There is nothing to delete.
        """
        ...

    # --- Generations ------------------------------------------------------------------------

    async def begin_generation(self, tenant: str, collection: Collection) -> Collection:
        """Make an empty generation beside the live one; returns it with its number.

        When one with these settings is being built already, it is that one. When this returns,
        whoever deletes a document from the live generation deletes it from the new one as well.

        Args:
            tenant: Whose collection.
            collection: The settings to be; instructions stay those of the collection.

        Raises:
            CollectionNotFound: There is no such collection.
            RebuildUnderWay: A generation with other settings is being built.
        """
        ...

    async def generations(self, tenant: str, name: str) -> list[Generation]:
        """All of them by number. Raises CollectionNotFound."""
        ...

    def unsettled(self) -> AsyncIterator[tuple[str, Generation]]:
        """Every (tenant, generation) that is not live, over all tenants."""
        ...

    async def note_generation(self, tenant: str, collection: str, note: str | None) -> None:
        """Write something beside a generation, durably; it stays when the generation goes live."""
        ...

    async def switch_generation(self, tenant: str, name: str, generation: int) -> Collection:
        """Make a generation the live one; that which was it becomes `former`.

        At one moment, for every process. Each notices within a second or so, and until it does
        it answers from the former one. When this returns all have noticed: what they wrote to
        the former one is there to be read, and nothing comes after it. Repeated, it changes
        nothing.

        Raises:
            CollectionNotFound: There is no such collection.
            GenerationNotFound: It has no such generation.
        """
        ...

    async def drop_generation(self, tenant: str, name: str, generation: int) -> None:
        """Remove a generation with its rows and passages; nothing happens if it is not there.

        As with `delete_collection`, it is finished later if it is interrupted.

        Raises:
            CollectionNotFound: There is no such collection.
            GenerationInUse: It is the live one.
        """
        ...

    # --- The ledger -------------------------------------------------------------------------

    async def put_documents(
        self,
        tenant: str,
        documents: Sequence[Document],
        *,
        known: Mapping[str, Document | None] | None = None,
    ) -> set[str]:
        """Write ledger rows of one collection, durably; returns the ids of those refused.

        What a row that is there says of the live version (`live_version`, `chunks`, `title`)
        stays: the caller may have read it before a worker published, and only `publish` knows.

        Args:
            tenant: Whose rows.
            documents: At most one row for each id.
            known: By id, the row that the caller's decision came from, None where there was
                none. A row is refused, and nothing is written, when the stored one is of another
                upload than that by now: read again and decide again. Without `known` every row
                is inserted or replaced.
        """
        ...

    async def touch_document(self, tenant: str, document: Document) -> bool:
        """Replace the row without a flush: survives a SIGKILL, not a power loss.

        Does nothing and returns False unless the stored row is of the same upload and not yet
        `ready`: a row that was deleted stays deleted, a newer upload is not overwritten by the
        worker of an older one, and of two workers on one upload the second finds it done. What
        the row says of the live version stays, as in `put_documents`.
        """
        ...

    async def get_document(self, tenant: str, collection: str, document_id: str) -> Document:
        """Raises DocumentNotFound, also when the document is another tenant's."""
        ...

    async def find_by_sha256(self, tenant: str, collection: str, sha256: str) -> list[Document]:
        """Rows whose uploaded bytes have this hash, oldest first."""
        ...

    async def list_documents(
        self,
        tenant: str,
        collection: str,
        *,
        status: Sequence[DocumentStatus] = (),
        cursor: str | None = None,
        limit: int = 100,
    ) -> DocumentPage:
        """A page of rows in a stable order; no row is skipped or repeated while rows change."""
        ...

    async def count_documents(self, tenant: str, collection: str) -> dict[DocumentStatus, int]:
        """Rows by status; states without rows are left out."""
        ...

    async def count_passages(self, tenant: str, collection: str) -> int:
        """Chunks that searches may find; while a version is being switched, of both."""
        ...

    def unfinished(self) -> AsyncIterator[tuple[str, Document]]:
        """Every (tenant, row) that is neither ready nor failed, over all tenants and generations.

        `Document.collection` names the generation that the row is in.

        The least recently touched first (`heartbeat_at`, else `updated_at`), so that whoever
        looks for stale rows, or for one that is due, can stop early. Rows that change meanwhile
        come once.
        """
        ...

    async def vectors_by_sha256(
        self, tenant: str, collection: str, document_id: str
    ) -> dict[str, Vectors]:
        """Vectors of the document's stored chunks by `Chunk.sha256`, so that none is made twice."""
        ...

    async def stage_chunks(
        self, tenant: str, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vectors]
    ) -> None:
        """Write chunks of the upload that `document` is of; no search sees them yet.

        The same ids again replace them, unless they are published by now. Nothing is written
        when the stored row is of another upload.
        """
        ...

    async def publish(self, tenant: str, document: Document) -> bool:
        """Write the row and make exactly its chunks visible, durably.

        Its chunks are those that were staged for its upload with an ordinal below
        `document.chunks`, so that what an earlier try has left is not among them; those of
        earlier uploads are gone afterwards. Idempotent: an upload that is published already stays
        as it is. As with `touch_document`, nothing changes when the stored row is of another
        upload: then it returns False and what was staged for this one is gone.
        """
        ...

    async def delete_document(self, tenant: str, collection: str, document_id: str) -> Document:
        """Remove row and chunks, staged ones too, durably; returns the row that was there.

        Unless a generation is named, the document goes from every generation of the collection,
        from the live one last. Right after a switch the former one may have it alone; one that is
        being built does not count.

        Raises:
            DocumentNotFound: Nothing to delete.
        """
        ...

    async def get_chunks(self, tenant: str, collection: str, document_id: str) -> list[Chunk]:
        """The visible chunks of a document in reading order."""
        ...

    async def chunks_by_id(
        self, tenant: str, collection: str, ids: Sequence[str]
    ) -> dict[str, Chunk]:
        """The visible chunks that have these ids, by id; what is gone is left out."""
        ...

    async def chunks_between(
        self, tenant: str, collection: str, document_id: str, first: int, last: int
    ) -> list[Chunk]:
        """The visible chunks of a document from one ordinal to another, both included, in order."""
        ...

    async def recall(self, tenant: str, collection: str, query: RecallQuery) -> list[Candidate]:
        """The union of the dense and the sparse list, each at most `limit` long, unordered.

        Dense scores are cosine similarities, sparse ones BM25 with the collection's IDF. Only
        visible chunks of one version per document are in it.
        """
        ...

    async def sweep(self) -> int:
        """Delete chunks that interrupted writers have left and nobody will ever see.

        Reads every chunk's place once, so now and then is often enough; safe at any time.
        Returns how many uploads they were of.
        """
        ...

    async def health(self) -> Health:
        """Whether it answers, within a second or two; never raises."""
        ...

    async def close(self) -> None:
        """Flush and let go."""
        ...


class Blobs(Protocol):
    """Bytes by key. Keys are made by Twofold (hashes and uuids), never from a caller's name."""

    async def put(self, key: str, data: bytes | Path) -> None:
        """Store whole and durably before returning; the same key again replaces it.

        Raises:
            StorageFull: Nothing is left half-written.
        """
        ...

    async def put_all(self, contents: Mapping[str, bytes | Path]) -> None:
        """As `put`, with several, which is cheaper than one after the other.

        Raises:
            StorageFull: Some may be there and others not, none of them half-written.
        """
        ...

    async def get(self, key: str) -> bytes:
        """Raises KeyError when there is nothing under the key."""
        ...

    def as_file(self, key: str) -> AbstractAsyncContextManager[Path]:
        """The bytes as a local file for the time of the context; KeyError as in `get`."""
        ...

    async def delete(self, key: str) -> None:
        """Remove it; nothing happens when it is not there."""
        ...

    def keys(self, prefix: str) -> AsyncIterator[str]:
        """Every key that begins with the prefix, in no particular order."""
        ...


class IngestQueue(Protocol):
    """Tells a worker that there is work. A hint: the ledger is the truth."""

    async def submit(self, tenant: str, documents: Sequence[Document]) -> None:
        """Announce rows that are `queued` on the ledger."""
        ...


class Rankings(Protocol):
    """Remembers the order of an answer, so that the next page continues it. May forget any time."""

    async def keep(self, tenant: str, ranking: bytes) -> str | None:
        """Keep it for some minutes; returns the name to find it by, None if it cannot be kept."""
        ...

    async def find(self, tenant: str, name: str) -> bytes | None:
        """What was kept for this tenant under the name, None when it is gone or never was."""
        ...
