"""The tools: what each is asked, what it answers, and how that reads.

A model reads the text of an answer; a program reads the same as data, in the shape that the
tool's output schema says. Every answer is bounded, whatever is in the documents.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from services.api.mcp.library import Library
from twofold.schema import (
    CollectionName,
    Filter,
    Metadata,
    QueryText,
    RerankStatus,
    Result,
    SearchRequest,
)

MAX_PASSAGES = 20
MAX_CHARACTERS = 40_000

Asked = TypeVar("Asked", bound="Arguments")
Told = TypeVar("Told", bound=BaseModel)

PlainFilter: TypeAlias = Annotated[
    Filter | None,
    # Filters nest, and several clients cannot read a schema that refers to itself.
    WithJsonSchema(
        {
            "type": "object",
            "description": "Conditions on the metadata of documents: a condition such as "
            '{"key": "year", "gte": 2020}, with one or more of eq, in, gt, gte, lt, lte, exists, '
            'contains and prefix; or {"and": [...]}, {"or": [...]}, {"not": ...} of conditions.',
            "examples": [{"and": [{"key": "year", "gte": 2020}, {"key": "author", "eq": "Ada"}]}],
        }
    ),
]


class Arguments(BaseModel):
    """What a tool is asked; a misspelt argument is an error."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Tool(Generic[Asked, Told]):
    """One tool.

    Attributes:
        description: For the model that decides whether to call it.
        run: Looks into what the caller has.
        read: The answer as a text.
    """

    name: str
    title: str
    description: str
    asked: type[Asked]
    told: type[Told]
    run: Callable[[Library, Asked], Awaitable[Told]]
    read: Callable[[Told], str]


AnyTool: TypeAlias = Tool[Any, Any]


# --- search ---------------------------------------------------------------------------------


class SearchArguments(Arguments):
    """Of `search`."""

    query: QueryText = Field(description="The question, in plain words and complete.")
    collection: CollectionName = Field(
        default="default", description="As `list_collections` names it."
    )
    limit: Annotated[int, Field(ge=1, le=MAX_PASSAGES)] = Field(
        default=5, description="Passages to return."
    )
    filter: PlainFilter = None


class FoundPassage(BaseModel):
    """A passage with its source: `text` is `[start:end]` of the document's text."""

    rank: int
    score: float
    document_id: str
    name: str
    title: str | None
    page: int | None
    headings: list[str]
    start: int
    end: int
    lead: str | None = Field(description="What it continues, such as the head row of its table.")
    text: str
    metadata: Metadata


class Found(BaseModel):
    """Passages, the best first."""

    collection: str
    passages: list[FoundPassage]
    rerank_status: RerankStatus = Field(
        description="`applied`: both stages ordered them. Anything else: the order is rougher."
    )


async def search(library: Library, asked: SearchArguments) -> Found:
    """Both stages, with the defaults of `POST /search`."""
    response = await library.search(
        SearchRequest(
            query=asked.query,
            collection=asked.collection,
            limit=asked.limit,
            filter=asked.filter,
        )
    )
    return Found(
        collection=asked.collection,
        passages=list(map(passage_of, response.results)),
        rerank_status=response.rerank.status,
    )


def passage_of(result: Result) -> FoundPassage:
    """What a model needs of a result: the scores of the stages are not for it."""
    return FoundPassage.model_validate(result, from_attributes=True)


def read_found(found: Found) -> str:
    """The passages under their sources."""
    if not found.passages:
        return f"Nothing was found in collection '{found.collection}'."
    return "\n\n".join(map(read_passage, found.passages))


def read_passage(passage: FoundPassage) -> str:
    """A passage under a line that says where it is from."""
    page = f", page {passage.page}" if passage.page is not None else ""
    path = f", under {' > '.join(passage.headings)}" if passage.headings else ""
    source = (
        f"[{passage.rank}] {passage.name}{page}{path} (document_id {passage.document_id}, "
        f"characters {passage.start} to {passage.end}, score {passage.score:.3f})"
    )
    return "\n".join([source, *([passage.lead] if passage.lead else []), passage.text])


# --- get_document ---------------------------------------------------------------------------


class DocumentArguments(Arguments):
    """Of `get_document`."""

    document_id: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="As `search` gives it."
    )
    collection: CollectionName = "default"
    start: Annotated[int, Field(ge=0)] = Field(
        default=0, description="The first character to return, such as the `start` of a passage."
    )
    length: Annotated[int, Field(ge=1, le=MAX_CHARACTERS)] = Field(
        default=8_000, description="Characters to return at most."
    )


class Excerpt(BaseModel):
    """A stretch of a document's text: `[start:end]` of `characters` in all."""

    document_id: str
    collection: str
    name: str
    title: str | None
    media_type: str
    metadata: Metadata
    characters: int
    start: int
    end: int
    next_start: int | None = Field(description="Where to go on reading; null at the end.")
    text: str


async def get_document(library: Library, asked: DocumentArguments) -> Excerpt:
    """The window of the text that was asked for, as far as there is text."""
    row, content = await library.document(asked.collection, asked.document_id)
    total = len(content.text)
    start = min(asked.start, total)
    end = min(start + asked.length, total)
    return Excerpt(
        document_id=row.id,
        collection=row.collection,
        name=row.name,
        title=row.title,
        media_type=row.media_type,
        metadata=row.metadata,
        characters=total,
        start=start,
        end=end,
        next_start=end if end < total else None,
        text=content.text[start:end],
    )


def read_excerpt(excerpt: Excerpt) -> str:
    """The text under a line that says which part of what it is."""
    where = f"characters {excerpt.start} to {excerpt.end} of {excerpt.characters}"
    more = f"; go on with start {excerpt.next_start}" if excerpt.next_start is not None else ""
    return f"{excerpt.name} ({where}{more})\n{excerpt.text}"


# --- list_collections -----------------------------------------------------------------------


class NoArguments(Arguments):
    """Of `list_collections`."""


class CollectionSummary(BaseModel):
    """A collection and what it holds."""

    name: str
    documents: int = Field(description="Those that can be searched.")
    unfinished: int = Field(description="Those that are on their way, or have failed.")
    embedder: str


class Collections(BaseModel):
    """All of them, by name."""

    collections: list[CollectionSummary]


async def list_collections(library: Library, _: NoArguments) -> Collections:
    """What there is to search."""
    return Collections(
        collections=[
            CollectionSummary(
                name=each.name,
                documents=counts.get("ready", 0),
                unfinished=sum(counts.values()) - counts.get("ready", 0),
                embedder=each.embedder,
            )
            for each, counts in await library.collections()
        ]
    )


def read_collections(told: Collections) -> str:
    """One on a line."""
    lines = [f"{each.name}: {each.documents} documents" for each in told.collections]
    return "\n".join(lines) or "There are no collections yet."


TOOLS: Sequence[AnyTool] = (
    Tool(
        "search",
        "Search documents",
        "Find the passages of the user's documents that answer a question. Returns quotations "
        "with their source (document, page, headings, offsets), the best first. Cite the source "
        "of what you use.",
        SearchArguments,
        Found,
        search,
        read_found,
    ),
    Tool(
        "get_document",
        "Read a document",
        "Read a document's text, or the part of it around a passage that `search` has found. "
        "Long documents come in parts: go on at `next_start`.",
        DocumentArguments,
        Excerpt,
        get_document,
        read_excerpt,
    ),
    Tool(
        "list_collections",
        "List collections",
        "List the collections of documents that can be searched, and how many documents each has.",
        NoArguments,
        Collections,
        list_collections,
        read_collections,
    ),
)
