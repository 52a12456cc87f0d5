"""Twofold in LangChain: `pip install 'twofold[langchain]'`.

    retriever = TwofoldRetriever(collection="bread", k=3)
    retriever.invoke("how hot is the oven?", filter={"year": 2026})

Every call raises a `TwofoldError` rather than return fewer documents than there are, or worse
ones: `with_fallbacks` is where an application says what it would rather have.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

try:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
        Callbacks,
    )
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.retrievers import BaseRetriever
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "langchain_core":
        raise
    raise ImportError(
        "twofold.langchain needs LangChain: pip install 'twofold[langchain]'"
    ) from error

from twofold import calls
from twofold.adapting import (
    GivenFilter,
    citation,
    document_text,
    filter_json,
    merged,
    passages,
    search_options,
)
from twofold.calls import SearchOptions
from twofold.clients import Access, Clients
from twofold.errors import InvalidRequest
from twofold.schema import (
    MAX_LIMIT,
    AcceptedDocuments,
    DocumentText,
    Reranked,
    SearchResponse,
)

__all__ = ["TwofoldReranker", "TwofoldRetriever"]

Options = dict[str, JsonValue]


class _Connected(BaseModel):
    """Where the server is, and who asks."""

    base_url: str | None = None
    """Default: the environment variable TWOFOLD_URL, else http://127.0.0.1:8000."""
    api_key: SecretStr | None = None
    """Default: the environment variable TWOFOLD_API_KEY, else none is sent."""
    timeout: float = 30.0
    """Seconds for a call with all its tries, beyond the deadline that the server is given."""
    retries: int = 3
    """Tries after the first when the server is away or busy."""

    _clients: Clients = PrivateAttr()

    def model_post_init(self, context: object, /) -> None:
        """Prepare to connect; nothing is opened before the first call."""
        super().model_post_init(context)
        key = self.api_key.get_secret_value() if self.api_key else None
        self._clients = Clients(Access(self.base_url, key, self.timeout, self.retries))


class TwofoldRetriever(_Connected, BaseRetriever):
    """Passages of a collection for a question, by both stages.

    A document has the passage as its text, the chunk's id as its id, and in its metadata that of
    the Twofold document and what `citation` lists: `source`, `document_id`, `start`, `end`,
    `page`, `headings`, `rank`, `score`, the `scores` of both stages, `rerank_status` and more.

    All fields but those of the connection may be given in a call as well, as may the other fields
    of `SearchRequest`: `retriever.invoke(question, k=3, min_score=0.5)`.
    """

    model_config = ConfigDict(extra="forbid")

    collection: str = "default"
    k: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 4
    """Documents to return."""
    filter: Options | None = None
    """What metadata must equal, `{"year": 2026}`, or a tree of conditions."""
    instruction: str | None = None
    """For the embedding of the query and for the reranker; models that take none ignore it."""
    deadline_ms: int | None = None
    """The answer comes by then, with what was reranked until then; None: the server's default."""
    recall: Options = Field(default_factory=dict)
    """The first stage, as in `SearchRequest`: `{"mode": "dense"}`."""
    rerank: Options = Field(default_factory=dict)
    """The second stage: `{"required": True}` fails where a reranker that is away would not."""
    options: Options = Field(default_factory=dict)
    """Further fields of `SearchRequest`: `{"group_by_document": 2}`."""

    @property
    def lc_secrets(self) -> dict[str, str]:
        return {"api_key": "TWOFOLD_API_KEY"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    @field_validator("filter", mode="before")
    @classmethod
    def _as_json(cls, given: GivenFilter | None) -> Options | None:
        return filter_json(given)

    @model_validator(mode="after")
    def _asks_what_can_be_asked(self) -> "TwofoldRetriever":
        calls.search("any question", self._asked())
        return self

    def add_documents(
        self,
        documents: Sequence[Document],
        *,
        ids: Sequence[str] | None = None,
        wait: float = 60.0,
    ) -> AcceptedDocuments:
        """Upload texts with their metadata to the collection; Twofold divides them into passages.

        Args:
            documents: Their own ids count where `ids` is not given; one without any gets an id
                from its text and metadata, so that adding it again changes nothing.
            ids: One for each document.
            wait: Seconds to wait until they can be searched.

        Returns:
            What became of each: look at `status` and `error`, running out of time is no error.

        Raises:
            TwofoldError: A request of which nothing was accepted, or metadata that is nested.
        """
        client = self._clients.blocking()
        return client.add_texts(_texts(documents, ids), collection=self.collection, wait=wait)

    async def aadd_documents(
        self,
        documents: Sequence[Document],
        *,
        ids: Sequence[str] | None = None,
        wait: float = 60.0,
    ) -> AcceptedDocuments:
        """Upload texts; see `add_documents`."""
        client = await self._clients.awaiting()
        return await client.add_texts(_texts(documents, ids), collection=self.collection, wait=wait)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        del run_manager  # nothing is called that would be traced below this
        client = self._clients.blocking()
        return _documents(client.search(query, **self._asked(**options)))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        del run_manager
        client = await self._clients.awaiting()
        return _documents(await client.search(query, **self._asked(**options)))

    def _asked(self, **options: Any) -> SearchOptions:
        """What is asked beside the question: the fields, and over them what the call says."""
        return search_options(
            {
                "collection": self.collection,
                "limit": options.pop("k", self.k),
                "filter": self.filter,
                "instruction": self.instruction,
                "deadline_ms": self.deadline_ms,
                "recall": self.recall,
                "rerank": self.rerank,
                **self.options,
                **options,
            }
        )


class TwofoldReranker(_Connected, BaseDocumentCompressor):
    """Orders the documents of any retriever by Twofold's second stage, and keeps the best.

    The documents are copies with `relevance_score` in their metadata, and `truncated` where the
    model saw the beginning only. All of them are scored or the call fails.
    """

    model_config = ConfigDict(extra="forbid")

    top_n: Annotated[int, Field(ge=1)] | None = 3
    """Documents to keep; None: all."""
    instruction: str | None = None
    """Refused where the reranker takes none."""
    deadline_ms: Annotated[int, Field(ge=1, le=120_000)] = 30_000

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002, there is nothing below to trace
    ) -> list[Document]:
        """The best documents for the query, best first."""
        if not documents:
            return []
        client = self._clients.blocking()
        answer = client.rerank(query, _texts_of(documents), **self._how())
        return list(_ordered(documents, answer))

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002, there is nothing below to trace
    ) -> list[Document]:
        """The best documents for the query, best first."""
        if not documents:
            return []
        client = await self._clients.awaiting()
        answer = await client.rerank(query, _texts_of(documents), **self._how())
        return list(_ordered(documents, answer))

    def _how(self) -> dict[str, Any]:
        return {
            "top_n": self.top_n,
            "instruction": self.instruction,
            "deadline_ms": self.deadline_ms,
        }


def _documents(response: SearchResponse) -> list[Document]:
    return [
        Document(
            id=result.chunk_id,
            page_content=result.text,
            metadata=merged(result.metadata, citation(result, response)),
        )
        for result in passages(response)
    ]


def _texts(documents: Sequence[Document], ids: Sequence[str] | None) -> list[DocumentText]:
    given = ids if ids is not None else [each.id for each in documents]
    if len(given) != len(documents):
        raise InvalidRequest(
            field="ids", reason=f"there are {len(given)} for {len(documents)} documents"
        )
    return [
        document_text(
            place,
            document.page_content,
            document.metadata,
            id_=id_,
            name=document.metadata.get("source"),
        )
        for place, (document, id_) in enumerate(zip(documents, given, strict=True))
    ]


def _texts_of(documents: Sequence[Document]) -> list[str]:
    return [each.page_content for each in documents]


def _ordered(documents: Sequence[Document], answer: Reranked) -> Iterator[Document]:
    for result in answer.results:
        document = documents[result.index]
        metadata = {**deepcopy(document.metadata), "relevance_score": result.relevance_score}
        if result.truncated:
            metadata["truncated"] = True
        yield document.model_copy(update={"metadata": metadata})
