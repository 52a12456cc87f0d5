"""The wire contract: what the API serves and the client parses, defined once.

Offsets are half-open ranges of Unicode code points in a document's extracted text, as
`GET /documents/{id}/content` returns it: `text[start:end]` is the passage. Times are UTC.
Scores grow with relevance. Every request model refuses fields that it does not know, so that a
misspelt option is an error and not a silence.
"""

import json
import sys
from array import array
from base64 import b64decode
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    JsonValue,
    StringConstraints,
    Tag,
    model_validator,
)

MAX_QUERY_CHARACTERS = 32_768
MAX_LIMIT = 200
MAX_RECALL = 1_000
MAX_FILTER_DEPTH = 8
MAX_FILTER_CONDITIONS = 256
MAX_METADATA_KEYS = 64
MAX_METADATA_CHARACTERS = 16_384
MAX_GROUP = 20
MAX_CONTEXT = 5
MAX_BATCH = 32
MAX_COMPARED = 200

TAILS = ("/content", "/chunks", "/events", "/retry")
"""What follows the id of a document in the paths of the API."""


def _addressable(document_id: str) -> str:
    """An id is a part of paths, and a document that no path leads to could never be removed."""
    if any(character < " " or character == "\x7f" for character in document_id):
        raise ValueError("it holds a line break or another control character")
    if not {".", ".."}.isdisjoint(document_id.split("/")):
        raise ValueError("it has '.' or '..' between slashes, which clients take out of addresses")
    if document_id.endswith(TAILS):
        raise ValueError(f"it ends like a path of the API; no id ends in {', '.join(TAILS)}")
    return document_id


COLLECTION = r"^[a-z0-9][a-z0-9_-]{0,62}$"
CollectionName: TypeAlias = Annotated[
    str, StringConstraints(pattern=COLLECTION, strip_whitespace=True)
]
QueryText: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_QUERY_CHARACTERS, strip_whitespace=True)
]
Instruction: TypeAlias = Annotated[str, StringConstraints(max_length=4096)]
DocumentId: TypeAlias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    AfterValidator(_addressable),
    Field(json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f]*$"}),
]

MetadataKey: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")
]
Scalar: TypeAlias = str | int | FiniteFloat | bool
MetadataValue: TypeAlias = Scalar | list[str] | list[int] | list[FiniteFloat] | None
Metadata: TypeAlias = dict[MetadataKey, MetadataValue]


def _small(metadata: Metadata) -> Metadata:
    """Metadata goes with every passage of its document, so that its size counts many times."""
    if len(metadata) > MAX_METADATA_KEYS:
        raise ValueError(f"there are more than {MAX_METADATA_KEYS} keys")
    if len(json.dumps(metadata, ensure_ascii=False)) > MAX_METADATA_CHARACTERS:
        raise ValueError(f"it has more than {MAX_METADATA_CHARACTERS} characters as JSON")
    return metadata


GivenMetadata: TypeAlias = Annotated[Metadata, AfterValidator(_small)]

DocumentStatus: TypeAlias = Literal["queued", "parsing", "embedding", "ready", "failed"]
Verdict: TypeAlias = Literal["created", "updated", "unchanged"]
RecallMode: TypeAlias = Literal["hybrid", "dense", "sparse"]
RerankStatus: TypeAlias = Literal[
    "applied", "partial", "timeout", "overloaded", "unavailable", "disabled", "error"
]
TenantName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
ApiScope: TypeAlias = Literal["read", "write", "admin"]
RecallFusion: TypeAlias = Literal["weighted", "rrf", "dbsf"]
Quantization: TypeAlias = Literal["int8", "binary"]
"""What a copy of a vector keeps of each number: a byte, or its sign."""
FusionMethod: TypeAlias = Literal["weighted", "rrf", "dbsf", "rerank"]

RebuildState: TypeAlias = Literal["building", "comparing", "waiting", "switching", "done", "failed"]

FINAL: frozenset[DocumentStatus] = frozenset({"ready", "failed"})
"""The states in which nothing more happens to a document by itself."""


class _Request(BaseModel):
    """What comes in: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


def with_examples(*bodies: dict[str, JsonValue]) -> ConfigDict:
    """For `model_config` of a request: what the OpenAPI document shows of it."""
    return ConfigDict(json_schema_extra={"examples": list(bodies)})


class _Response(BaseModel):
    """What goes out: a client from yesterday ignores the fields of tomorrow."""

    model_config = ConfigDict(extra="ignore")


# --- Errors ---------------------------------------------------------------------------------


class ErrorInfo(_Response):
    """What was wrong and what to do; `code` is stable, `message` is for people."""

    code: str
    message: str
    details: dict[str, JsonValue] = Field(default_factory=dict)
    request_id: str | None = None


class ErrorBody(_Response):
    """The body of every answer that is not a success."""

    error: ErrorInfo


# --- Documents ------------------------------------------------------------------------------


class DocumentFailure(_Response):
    """Why a document could not be ingested, and what a person can do about it."""

    code: str
    message: str


class Document(_Response):
    """A row of the ledger: everything that Twofold knows about one document."""

    id: str = Field(description="As the caller gave it, else derived from collection and name.")
    collection: str
    name: str
    media_type: str
    size: int = Field(ge=0, description="Bytes as uploaded.")
    sha256: str = Field(description="Of the bytes as uploaded.")
    metadata: Metadata = Field(default_factory=dict)
    title: str | None = Field(default=None, description="As found in the document itself.")
    version: int = Field(ge=1, description="Counts the uploads that changed the content.")
    live_version: int | None = Field(
        default=None, description="The version that search answers from; null until the first."
    )
    status: DocumentStatus = "queued"
    progress: float = Field(default=0.0, ge=0.0, le=1.0)
    attempts: int = Field(default=0, ge=0)
    error: DocumentFailure | None = None
    chunks: int = Field(default=0, ge=0, description="Passages of the live version.")
    duplicate_of: str | None = Field(
        default=None, description="Id of another document with the same bytes."
    )
    created_at: datetime
    updated_at: datetime
    heartbeat_at: datetime | None = Field(
        default=None, description="Last sign of life of the worker that has it."
    )

    @property
    def final(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.status in FINAL


class AcceptedDocument(Document):
    """A document as the upload left it, with what the upload changed."""

    verdict: Verdict


class DocumentText(_Request):
    """A document that comes as text in JSON rather than as a file."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["id"]}, {"required": ["name"]}]}
    )

    id: DocumentId | None = None
    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    text: Annotated[str, StringConstraints(min_length=1)]
    media_type: Literal["text/plain", "text/markdown"] = "text/plain"
    metadata: GivenMetadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _nameable(self) -> Self:
        if self.id is None and self.name is None:
            raise ValueError("give the document an 'id' or a 'name'")
        return self


class AddDocuments(_Request):
    """Body of `POST /documents` as JSON; files come as multipart instead."""

    model_config = with_examples(
        {"documents": [{"name": "note.txt", "text": "Rye dough ferments faster."}]},
        {
            "documents": [
                {
                    "id": "bread/rye",
                    "text": "# Rye\n\nRye dough ferments faster.",
                    "media_type": "text/markdown",
                    "metadata": {"year": 2024, "tags": ["bread"]},
                }
            ],
            "collection": "baking",
        },
    )

    documents: Annotated[list[DocumentText], Field(min_length=1, max_length=1_000)]
    collection: CollectionName = "default"


class FileHash(_Request):
    """A file that a caller has: its name and the hash of its bytes."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=4_096)]
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class CompareDocuments(_Request):
    """Body of `POST /documents/compare`: what would be uploaded, without its bytes."""

    model_config = with_examples({"files": [{"name": "note.txt", "sha256": "0f" * 32}]})

    files: Annotated[list[FileHash], Field(min_length=1, max_length=1_000)]
    collection: CollectionName = "default"
    metadata: GivenMetadata = Field(default_factory=dict)


class RejectedFile(_Response):
    """A file of an upload that was refused at the door; nothing of it is stored."""

    name: str
    error: ErrorInfo


class AcceptedDocuments(_Response):
    """Answer to an upload: the bytes and the rows of `documents` are on disk.

    An upload of which nothing could be accepted is answered with the error of its first file.
    """

    documents: list[AcceptedDocument]
    rejected: list[RejectedFile] = Field(default_factory=list)


class DocumentList(_Response):
    """One page of documents, newest change last; `cursor` is null on the last page."""

    documents: list[Document]
    cursor: str | None = None


class DocumentContent(_Response):
    """The text that every offset of this document counts in."""

    id: str
    collection: str
    version: int
    text: str


class Passage(_Response):
    """A chunk as it is stored: a passage with its place in the document."""

    chunk_id: str
    ordinal: int
    text: str
    start: int
    end: int
    page: int | None = None
    headings: list[str] = Field(default_factory=list)
    lead: str | None = Field(
        default=None,
        description="What the text continues and is read under, such as the head row of a table "
        "that was divided; not part of the text.",
    )


class PassageList(_Response):
    """The passages of a document's live version, in reading order."""

    id: str
    collection: str
    version: int
    chunks: list[Passage]


# --- Filters --------------------------------------------------------------------------------


class Condition(_Request):
    """What one metadata key must satisfy; several operators on one key must all hold.

    `contains` asks that a list holds the value, or that a text holds the substring; `prefix` that
    a text, itself or in a list, begins with it.
    """

    key: MetadataKey
    eq: Scalar | None = None
    in_: Annotated[
        list[str] | list[int] | None, Field(alias="in", min_length=1, max_length=256)
    ] = None
    gt: FiniteFloat | datetime | None = None
    gte: FiniteFloat | datetime | None = None
    lt: FiniteFloat | datetime | None = None
    lte: FiniteFloat | datetime | None = None
    exists: bool | None = None
    contains: str | None = None
    prefix: Annotated[str, StringConstraints(min_length=1)] | None = None

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, json_schema_extra={"minProperties": 2}
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.model_dump(exclude={"key"}, exclude_none=True):
            raise ValueError(
                "a condition needs an operator beside 'key': "
                "eq, in, gt, gte, lt, lte, exists, contains or prefix"
            )
        return self


class And(_Request):
    """All of them hold."""

    and_: Annotated[list["Filter"], Field(alias="and", min_length=1, max_length=64)]
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Or(_Request):
    """At least one of them holds."""

    or_: Annotated[list["Filter"], Field(alias="or", min_length=1, max_length=64)]
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Not(_Request):
    """It does not hold."""

    not_: Annotated["Filter", Field(alias="not")]
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def _kind(value: object) -> str:
    """Which of the four a filter is meant to be, so that an error speaks of that one alone."""
    keys = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    return next((kind for kind in ("and", "or", "not") if kind in keys or f"{kind}_" in keys), "")


Filter: TypeAlias = Annotated[
    Annotated[And, Tag("and")]
    | Annotated[Or, Tag("or")]
    | Annotated[Not, Tag("not")]
    | Annotated[Condition, Tag("")],
    Discriminator(_kind),
]


def filter_depth(tree: Filter) -> int:
    """Levels of nesting of a filter; a single condition has depth 1."""
    match tree:
        case And():
            return 1 + max(filter_depth(each) for each in tree.and_)
        case Or():
            return 1 + max(filter_depth(each) for each in tree.or_)
        case Not():
            return 1 + filter_depth(tree.not_)
        case Condition():
            return 1


def filter_conditions(tree: Filter) -> int:
    """How many conditions a filter is made of."""
    match tree:
        case And():
            return sum(filter_conditions(each) for each in tree.and_)
        case Or():
            return sum(filter_conditions(each) for each in tree.or_)
        case Not():
            return filter_conditions(tree.not_)
        case Condition():
            return 1


# --- Search ---------------------------------------------------------------------------------


class Recall(_Request):
    """The first stage: which lists are searched, how wide, and how they become one order.

    `weighted`: the sum of normalised scores, each list by how far its best stands out. `rrf`:
    reciprocal rank fusion (Cormack et al., SIGIR 2009; k = 60), scaled to 0..1. `dbsf`:
    distribution-based score fusion (Mazzeschi, 2023), the mean of scores normalised by mean and
    deviation.
    """

    mode: RecallMode = "hybrid"
    limit: Annotated[int, Field(ge=1, le=MAX_RECALL)] = 100
    fusion: RecallFusion = "weighted"
    instruction: Instruction | None = Field(
        default=None, description="For the query's embedding; null: the collection's or model's."
    )
    dimensions: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None,
        description="Answer as a collection whose vectors have so few (MRL), before one is made.",
    )
    quantization: Quantization | None = Field(
        default=None,
        description="Answer as a collection whose vectors are found by such copies, and ordered by "
        "the whole ones, before one is made.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mode == "sparse" and (self.dimensions or self.quantization):
            raise ValueError("'dimensions' and 'quantization' are of vectors; 'sparse' has none")
        return self


class Rerank(_Request):
    """The second stage: whether, how deep, and what happens when it does not answer."""

    enabled: bool = True
    depth: Annotated[int, Field(ge=1, le=MAX_RECALL)] | None = Field(
        default=None, description="Candidates to score; null: what suits the running reranker."
    )
    instruction: Instruction | None = Field(
        default=None, description="For the reranker; null: the collection's or the model's."
    )
    required: bool = Field(
        default=False, description="Fail with 503 rather than return the recall order."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.required and not self.enabled:
            raise ValueError("'required' asks for what 'enabled': false switches off")
        return self


class Fusion(_Request):
    """How both stages become one order.

    `weighted`: weight * rerank + (1 - weight) * recall, both in 0..1. `rrf`: reciprocal rank
    fusion of the two orders (Cormack et al., SIGIR 2009; k = 60). `dbsf`: the mean of both scores
    normalised by mean and deviation. `rerank`: the second stage alone decides on what it scored.
    """

    method: FusionMethod = "weighted"
    weight: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        default=None, description="Weight of the second stage; null: what suits the reranker."
    )


class SearchRequest(_Request):
    """Body of `POST /search`."""

    model_config = with_examples(
        {"query": "how long does a bow dry before it is tillered?"},
        {
            "query": "how long does a bow dry before it is tillered?",
            "collection": "default",
            "limit": 5,
            "filter": {"and": [{"key": "year", "gte": 2020}]},
            "rerank": {"depth": 20},
            "deadline_ms": 2000,
        },
    )

    query: QueryText
    collection: CollectionName = "default"
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 10
    offset: Annotated[int, Field(ge=0, le=MAX_RECALL)] = 0
    filter: Filter | None = None
    recall: Recall = Field(default_factory=Recall)
    rerank: Rerank = Field(default_factory=Rerank)
    fusion: Fusion = Field(default_factory=Fusion)
    deadline_ms: Annotated[int, Field(ge=1, le=120_000)] = Field(
        default=10_000, description="The answer comes by then, with what was scored until then."
    )
    min_score: FiniteFloat | None = Field(default=None, description="Drop results that score less.")
    group_by_document: Annotated[int, Field(ge=1, le=MAX_GROUP)] | None = Field(
        default=None,
        description="One result for each document, with so many of its best passages at most: the "
        "result itself and the others under `more`. `limit` then counts documents.",
    )
    diversity: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        default=None,
        description="Maximal marginal relevance: 0 orders by score, 1 by unlikeness alone.",
    )
    context: Annotated[int, Field(ge=0, le=MAX_CONTEXT)] = Field(
        default=0, description="Passages before and after each result that come along."
    )
    highlight: bool = Field(default=False, description="Where the words of the query are.")
    explain: bool = Field(default=False, description="Say of each result how it got its rank.")
    pages: bool = Field(
        default=False,
        description="Keep the ranking for some minutes, and give a `cursor` for the next page.",
    )
    cursor: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        description="Of an earlier answer to this same request: what comes after it. The ranking "
        "is the one of that answer; nothing is searched or reranked again.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.filter is not None and filter_depth(self.filter) > MAX_FILTER_DEPTH:
            raise ValueError(f"the filter nests deeper than {MAX_FILTER_DEPTH} levels")
        if self.filter is not None and filter_conditions(self.filter) > MAX_FILTER_CONDITIONS:
            raise ValueError(f"the filter has more than {MAX_FILTER_CONDITIONS} conditions")
        if self.cursor is not None and self.offset:
            raise ValueError("'cursor' says where to go on, so 'offset' cannot be given as well")
        return self


class Scores(_Response):
    """What each stage said of a passage; null where that stage did not see or score it."""

    dense: float | None = Field(default=None, description="Cosine similarity of the vectors.")
    sparse: float | None = Field(default=None, description="BM25.")
    recall: float = Field(description="Both of them, normalised over the candidates, in 0..1.")
    rerank: float | None = Field(default=None, description="The second stage's own score.")


class Span(_Response):
    """A half-open range of code points in the document's extracted text."""

    start: int
    end: int


class Explanation(_Response):
    """How a result got its rank: its place in each list, counted from 1; null: not in it."""

    dense_rank: int | None = None
    sparse_rank: int | None = None
    recall_rank: int
    rerank_rank: int | None = None
    fused_rank: int = Field(description="Before `diversity` and `group_by_document`.")
    moved: int = Field(description="Places that it rose by, from the recall to the fused order.")


class Result(_Response):
    """A passage that answers, with its source and why it is where it is."""

    rank: int = Field(ge=1)
    score: float = Field(description="The fused score that decided the rank.")
    document_id: str
    chunk_id: str
    name: str = Field(description="Of the document.")
    title: str | None = None
    text: str
    start: int
    end: int
    page: int | None = None
    headings: list[str] = Field(default_factory=list)
    lead: str | None = Field(
        default=None,
        description="What the text continues and is read under, such as the head row of a table "
        "that was divided; not part of the text.",
    )
    metadata: Metadata = Field(default_factory=dict)
    truncated: bool = Field(
        default=False, description="The reranker saw only the beginning of the passage."
    )
    recall_rank: int = Field(ge=1, description="Where the first stage alone had it.")
    scores: Scores
    highlights: list[Span] = Field(default_factory=list, description="Where `highlight` was set.")
    before: list["Passage"] = Field(default_factory=list, description="By `context`, in order.")
    after: list["Passage"] = Field(default_factory=list, description="By `context`, in order.")
    explanation: Explanation | None = Field(default=None, description="Where `explain` was set.")
    more: list["Result"] = Field(
        default_factory=list, description="By `group_by_document`: what else it has, best first."
    )


class RerankReport(_Response):
    """What the second stage did, honestly."""

    status: RerankStatus
    scored: int = Field(ge=0, description="Candidates that have a second-stage score.")
    depth: int = Field(ge=0, description="Candidates that were sent to it.")
    model: str | None = None
    ms: float = Field(ge=0.0, description="Time of the second stage, waiting included.")
    cached: int = Field(default=0, ge=0, description="Scores that were known from before.")
    reason: str | None = Field(default=None, description="Why the status is not `applied`.")


class Timings(_Response):
    """Milliseconds per step; `total` holds what is between the steps as well."""

    embed: float = 0.0
    recall: float = 0.0
    queue: float = 0.0
    rerank: float = 0.0
    fuse: float = 0.0
    total: float = 0.0


class Trust(_Response):
    """What both lists of the first stage count beside each other in a weighted sum.

    A list counts by a power of its contrast, 1 - mean / greatest: how far its best stands out.
    """

    dense: float = Field(description="The power for cosines.")
    sparse: float = Field(description="The power for BM25.")
    sparse_weight: float = Field(description="Of BM25 beside cosines where both stand out.")


class Method(_Response):
    """What was computed for an answer, with every choice that the request had left open."""

    recall: str = Field(description="Formula of the recall score.")
    fusion: str = Field(description="Formula of the final score.")
    embedder: str
    query_instruction: str | None
    rerank_instruction: str | None
    recall_limit: int = Field(description="Of each list of the first stage.")
    recall_fusion: RecallFusion
    depth: int = Field(description="Candidates that the second stage scores, if there are as many.")
    weight: float = Field(description="Of the second stage in a weighted sum.")
    calibrated: bool = Field(
        description="Whether its scores count as they are; else stretched over 0..1."
    )
    trust: Trust
    query_cached: bool = Field(description="Whether the query's vector was known from before.")


class SearchResponse(_Response):
    """Answer to a search."""

    results: list[Result]
    rerank: RerankReport
    timings_ms: Timings
    candidates: int = Field(ge=0, description="What the first stage found, before the cut.")
    cursor: str | None = Field(
        default=None, description="For the next page of this ranking; null: this was the last."
    )
    method: Method | None = Field(default=None, description="Where `explain` was set.")
    warnings: list[str] = Field(
        default_factory=list,
        description="What of the request had no effect, such as an instruction for a model that "
        "takes none.",
    )
    request_id: str | None = None


# --- Collections ----------------------------------------------------------------------------


class CollectionSettings(_Request):
    """What the passages of a collection are made with; it changes by a rebuild alone."""

    embedder: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None,
        description="Name of one of the server's embedding models, as `GET /readyz` lists them.",
    )
    dimensions: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None,
        description="Of the dense vectors; fewer than the model's own where it was trained for "
        "that (MRL).",
    )
    chunk_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Longest passage, in the model's tokens."
    )
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,32}$")] | None = Field(
        default=None,
        description="Of the texts, for the stemmer and stop words of BM25: `german`, `french` ...",
    )


class CreateCollection(CollectionSettings):
    """Body of `POST /collections`; what is left out is as the server is set to."""

    model_config = with_examples(
        {"name": "handbooks"},
        {
            "name": "gesetze",
            "language": "german",
            "chunk_tokens": 200,
            "rerank_instruction": "Given a legal question, retrieve the paragraph that decides it",
        },
    )

    name: CollectionName
    query_instruction: Instruction | None = Field(
        default=None, description="For the embedding of queries; null: the server's or model's."
    )
    rerank_instruction: Instruction | None = Field(
        default=None, description="For the reranker; null: the server's or model's."
    )


class ChangeCollection(_Request):
    """Body of `PATCH /collections/{name}`: what is not named stays, null takes it away."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "minProperties": 1,
            "examples": [
                {"query_instruction": "Given a question about bread, retrieve recipes"},
                {"rerank_instruction": None},
            ],
        },
    )

    query_instruction: Instruction | None = None
    rerank_instruction: Instruction | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name 'query_instruction', 'rerank_instruction', or both")
        return self


class ComparedQuery(_Request):
    """A query that both generations are asked before the switch."""

    query: QueryText
    relevant: Annotated[list[DocumentId], Field(max_length=1_000)] = Field(
        default_factory=list,
        description="Documents that answer it; without any, the two orders are compared with each "
        "other.",
    )


class RebuildCollection(CollectionSettings):
    """Body of `POST /collections/{name}/rebuild`.

    What is left out stays as it is; with another `embedder`, its own dimensions and the usual
    chunks take the place of the old ones.
    """

    model_config = with_examples(
        {},
        {"language": "german", "chunk_tokens": 200},
        {
            "embedder": "Qwen3-Embedding-0.6B",
            "switch": "manual",
            "queries": [
                {"query": "how hot is the oven?", "relevant": ["handbook.md"]},
                {"query": "rye"},
            ],
        },
    )

    switch: Literal["auto", "manual"] = Field(
        default="auto",
        description="`auto`: as soon as all is there; `manual`: it waits for "
        "`POST /collections/{name}/rebuild/switch`.",
    )
    queries: Annotated[list[ComparedQuery], Field(max_length=MAX_COMPARED)] = Field(
        default_factory=list, description="Asked of both before the switch, to compare them."
    )


class Quality(_Response):
    """What one generation made of the queries that have relevant documents."""

    ndcg_10: float = Field(description="Mean nDCG of the first ten documents, 0..1.")


class Comparison(_Response):
    """The first stage over the old and the new passages, by the queries of the rebuild.

    nDCG: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """

    queries: int
    judged: int = Field(description="Those of them that came with relevant documents.")
    old: Quality | None = Field(default=None, description="Null where nothing was judged.")
    new: Quality | None = None
    overlap_10: float = Field(
        description="Mean share of the first ten documents that both have, 0..1."
    )


class FailedDocument(_Response):
    """A document that searches find now and the rebuild could not bring along."""

    id: str
    name: str
    error: DocumentFailure | None = None


class Rebuild(_Response):
    """How far a rebuild is; `state` says what happens, `reason` why it waits or has failed."""

    state: RebuildState
    reason: str | None = None
    embedder: str
    dimensions: int
    chunk_tokens: int
    language: str
    switch: Literal["auto", "manual"]
    total: int = Field(default=0, ge=0, description="Documents of the collection.")
    done: int = Field(default=0, ge=0, description="Those of them that the new passages cover.")
    failed: int = Field(
        default=0, ge=0, description="Those that failed here and are searchable now."
    )
    failures: list[FailedDocument] = Field(
        default_factory=list, description="The first of them, with their reasons."
    )
    comparison: Comparison | None = None
    started_at: datetime
    updated_at: datetime

    @property
    def resting(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in ("waiting", "done", "failed")


class CollectionInfo(_Response):
    """A collection: what its passages are made with, what it holds, and its last rebuild."""

    name: CollectionName
    embedder: str
    dimensions: int
    chunk_tokens: int
    language: str
    query_instruction: str | None = None
    rerank_instruction: str | None = None
    documents: dict[DocumentStatus, int] = Field(default_factory=dict)
    passages: int = Field(default=0, ge=0, description="Of the live versions.")
    rebuild: Rebuild | None = Field(default=None, description="Null: there was none yet.")


class CollectionList(_Response):
    """The collections of the caller's tenant, by name."""

    collections: list[CollectionInfo]


# --- Keys -----------------------------------------------------------------------------------


class ApiKey(_Response):
    """What is known of an API key; the key itself is not."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$", description="Part of the key; not secret.")
    name: str = Field(description="What it is for, in its owner's words.")
    tenant: TenantName = Field(description="Whose documents it reaches.")
    scopes: list[ApiScope] = Field(min_length=1)
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = Field(default=None, description="Null: never.")


class NewApiKey(ApiKey):
    """A key that has just been made: the only answer that holds the key itself."""

    key: str


class CreateKey(_Request):
    """Body of `POST /keys`. The key belongs to the tenant of the key that asks."""

    model_config = with_examples(
        {"name": "the website's"},
        {"name": "nightly upload", "scopes": ["read", "write"], "expires_in_days": 90},
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]
    scopes: Annotated[list[ApiScope], Field(min_length=1, max_length=3)] = Field(
        default=["read"],
        description="`read`: search and look; `write`: upload, retry, delete; `admin`: keys.",
    )
    expires_in_days: Annotated[int, Field(ge=1, le=3_650)] | None = Field(
        default=None, description="Null: it never expires."
    )

    def expires_at(self, now: datetime) -> datetime | None:
        """When a key that is made now expires."""
        return now + timedelta(days=self.expires_in_days) if self.expires_in_days else None


class KeyList(_Response):
    """The keys of the caller's tenant, oldest first."""

    keys: list[ApiKey]


class SearchBatch(_Request):
    """Body of `POST /search/batch`: searches that are answered side by side."""

    model_config = with_examples(
        {"searches": [{"query": "how hot is the oven?"}, {"query": "rye", "limit": 3}]}
    )

    searches: Annotated[list[SearchRequest], Field(min_length=1, max_length=MAX_BATCH)]


class SearchAnswer(_Response):
    """One answer of a batch: a response, or the error that this search alone ended in."""

    response: SearchResponse | None = None
    error: ErrorInfo | None = None


class SearchAnswers(_Response):
    """Answer to a batch, in the order of its searches."""

    answers: list[SearchAnswer]


# --- The models alone, and tools ------------------------------------------------------------


class RankedText(_Response):
    """A text by its place in the request, counted from 0."""

    index: int = Field(ge=0)
    relevance_score: float
    truncated: bool = Field(default=False, description="The reranker saw only its beginning.")


class Reranked(_Response):
    """What a client reads of the answer of `POST /v1/rerank`, best first."""

    model: str
    results: list[RankedText]


TextKind: TypeAlias = Literal["query", "passage"]


def _floats(encoded: object) -> object:
    """Little-endian float32 from base64, as embeddings travel."""
    if not isinstance(encoded, str):
        return encoded
    numbers = array("f", b64decode(encoded))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


class EmbeddedText(_Response):
    """The vector of a text, of unit length; `index` is its place in the request."""

    index: int
    embedding: Annotated[list[float], BeforeValidator(_floats)]
    truncated: bool | None = Field(
        default=None, description="The model saw a part of the text only; null: not known."
    )


class Embedded(_Response):
    """What the client reads of the answer of `POST /v1/embeddings`, in the order of the texts."""

    model: str
    data: list[EmbeddedText]


class McpAnswer(_Response):
    """The answer to a message of JSON-RPC 2.0: a `result`, or an `error` with code and message."""

    model_config = ConfigDict(extra="allow")

    jsonrpc: Literal["2.0"]


# --- Health ---------------------------------------------------------------------------------


class Health(_Response):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str


class Readiness(_Response):
    """Whether a search or an upload would be served now, part by part."""

    ready: bool
    parts: dict[str, str] = Field(description="`ok`, or what is the matter with that part.")
    embedder: str | None = Field(description="Null while no worker has said which one it runs.")
    other_embedders: list[str] = Field(
        default_factory=list, description="What else collections may name."
    )
    reranker: str | None
    store: Literal["embedded", "qdrant"] = Field(
        default="embedded", description="Where vectors are: in its process, or on a Qdrant server."
    )
    documents: dict[DocumentStatus, int] = Field(
        default_factory=dict, description="Those of the caller, in all collections."
    )
    workers: dict[str, int] = Field(
        default_factory=dict,
        description="Processes that do the work of a part, where others do than the one that "
        "answers; told to whoever has a key.",
    )
