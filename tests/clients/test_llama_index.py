"""Twofold in LlamaIndex: as a retriever, as a postprocessor, and in the engines built of them."""

import asyncio
import pickle
from collections.abc import Iterator

import pytest
from llama_index.core import Document
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.chat_engine import CondensePlusContextChatEngine
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from tests.support.server import threaded_server
from twofold.errors import ConnectionFailed, InvalidRequest
from twofold.llama_index import TwofoldRerank, TwofoldRetriever

pytestmark = pytest.mark.clients

WAIT_S = 60.0
QUESTION = "how long does a yew stave dry"
SHELF = [
    Document(
        doc_id="yew",
        text="A yew stave is left to dry for a year before it is tillered.",
        metadata={"year": 2026, "file_name": "yew.md", "tags": ["wood", "bow"], "page": 7},
    ),
    Document(doc_id="rye", text="Rye dough rests for two hours.", metadata={"year": 1999}),
    Document(
        doc_id="ash",
        text="Ash bends well when a stave is steamed.",
        metadata={"year": 2020, "note": "", "price": 1.5, "tags": ["wood"]},
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with threaded_server(tmp_path_factory.mktemp("llama_index")) as url:
        report = TwofoldRetriever(url).add_documents(SHELF, wait=WAIT_S)
        assert [each.status for each in report.documents] == ["ready"] * len(SHELF)
        yield url


@pytest.fixture(autouse=True)
def server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_URL", url)


def ids(found: list[NodeWithScore]) -> set[str | None]:
    return {each.node.ref_doc_id for each in found}


# --- What a node says of itself -------------------------------------------------------------


def test_a_node_is_the_passage_with_its_source_and_its_place():
    [found] = TwofoldRetriever(similarity_top_k=1).retrieve(QUESTION)
    node = found.node
    assert node.get_content() == SHELF[0].text
    assert node.node_id == node.metadata["chunk_id"]
    assert node.ref_doc_id == "yew"
    assert (node.start_char_idx, node.end_char_idx) == (0, len(SHELF[0].text))
    assert found.score == node.metadata["score"]
    assert node.metadata["scores"].keys() == {"dense", "sparse", "recall", "rerank"}
    assert node.metadata["rerank_status"] == "applied"
    assert SHELF[0].metadata.items() <= node.metadata.items()
    assert node.source_node.metadata == SHELF[0].metadata


def test_a_language_model_is_shown_the_source_and_no_scores():
    [found] = TwofoldRetriever(similarity_top_k=1).retrieve(QUESTION)
    shown = found.get_content(MetadataMode.LLM)
    assert "source: yew.md" in shown
    assert "year: 2026" in shown
    for hidden in ("score", "rank", "chunk_id", "start"):
        assert f"{hidden}: " not in shown
    assert "source" not in found.get_content(MetadataMode.EMBED)


def test_a_passage_has_one_hash_whatever_was_asked():
    retriever = TwofoldRetriever(similarity_top_k=3)
    first = {each.node_id: each.node.hash for each in retriever.retrieve(QUESTION)}
    other = {each.node_id: each.node.hash for each in retriever.retrieve("Rye dough")}
    assert first == other
    assert len(set(first.values())) == 3


# --- Filters --------------------------------------------------------------------------------

EQ, IN = FilterOperator.EQ, FilterOperator.IN


def all_of(*filters, condition=FilterCondition.AND) -> MetadataFilters:
    return MetadataFilters(
        filters=[
            each
            if isinstance(each, MetadataFilters)
            else MetadataFilter(key=each[0], operator=each[1], value=each[2])
            for each in filters
        ],
        condition=condition,
    )


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (all_of(), {"yew", "rye", "ash"}),
        (all_of(("year", "==", 1999)), {"rye"}),
        (all_of(("year", "!=", 1999)), {"yew", "ash"}),
        (all_of(("year", ">", 1999), ("year", "<", 2026)), {"ash"}),
        (all_of(("year", ">=", 1999), ("year", "<=", 2020)), {"rye", "ash"}),
        (all_of(("price", ">", 1.25)), {"ash"}),
        (all_of(("year", "in", [1999, 2020])), {"rye", "ash"}),
        (all_of(("year", "nin", [1999, 2020])), {"yew"}),
        (all_of(("tags", "any", ["bow", "bread"])), {"yew"}),
        (all_of(("tags", "all", ["wood", "bow"])), {"yew"}),
        (all_of(("tags", "contains", "wood")), {"yew", "ash"}),
        (all_of(("file_name", "text_match", "w.m")), {"yew"}),
        (all_of(("file_name", "is_empty", None)), {"rye", "ash"}),
        (all_of(("note", "is_empty", None)), {"yew", "rye", "ash"}),
        (
            all_of(("year", "==", 1999), ("page", "==", 7), condition=FilterCondition.OR),
            {"yew", "rye"},
        ),
        (
            all_of(("year", "==", 1999), ("page", "==", 7), condition=FilterCondition.NOT),
            {"ash"},
        ),
    ],
)
def test_metadata_filters_mean_what_they_mean_in_llama_index(filters, found):
    assert ids(TwofoldRetriever(filters=filters, similarity_top_k=9).retrieve(QUESTION)) == found
    documents = {each.doc_id: each.metadata for each in SHELF}
    holds = build_metadata_filter_fn(lambda key: documents[key], filters)
    assert {key for key in documents if holds(key)} == found


def test_metadata_filters_may_be_nested():
    either = all_of(("year", "==", 1999), ("tags", "any", ["wood"]), condition=FilterCondition.OR)
    nested = all_of(either, ("year", "<", 2026), all_of())
    assert ids(TwofoldRetriever(filters=nested).retrieve(QUESTION)) == {"rye", "ash"}


def test_filters_of_twofold_are_taken_as_well():
    for filters in ({"year": 1999}, {"key": "year", "lt": 2000}):
        assert ids(TwofoldRetriever(filters=filters).retrieve(QUESTION)) == {"rye"}


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (("a", "text_match_insensitive", "x"), "no such operator"),
        (("a", "==", ["x"]), "one value"),
        (("a", "!=", None), "one value"),
        (("a", "in", "x"), "a list of values"),
        (("a", "any", []), "a list of values"),
        (("a", "in", [1.5, 2.5]), "whole numbers"),
        (("a", "text_match", 3), "a text"),
        (("a", ">", "soon"), "'filter"),
        (("a b", "==", 1), "'filter"),
    ],
)
def test_what_has_no_equivalent_is_refused_with_a_sentence(condition, reason):
    with pytest.raises(InvalidRequest, match=reason):
        TwofoldRetriever(filters=all_of(condition))


# --- Asking and adding ----------------------------------------------------------------------


def test_retrieving_is_the_same_with_and_without_an_event_loop():
    retriever = TwofoldRetriever(similarity_top_k=3)
    assert asyncio.run(retriever.aretrieve(QUESTION)) == retriever.retrieve(QUESTION)
    assert retriever.retrieve(QueryBundle(QUESTION)) == retriever.retrieve(QUESTION)


def test_options_reach_the_search():
    [found] = TwofoldRetriever(
        similarity_top_k=1, rerank={"enabled": False}, options={"explain": True}
    ).retrieve(QUESTION)
    assert found.metadata["rerank_status"] == "disabled"
    assert found.metadata["explanation"]["recall_rank"] == 1
    for wrong in ({"options": {"limmit": 1}}, {"recall": {"mode": "best"}}, {"deadline_ms": 0}):
        with pytest.raises(InvalidRequest):
            TwofoldRetriever(**wrong)


def test_nodes_of_a_parser_are_added_under_their_ids():
    text = " ".join(f"Sentence {n} is about bees." for n in range(40))
    nodes = TokenTextSplitter(chunk_size=64, chunk_overlap=0)([Document(text=text, doc_id="bees")])
    assert len(nodes) > 1
    retriever = TwofoldRetriever(collection="parsed", similarity_top_k=1)
    report = retriever.add_nodes(nodes, wait=WAIT_S)
    assert [each.id for each in report.documents] == [each.node_id for each in nodes]
    again = asyncio.run(retriever.aadd_nodes(nodes, wait=WAIT_S))
    assert {each.verdict for each in again.documents} == {"unchanged"}
    assert ids(retriever.retrieve("Sentence 30")) <= {each.node_id for each in nodes}


def test_documents_are_added_from_an_event_loop_too():
    retriever = TwofoldRetriever(collection="awaited")
    report = asyncio.run(retriever.aadd_documents(SHELF, wait=WAIT_S))
    assert [each.status for each in report.documents] == ["ready"] * 3
    with pytest.raises(InvalidRequest, match=r"documents\.0\.metadata\.nested"):
        retriever.add_documents([Document(text="a", metadata={"nested": {"a": 1}})])


def test_no_server_is_an_error_of_twofold():
    away = TwofoldRetriever("http://127.0.0.1:1", retries=0)
    with pytest.raises(ConnectionFailed, match="is it running"):
        away.retrieve(QUESTION)
    with pytest.raises(ConnectionFailed):
        asyncio.run(away.aretrieve(QUESTION))


def test_both_survive_pickling():
    retriever, rerank = TwofoldRetriever(), TwofoldRerank()
    found = retriever.retrieve(QUESTION)
    assert pickle.loads(pickle.dumps(retriever)).retrieve(QUESTION) == found
    ordered = pickle.loads(pickle.dumps(rerank)).postprocess_nodes(found, query_str=QUESTION)
    assert ordered == rerank.postprocess_nodes(found, query_str=QUESTION)


# --- Reranking ------------------------------------------------------------------------------

NODES = [
    NodeWithScore(node=TextNode(id_=text, text=text), score=0.1)
    for text in ("rye", "yew stave", "yew")
]


class Heard(BaseEventHandler):
    """Every event, as the instrumentation tells it."""

    events: list  # pydantic makes it a field

    @classmethod
    def class_name(cls) -> str:
        return "Heard"

    def handle(self, event, **kwargs) -> None:
        self.events.append(event)


@pytest.fixture
def heard() -> Iterator[list]:
    handler = Heard(events=[])
    root = get_dispatcher()
    root.add_event_handler(handler)
    yield handler.events
    root.event_handlers.remove(handler)


def rerank_sync(rerank: TwofoldRerank) -> list[NodeWithScore]:
    return rerank.postprocess_nodes(NODES, query_str="yew stave")


def rerank_async(rerank: TwofoldRerank) -> list[NodeWithScore]:
    return asyncio.run(rerank.apostprocess_nodes(NODES, query_str="yew stave"))


@pytest.mark.parametrize("ordered", [rerank_sync, rerank_async])
def test_nodes_are_put_in_order_and_the_world_is_told(ordered, heard):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    kept = ordered(TwofoldRerank(top_n=2, callback_manager=CallbackManager([debug])))
    assert [each.node_id for each in kept] == ["yew stave", "yew"]
    assert [each.score for each in kept] == [1.0, 0.5]
    start, end = (each for each in heard if isinstance(each, ReRankStartEvent | ReRankEndEvent))
    assert (start.top_n, len(start.nodes)) == (2, 3)
    assert end.nodes == kept
    assert len(debug.get_event_pairs(CBEventType.RERANKING)) == 1


def test_what_cannot_be_ranked_is_an_error_and_nothing_is_nothing(heard):
    rerank = TwofoldRerank(base_url="http://127.0.0.1:1", retries=0)
    assert rerank.postprocess_nodes([], query_str="yew") == []
    with pytest.raises(InvalidRequest, match="without a query"):
        rerank.postprocess_nodes(NODES)
    with pytest.raises(ConnectionFailed):
        rerank.postprocess_nodes(NODES, query_str="yew")
    with pytest.raises(InvalidRequest, match="takes none"):
        rerank_sync(TwofoldRerank(instruction="Prefer wood."))
    assert sum(isinstance(each, ReRankEndEvent) for each in heard) == 1, "of the empty list"


def test_a_written_postprocessor_does_not_hold_its_key():
    rerank = TwofoldRerank(api_key="tf_secret", top_n=5)
    assert "tf_secret" not in rerank.to_json() + repr(rerank)
    assert TwofoldRerank.from_json(rerank.to_json()).top_n == 5


# --- In the engines -------------------------------------------------------------------------


@pytest.fixture
def engine() -> RetrieverQueryEngine:
    return RetrieverQueryEngine.from_args(
        TwofoldRetriever(similarity_top_k=3),
        llm=MockLLM(),
        node_postprocessors=[TwofoldRerank(top_n=1)],
    )


def test_in_a_query_engine(engine, heard):
    for answer in (engine.query(QUESTION), asyncio.run(engine.aquery(QUESTION))):
        assert "left to dry for a year" in str(answer)
        assert "Rye" not in str(answer)
        assert ids(answer.source_nodes) == {"yew"}
    assert sum(isinstance(each, RetrievalEndEvent) for each in heard) == 2


def test_in_a_fusion_of_retrievers():
    fusion = QueryFusionRetriever(
        [TwofoldRetriever(similarity_top_k=3), TwofoldRetriever(recall={"mode": "sparse"})],
        llm=MockLLM(),
        num_queries=1,
        similarity_top_k=3,
        mode="reciprocal_rerank",
    )
    with asyncio.Runner() as runner:
        # Without an event loop, `retrieve` makes one that nobody closes.
        asyncio.set_event_loop(runner.get_loop())
        retrieved = fusion.retrieve(QUESTION)
    for found in (retrieved, asyncio.run(fusion.aretrieve(QUESTION))):
        assert found[0].node.ref_doc_id == "yew"
        assert ids(found) == {"yew", "rye", "ash"}, "each passage once, whoever found it"


def test_in_a_chat_engine():
    engine = CondensePlusContextChatEngine.from_defaults(
        TwofoldRetriever(similarity_top_k=1), llm=MockLLM(), memory=ChatMemoryBuffer.from_defaults()
    )
    answer = asyncio.run(engine.achat(QUESTION))
    assert "left to dry for a year" in str(answer)
    assert ids(answer.source_nodes) == {"yew"}


def test_as_a_tool():
    tool = RetrieverTool.from_defaults(TwofoldRetriever(similarity_top_k=1), name="wood")
    assert "left to dry for a year" in tool(QUESTION).content
    assert "left to dry for a year" in asyncio.run(tool.acall(QUESTION)).content
