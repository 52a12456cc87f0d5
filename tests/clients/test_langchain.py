"""Twofold in LangChain: its standard tests, and what its documentation does with a retriever."""

import asyncio
import pickle
from collections.abc import Iterator

import pytest
from langchain.agents import create_agent
from langchain_classic.chains import create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import ValidationError

from tests.support.keys import make_key
from tests.support.reranking import POISON
from tests.support.server import threaded_server
from twofold.errors import (
    ConnectionFailed,
    InvalidRequest,
    RerankRequired,
    ServiceError,
    Unauthenticated,
)
from twofold.langchain import TwofoldReranker, TwofoldRetriever
from twofold.schema import Condition

pytestmark = pytest.mark.clients

WAIT_S = 60.0
QUESTION = "how long does a yew stave dry"
BREAD = [
    Document(
        id="yew",
        page_content="A yew stave is left to dry for a year before it is tillered.",
        metadata={"year": 2026, "source": "wood/yew.md", "page": 7, "tags": ["wood", "bow"]},
    ),
    Document(id="rye", page_content="Rye dough rests for two hours.", metadata={"year": 1999}),
    Document(page_content="Ash bends well when a stave is steamed.", metadata={"year": 2026}),
    Document(page_content="A long oven peel is made of beech."),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with threaded_server(tmp_path_factory.mktemp("langchain")) as url:
        report = TwofoldRetriever(base_url=url).add_documents(BREAD, wait=WAIT_S)
        assert [each.status for each in report.documents] == ["ready"] * len(BREAD)
        yield url


@pytest.fixture(autouse=True)
def server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWOFOLD_URL", url)


@pytest.mark.anyio
class TestStandard(RetrieversIntegrationTests):
    """What LangChain asks of every retriever."""

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return TwofoldRetriever

    @property
    def retriever_query_example(self) -> str:
        return QUESTION


# --- What a document says of itself ---------------------------------------------------------


def test_a_document_carries_its_citation_and_the_scores_of_both_stages():
    first, *_ = TwofoldRetriever(k=1).invoke("Rye dough rests")
    assert first.page_content == "Rye dough rests for two hours."
    assert first.id == first.metadata["chunk_id"]
    scores = first.metadata.pop("scores")
    assert scores.keys() == {"dense", "sparse", "recall", "rerank"}
    assert scores["rerank"] == 1.0
    assert first.metadata == {
        "year": 1999,
        "source": "rye",
        "document_id": "rye",
        "chunk_id": first.id,
        "start": 0,
        "end": 30,
        "rank": 1,
        "recall_rank": 1,
        "score": first.metadata["score"],
        "rerank_status": "applied",
    }


def test_metadata_comes_back_as_it_was_added_and_what_twofold_says_of_the_same_stands_beside():
    [document] = TwofoldRetriever(k=1, filter={"source": "wood/yew.md"}).invoke(QUESTION)
    assert BREAD[0].metadata.items() <= document.metadata.items()
    assert "twofold.source" not in document.metadata, "the document's name was its source"

    clash = Document(page_content="Oak is tannic.", metadata={"rank": "sergeant", "score": 3})
    retriever = TwofoldRetriever(collection="clash", k=1)
    retriever.add_documents([clash], wait=WAIT_S)
    [document] = retriever.invoke("oak")
    assert document.metadata["rank"] == "sergeant"
    assert document.metadata["twofold.rank"] == 1
    assert document.metadata["score"] == 3
    assert 0 <= document.metadata["twofold.score"] <= 1


def test_grouped_passages_come_after_the_best_of_their_document():
    text = "\n\n".join(f"Section {n} speaks of bees and wax. " + "word " * 150 for n in range(4))
    retriever = TwofoldRetriever(collection="grouped", k=1)
    retriever.add_documents([Document(id="bees", page_content=text)], wait=WAIT_S)
    found = retriever.invoke("bees and wax", group_by_document=3)
    assert len(found) == 3
    assert {each.metadata["document_id"] for each in found} == {"bees"}
    assert len({each.id for each in found}) == 3


# --- What can be asked ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"year": 1999}, {"rye"}),
        ({"year": [1999, 2000]}, {"rye"}),
        ({"year": 2026, "tags": "bow"}, {"yew"}),
        ({"key": "year", "lt": 2000}, {"rye"}),
        ({"and": [{"key": "year", "exists": True}, {"not": {"key": "year", "eq": 2026}}]}, {"rye"}),
        (Condition(key="tags", contains="wood"), {"yew"}),
        ({"key": "nobody's"}, set()),
    ],
)
def test_a_filter_is_a_tree_or_what_metadata_must_equal(condition, found):
    for documents in (
        TwofoldRetriever(filter=condition).invoke("rye yew stave"),
        TwofoldRetriever().invoke("rye yew stave", filter=condition),
    ):
        assert {each.metadata["document_id"] for each in documents} == found


def test_a_call_may_lift_what_the_constructor_has_set():
    retriever = TwofoldRetriever(filter={"year": 1999}, k=1)
    assert len(retriever.invoke(QUESTION, filter=None, k=3)) == 3
    assert len(retriever.invoke(QUESTION, filter={}, k=3)) == 3


def test_an_instruction_is_for_both_stages_unless_one_has_its_own():
    retriever = TwofoldRetriever(
        instruction="Prefer wood.", recall={"instruction": "Find wood."}, options={"explain": True}
    )
    asked = retriever._asked()
    assert asked["recall"] == {"instruction": "Find wood."}
    assert asked["rerank"] == {"instruction": "Prefer wood."}
    assert retriever.invoke(QUESTION)[0].metadata["explanation"]["recall_rank"] == 1


def test_the_stages_of_a_search_can_be_chosen():
    [document] = TwofoldRetriever(k=1, rerank={"enabled": False}).invoke(QUESTION)
    assert document.metadata["rerank_status"] == "disabled"
    assert document.metadata["scores"]["rerank"] is None
    [document] = TwofoldRetriever(k=1, recall={"mode": "dense"}).invoke(QUESTION)
    assert document.metadata["scores"]["sparse"] is None


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (lambda: TwofoldRetriever(options={"limmit": 3}), "'limmit'"),
        (lambda: TwofoldRetriever(recall={"mode": "best"}), "'recall.mode'"),
        (lambda: TwofoldRetriever(deadline_ms=0), "'deadline_ms'"),
        (lambda: TwofoldRetriever(filter={"year": None}), '"exists": false'),
        (lambda: TwofoldRetriever(filter={"key": "year", "eq": {}}), "'filter.eq"),
        (lambda: TwofoldRetriever().invoke(QUESTION, k=0), "'limit'"),
        (lambda: TwofoldRetriever().invoke(QUESTION, top_k=3), "'top_k'"),
        (lambda: TwofoldRetriever().invoke(" "), "'query'"),
    ],
)
def test_what_no_search_can_have_is_refused_by_name(ask, reason):
    with pytest.raises(InvalidRequest, match=reason):
        ask()


def test_a_misspelt_field_of_the_constructor_is_an_error():
    with pytest.raises(ValidationError, match="colection"):
        TwofoldRetriever(colection="bread")
    with pytest.raises(ValidationError, match="topn"):
        TwofoldReranker(topn=2)


# --- Adding documents -----------------------------------------------------------------------


def test_the_same_document_again_changes_nothing_with_an_id_and_without():
    retriever = TwofoldRetriever(collection="again")
    first = retriever.add_documents(BREAD, wait=WAIT_S)
    again = retriever.add_documents(BREAD, wait=WAIT_S)
    assert {each.verdict for each in first.documents} == {"created"}
    assert {each.verdict for each in again.documents} == {"unchanged"}
    named = retriever.add_documents(BREAD[2:], ids=["ash", "beech"], wait=WAIT_S)
    assert [each.id for each in named.documents] == ["ash", "beech"]


def test_documents_are_added_from_an_event_loop_too():
    async def add_and_ask() -> list[Document]:
        retriever = TwofoldRetriever(collection="awaited", k=1)
        report = await retriever.aadd_documents(BREAD, wait=WAIT_S)
        assert {each.status for each in report.documents} == {"ready"}
        return await retriever.ainvoke("rye dough")

    assert asyncio.run(add_and_ask())[0].metadata["document_id"] == "rye"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (Document(page_content="a", metadata={"loc": {"lines": 3}}), "documents.1.metadata.loc"),
        (Document(page_content="a", metadata={"pdf:author": "b"}), "documents.1.metadata.pdf:auth"),
        (Document(page_content=""), "documents.1.text"),
        (Document(id="a/../b", page_content="a"), "documents.1.id"),
    ],
)
def test_a_document_that_cannot_be_stored_is_named(document, reason):
    with pytest.raises(InvalidRequest, match=reason):
        TwofoldRetriever().add_documents([BREAD[0], document])


def test_ids_are_as_many_as_documents():
    with pytest.raises(InvalidRequest, match="1 for 4 documents"):
        TwofoldRetriever().add_documents(BREAD, ids=["one"])


# --- Failing --------------------------------------------------------------------------------


def test_no_server_is_an_error_of_twofold_and_a_fallback_is_the_applications_choice():
    away = TwofoldRetriever(base_url="http://127.0.0.1:1", retries=0)
    with pytest.raises(ConnectionFailed, match="is it running"):
        away.invoke(QUESTION)
    with pytest.raises(ConnectionFailed):
        asyncio.run(away.ainvoke(QUESTION))
    assert away.with_fallbacks([TwofoldRetriever(k=1)]).invoke(QUESTION)


def test_a_reranker_that_must_answer_and_does_not_is_an_error():
    retriever = TwofoldRetriever(collection="poisoned", retries=0)
    retriever.add_documents([Document(page_content=f"Ivy is a {POISON}.")], wait=WAIT_S)
    assert [each.metadata["rerank_status"] for each in retriever.invoke("ivy")] == ["error"]
    with pytest.raises(RerankRequired):
        retriever.invoke("ivy", rerank={"required": True})
    with pytest.raises(ServiceError, match="the reranker failed"):
        TwofoldReranker(retries=0).compress_documents(retriever.invoke("ivy"), "ivy")


def test_the_key_comes_from_the_environment_or_the_constructor(tmp_path, monkeypatch):
    keys = tmp_path / "keys.json"
    key = make_key(keys)["Authorization"].removeprefix("Bearer ")
    with threaded_server(tmp_path / "data", api_keys_file=keys) as url:
        retriever = TwofoldRetriever(base_url=url, k=1)
        with pytest.raises(Unauthenticated):
            retriever.invoke(QUESTION)
        keyed = TwofoldRetriever(base_url=url, api_key=key, k=1)
        keyed.add_documents(BREAD, wait=WAIT_S)
        assert keyed.invoke(QUESTION)
        monkeypatch.setenv("TWOFOLD_API_KEY", key)
        assert TwofoldRetriever(base_url=url, k=1).invoke(QUESTION)
        assert TwofoldReranker(base_url=url).compress_documents(BREAD, QUESTION)
        assert key not in f"{keyed!r} {keyed}"


# --- As a part of something -----------------------------------------------------------------


class Trace(BaseCallbackHandler):
    """What is told of retrievals."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_retriever_start(self, serialized, query, *, tags=None, **kwargs):
        self.told.append((query, tags))

    def on_retriever_end(self, documents, **kwargs):
        self.told.append(len(documents))

    def on_retriever_error(self, error, **kwargs):
        self.told.append(type(error))


def test_callbacks_see_the_question_its_tags_and_what_came_of_it():
    trace = Trace()
    retriever = TwofoldRetriever(k=2, tags=["wood"])
    retriever.invoke(QUESTION, {"callbacks": [trace]})
    with pytest.raises(InvalidRequest):
        retriever.invoke("", {"callbacks": [trace]})
    assert trace.told == [(QUESTION, ["wood"]), 2, ("", ["wood"]), InvalidRequest]


def test_a_retriever_survives_pickling_and_copying():
    retriever = TwofoldRetriever(k=1, filter={"year": 1999})
    found = retriever.invoke("rye")
    for copied in (pickle.loads(pickle.dumps(retriever)), retriever.model_copy(deep=True)):
        assert copied == retriever
        assert copied.invoke("rye") == found


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_a_serialised_retriever_does_not_hold_its_key():
    retriever = TwofoldRetriever(api_key="tf_secret", k=1, filter={"year": 1999})
    written = dumps(retriever)
    assert "tf_secret" not in written
    again = loads(
        written,
        allowed_objects=[TwofoldRetriever],
        valid_namespaces=["twofold"],
        secrets_map={"TWOFOLD_API_KEY": "tf_secret"},
    )
    assert again == retriever
    assert again.invoke("rye") == retriever.invoke("rye")


def test_fields_can_be_left_to_the_configuration_of_a_call():
    retriever = TwofoldRetriever(k=1).configurable_fields(k=ConfigurableField(id="k"))
    assert len(retriever.invoke(QUESTION)) == 1
    assert len(retriever.invoke(QUESTION, {"configurable": {"k": 3}})) == 3


def test_many_questions_at_once_in_threads_and_in_an_event_loop():
    retriever = TwofoldRetriever(k=1)
    questions = ["rye dough", "yew stave", "oven peel"] * 4
    found = [documents[0].id for documents in retriever.batch(questions)]
    awaited = asyncio.run(retriever.abatch(questions))
    assert [documents[0].id for documents in awaited] == found
    assert len(set(found)) == 3


PROMPT = ChatPromptTemplate.from_template("Answer from this:\n{context}\n\nQuestion: {input}")


def test_in_a_chain_of_the_expression_language():
    chain = (
        {
            "context": TwofoldRetriever(k=1) | (lambda found: found[0].page_content),
            "input": RunnablePassthrough(),
        }
        | PROMPT
        | (lambda prompt: prompt.to_string())
        | StrOutputParser()
    )
    assert "left to dry for a year" in chain.invoke(QUESTION)
    assert "left to dry for a year" in asyncio.run(chain.ainvoke(QUESTION))


def test_in_a_retrieval_chain():
    answer = create_stuff_documents_chain(FakeListChatModel(responses=["A year."]), PROMPT)
    chain = create_retrieval_chain(TwofoldRetriever(k=2), answer)
    result = chain.invoke({"input": QUESTION})
    assert result["answer"] == "A year."
    assert result["context"][0].metadata["document_id"] == "yew"


def test_beside_another_retriever_in_an_ensemble():
    dense = TwofoldRetriever(k=2, recall={"mode": "dense"}, rerank={"enabled": False})
    sparse = TwofoldRetriever(k=2, recall={"mode": "sparse"}, rerank={"enabled": False})
    found = EnsembleRetriever(retrievers=[dense, sparse], weights=[0.5, 0.5]).invoke(QUESTION)
    assert found[0].metadata["document_id"] == "yew"
    assert len({each.id for each in found}) == len(found)


class Agent(GenericFakeChatModel):
    """A model that takes tools, which the fake of LangChain does not."""

    def bind_tools(self, tools, **kwargs):
        return self


def test_as_the_tool_of_an_agent():
    tool = create_retriever_tool(TwofoldRetriever(k=1), "wood", "What is known about wood.")
    call = {"name": "wood", "args": {"query": QUESTION}, "id": "1", "type": "tool_call"}
    says = iter([AIMessage("", tool_calls=[call]), AIMessage("It dries for a year.")])
    agent = create_agent(Agent(messages=says), [tool])
    messages = agent.invoke({"messages": [HumanMessage(QUESTION)]})["messages"]
    [told] = [each.content for each in messages if isinstance(each, ToolMessage)]
    assert "left to dry for a year" in told
    assert messages[-1].content == "It dries for a year."


# --- Reranking ------------------------------------------------------------------------------

SHELF = [Document(page_content=text, metadata={"own": 1}) for text in ("rye", "yew stave", "yew")]


def test_the_documents_of_any_retriever_are_put_in_order():
    reranker = TwofoldReranker(top_n=2)
    kept = reranker.compress_documents(SHELF, "yew stave")
    assert [each.page_content for each in kept] == ["yew stave", "yew"]
    assert [each.metadata["relevance_score"] for each in kept] == [1.0, 0.5]
    assert all(each.metadata["own"] == 1 for each in kept)
    assert SHELF[1].metadata == {"own": 1}, "what was given is left alone"
    assert asyncio.run(reranker.acompress_documents(SHELF, "yew stave")) == kept
    assert len(TwofoldReranker(top_n=None).compress_documents(SHELF, "yew")) == 3


def test_a_text_that_the_reranker_saw_in_part_says_so():
    long = Document(page_content="yew " * 500)
    [kept] = TwofoldReranker().compress_documents([long], "yew")
    assert kept.metadata["truncated"] is True


def test_nothing_to_rerank_is_no_request():
    reranker = TwofoldReranker(base_url="http://127.0.0.1:1")
    assert reranker.compress_documents([], QUESTION) == []
    assert asyncio.run(reranker.acompress_documents([], QUESTION)) == []


def test_a_reranker_fails_with_the_error_of_the_server():
    with pytest.raises(InvalidRequest, match="takes none"):
        TwofoldReranker(instruction="Prefer wood.").compress_documents(SHELF, "yew")
    with pytest.raises(ConnectionFailed):
        TwofoldReranker(base_url="http://127.0.0.1:1", retries=0).compress_documents(SHELF, "yew")


def test_in_a_retriever_that_compresses():
    retriever = ContextualCompressionRetriever(
        base_compressor=TwofoldReranker(top_n=1), base_retriever=TwofoldRetriever(k=4)
    )
    for found in (retriever.invoke("Rye dough"), asyncio.run(retriever.ainvoke("Rye dough"))):
        assert [each.metadata["document_id"] for each in found] == ["rye"]
        assert found[0].metadata["relevance_score"] == 1.0
