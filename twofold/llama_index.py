"""Twofold in LlamaIndex: `pip install 'twofold[llama-index]'`.

    retriever = TwofoldRetriever(collection="bread", similarity_top_k=3)
    engine = RetrieverQueryEngine.from_args(retriever)

Every call raises a `TwofoldError` rather than return fewer nodes than there are, or worse ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from pydantic import JsonValue, SecretStr

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
    from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
    from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
    from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import (
        BaseNode,
        Document,
        IndexNode,
        MetadataMode,
        NodeRelationship,
        NodeWithScore,
        ObjectType,
        QueryBundle,
        RelatedNodeInfo,
        TextNode,
    )
    from llama_index.core.vector_stores import MetadataFilters
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "llama_index":
        raise
    raise ImportError(
        "twofold.llama_index needs LlamaIndex: pip install 'twofold[llama-index]'"
    ) from error

from twofold import calls
from twofold.adapting import (
    GivenFilter,
    citation,
    document_text,
    merged,
    passages,
    search_options,
)
from twofold.clients import Access, Clients
from twofold.errors import InvalidRequest
from twofold.llama_filters import translated
from twofold.schema import AcceptedDocuments, DocumentText, Reranked, SearchResponse

__all__ = ["TwofoldRerank", "TwofoldRetriever"]

READ_BY_MODELS = frozenset({"source", "title", "page", "headings"})
"""What Twofold says of a passage that a language model is shown; the rest is for programs."""

_dispatcher = get_dispatcher(__name__)


class TwofoldRetriever(BaseRetriever):
    """Passages of a collection for a question, by both stages.

    The id of a node is that of the chunk, its source that of the document, its character indices
    count in the document's extracted text, and its metadata is the document's own and what
    `citation` lists. What is searched for is the query's string; embeddings that others have put
    in the bundle are theirs.

    Args:
        base_url: Default: the environment variable TWOFOLD_URL, else http://127.0.0.1:8000.
        api_key: Default: the environment variable TWOFOLD_API_KEY, else none is sent.
        timeout: Seconds for a call with all its tries, beyond the search's own deadline.
        retries: Tries after the first when the server is away or busy.
        collection: In which it searches, and to which it adds.
        similarity_top_k: Nodes to return.
        filters: `MetadataFilters`; or a tree of Twofold's conditions; or what metadata must
            equal, `{"year": 2026}`.
        instruction: For the embedding of the query and for the reranker; models that take none
            ignore it.
        deadline_ms: The answer comes by then, with what was reranked until then.
        recall: The first stage, as in `SearchRequest`: `{"mode": "dense"}`.
        rerank: The second stage: `{"required": True}` fails where it would answer in part.
        options: Further fields of `SearchRequest`: `{"min_score": 0.5}`.
        callback_manager: As of every retriever, and so are the following.

    Raises:
        InvalidRequest: A filter or an option that no search could have.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | SecretStr | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        collection: str = "default",
        similarity_top_k: int = DEFAULT_SIMILARITY_TOP_K,
        filters: MetadataFilters | GivenFilter | None = None,
        instruction: str | None = None,
        deadline_ms: int | None = None,
        recall: dict[str, JsonValue] | None = None,
        rerank: dict[str, JsonValue] | None = None,
        options: dict[str, JsonValue] | None = None,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        objects: list[IndexNode] | None = None,
        verbose: bool = False,
    ) -> None:
        self._clients = _clients_of(base_url, api_key, timeout, retries)
        self._collection = collection
        self._options = search_options(
            {
                "collection": collection,
                "limit": similarity_top_k,
                "filter": translated(filters) if isinstance(filters, MetadataFilters) else filters,
                "instruction": instruction,
                "deadline_ms": deadline_ms,
                "recall": recall,
                "rerank": rerank,
                **(options or {}),
            }
        )
        calls.search("any question", self._options)  # raises now what a search would raise
        super().__init__(callback_manager, object_map, objects, verbose)

    def add_documents(
        self, documents: Sequence[Document], *, wait: float = 60.0
    ) -> AcceptedDocuments:
        """Upload documents to the collection under their ids; Twofold divides and embeds them.

        Args:
            documents: With text and flat metadata.
            wait: Seconds to wait until they can be searched.

        Returns:
            What became of each: look at `status` and `error`, running out of time is no error.

        Raises:
            TwofoldError: A request of which nothing was accepted, or metadata that is nested.
        """
        return self.add_nodes(documents, wait=wait)

    async def aadd_documents(
        self, documents: Sequence[Document], *, wait: float = 60.0
    ) -> AcceptedDocuments:
        """Upload documents; see `add_documents`."""
        return await self.aadd_nodes(documents, wait=wait)

    def add_nodes(self, nodes: Sequence[BaseNode], *, wait: float = 60.0) -> AcceptedDocuments:
        """Upload nodes that a parser has made, each as a document; see `add_documents`."""
        client = self._clients.blocking()
        return client.add_texts(_texts(nodes), collection=self._collection, wait=wait)

    async def aadd_nodes(
        self, nodes: Sequence[BaseNode], *, wait: float = 60.0
    ) -> AcceptedDocuments:
        """Upload nodes; see `add_nodes`."""
        client = await self._clients.awaiting()
        return await client.add_texts(_texts(nodes), collection=self._collection, wait=wait)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        client = self._clients.blocking()
        return _nodes(client.search(query_bundle.query_str, **self._options))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        client = await self._clients.awaiting()
        return _nodes(await client.search(query_bundle.query_str, **self._options))


class TwofoldRerank(BaseNodePostprocessor):
    """Orders the nodes of any retriever by Twofold's second stage, and keeps the best.

    The score of a node is then the second stage's. All of them are scored or the call fails.
    """

    base_url: str | None = Field(default=None, description="Default: TWOFOLD_URL, or this machine.")
    api_key: SecretStr | None = Field(default=None, description="TWOFOLD_API_KEY.", exclude=True)
    timeout: float = Field(default=30.0, description="Seconds, beyond the deadline.")
    retries: int = Field(default=3, description="Tries after the first.")
    top_n: int = Field(default=2, ge=1, description="Nodes to keep.")
    instruction: str | None = Field(default=None, description="Not every reranker takes one.")
    deadline_ms: int = Field(default=30_000, ge=1, le=120_000)

    _clients: Clients = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Prepare to connect; nothing is opened before the first call."""
        super().model_post_init(context)
        self._clients = _clients_of(self.base_url, self.api_key, self.timeout, self.retries)

    @classmethod
    def class_name(cls) -> str:
        return "TwofoldRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _asked(query_bundle)
        with self._told(nodes, query) as kept:
            if nodes:
                client = self._clients.blocking()
                kept += _ordered(nodes, client.rerank(query, _read(nodes), **self._how()))
        return kept

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _asked(query_bundle)
        with self._told(nodes, query) as kept:
            if nodes:
                client = await self._clients.awaiting()
                kept += _ordered(nodes, await client.rerank(query, _read(nodes), **self._how()))
        return kept

    def _how(self) -> dict[str, Any]:
        return {
            "top_n": self.top_n,
            "instruction": self.instruction,
            "deadline_ms": self.deadline_ms,
        }

    @contextmanager
    def _told(self, nodes: list[NodeWithScore], query: str) -> Iterator[list[NodeWithScore]]:
        """Tell the dispatcher and the callbacks what is asked, and what the block has kept."""
        kept: list[NodeWithScore] = []
        _dispatcher.event(
            ReRankStartEvent(query=query, nodes=nodes, top_n=self.top_n, model_name="twofold")
        )
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: "twofold",
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: self.top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield kept
            event.on_end(payload={EventPayload.NODES: kept})
        _dispatcher.event(ReRankEndEvent(nodes=kept))


class _Passage(TextNode):
    """A text node whose hash is that of the passage, whatever was asked and however it scored.

    Fusion of several retrievers takes nodes with one hash for one node.
    """

    @property
    def hash(self) -> str:
        return sha256(f"{self.id_}\n{self.text}".encode()).hexdigest()


def _clients_of(
    base_url: str | None, api_key: str | SecretStr | None, timeout: float, retries: int
) -> Clients:
    key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
    return Clients(Access(base_url, key, timeout, retries))


def _nodes(response: SearchResponse) -> list[NodeWithScore]:
    nodes = []
    for result in passages(response):
        cited = citation(result, response)
        metadata = merged(result.metadata, cited)
        ours = sorted(metadata.keys() - result.metadata.keys())
        node = _Passage(
            id_=result.chunk_id,
            text=result.text,
            start_char_idx=result.start,
            end_char_idx=result.end,
            metadata=metadata,
            excluded_embed_metadata_keys=ours,
            excluded_llm_metadata_keys=[key for key in ours if key not in READ_BY_MODELS],
            relationships={
                NodeRelationship.SOURCE: RelatedNodeInfo(
                    node_id=result.document_id,
                    node_type=ObjectType.DOCUMENT,
                    metadata=dict(result.metadata),
                )
            },
        )
        nodes.append(NodeWithScore(node=node, score=result.score))
    return nodes


def _texts(nodes: Sequence[BaseNode]) -> list[DocumentText]:
    return [
        document_text(
            place,
            node.get_content(metadata_mode=MetadataMode.NONE),
            node.metadata,
            id_=node.node_id,
            name=node.metadata.get("file_name"),
        )
        for place, node in enumerate(nodes)
    ]


def _asked(query_bundle: QueryBundle | None) -> str:
    if query_bundle is None:
        raise InvalidRequest(field="query_bundle", reason="nothing can be ranked without a query")
    return query_bundle.query_str


def _read(nodes: list[NodeWithScore]) -> list[str]:
    """What the reranker reads of each: the text with the metadata that is meant for models."""
    return [each.node.get_content(metadata_mode=MetadataMode.EMBED) for each in nodes]


def _ordered(nodes: list[NodeWithScore], answer: Reranked) -> list[NodeWithScore]:
    return [
        NodeWithScore(node=nodes[each.index].node, score=each.relevance_score)
        for each in answer.results
    ]
