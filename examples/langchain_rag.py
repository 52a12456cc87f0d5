"""Answers from your own documents with LangChain: retrieve, show the sources, ask a model.

    pip install 'twofold[langchain]'
    TWOFOLD_URL=http://127.0.0.1:8000 python examples/langchain_rag.py

The language model is a fake that gives one answer, so that the example runs anywhere. Put a real
one in its place: `from langchain.chat_models import init_chat_model`.
"""

import asyncio

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from twofold.langchain import TwofoldReranker, TwofoldRetriever

NOTES = [
    Document(
        id="oven",
        page_content="The oven has 250 degrees when the bread goes in, and 210 after ten minutes.",
        metadata={"source": "oven.md", "year": 2026},
    ),
    Document(
        id="rye",
        page_content="Rye dough rests for two hours and is shaped with wet hands.",
        metadata={"source": "rye.md", "year": 2026},
    ),
    Document(
        id="old-oven",
        page_content="The old oven was fired with beech and had no thermometer.",
        metadata={"source": "history.md", "year": 1960},
    ),
]
QUESTION = "How hot is the oven?"

retriever = TwofoldRetriever(collection="langchain-example", k=2, filter={"year": 2026})
report = retriever.add_documents(NOTES)
print("added:", ", ".join(f"{each.id} ({each.status})" for each in report.documents))

for document in retriever.invoke(QUESTION):
    about = document.metadata
    place = f"{about['source']}[{about['start']}:{about['end']}]"
    print(f"{about['rank']}. {place} score {about['score']:.2f} reranker {about['rerank_status']}")


def as_context(documents: list[Document]) -> str:
    """What the model reads: each passage under its source."""
    return "\n\n".join(f"[{each.metadata['source']}] {each.page_content}" for each in documents)


prompt = ChatPromptTemplate.from_template(
    "Answer from the passages alone and name the source.\n\n{context}\n\nQuestion: {question}"
)
model = FakeListChatModel(responses=["250 degrees when the bread goes in [oven.md]."])
chain = (
    {"context": retriever | as_context, "question": RunnablePassthrough()}
    | prompt
    | model
    | StrOutputParser()
)
print("\nanswer:", chain.invoke(QUESTION))
print("awaited:", asyncio.run(chain.ainvoke(QUESTION)))

# The second stage alone, over what any other retriever has found.
[best] = TwofoldReranker(top_n=1).compress_documents(NOTES, QUESTION)
print(f"\nreranked: {best.metadata['source']} {best.metadata['relevance_score']:.2f}")
