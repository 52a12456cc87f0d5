"""A query engine of LlamaIndex over Twofold: filters, sources, and a second stage for others.

    pip install 'twofold[llama-index]'
    TWOFOLD_URL=http://127.0.0.1:8000 python examples/llama_index_query.py

The language model is LlamaIndex's mock, which answers with its prompt: one sees what a real model
would read.
"""

import asyncio

from llama_index.core import Document
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters

from twofold.llama_index import TwofoldRerank, TwofoldRetriever

NOTES = [
    Document(
        doc_id="oven",
        text="The oven has 250 degrees when the bread goes in, and 210 after ten minutes.",
        metadata={"file_name": "oven.md", "year": 2026},
    ),
    Document(
        doc_id="rye",
        text="Rye dough rests for two hours and is shaped with wet hands.",
        metadata={"file_name": "rye.md", "year": 2026},
    ),
    Document(
        doc_id="old-oven",
        text="The old oven was fired with beech and had no thermometer.",
        metadata={"file_name": "history.md", "year": 1960},
    ),
]
QUESTION = "How hot is the oven?"
RECENT = MetadataFilters(
    filters=[MetadataFilter(key="year", operator=FilterOperator.GTE, value=2000)]
)

retriever = TwofoldRetriever(collection="llama-index-example", similarity_top_k=2, filters=RECENT)
report = retriever.add_documents(NOTES)
print("added:", ", ".join(f"{each.id} ({each.status})" for each in report.documents))

for found in retriever.retrieve(QUESTION):
    place = f"{found.metadata['source']}[{found.node.start_char_idx}:{found.node.end_char_idx}]"
    print(f"{place} of document {found.node.ref_doc_id}, score {found.score:.2f}")

# Any retriever can stand here; with Twofold's own, the second stage has been applied already.
engine = RetrieverQueryEngine.from_args(
    retriever, llm=MockLLM(), node_postprocessors=[TwofoldRerank(top_n=1)]
)
print("\nThe model would read:\n")
print(engine.query(QUESTION))
answer = asyncio.run(engine.aquery("How long does rye rest?"))
print("\nawaited, from:", ", ".join(each.metadata["source"] for each in answer.source_nodes))
