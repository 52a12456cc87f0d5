"""The shortest way in: add texts, ask, and look at what each stage said.

    TWOFOLD_URL=http://127.0.0.1:8000 python examples/quickstart.py

Needs a running server (`make run`); without TWOFOLD_URL, the one on this machine is asked.
"""

from twofold import Client
from twofold.schema import DocumentText

NOTES = {
    "yew": "A yew stave is left to dry for a year before it is tillered.",
    "ash": "Ash is cheaper. It is steamed and bent within a week of felling.",
    "string": "Strings are made of linen, and waxed before every shoot.",
}

with Client() as twofold:
    accepted = twofold.add_texts(
        [DocumentText(id=name, text=text) for name, text in NOTES.items()],
        collection="quickstart",
        wait=60,
    )
    for document in accepted.documents:
        print(f"{document.verdict:10} {document.id:8} {document.status}")

    response = twofold.search("How long must the wood rest?", collection="quickstart", limit=3)
    print(f"\nreranker: {response.rerank.status} in {response.rerank.ms:.0f} ms")
    for result in response.results:
        print(
            f"{result.rank}. {result.text}\n   score {result.score:.2f}, "
            f"from rank {result.recall_rank} of the first stage"
        )
