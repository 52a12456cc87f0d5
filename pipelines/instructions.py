"""Which instruction each stage works under.

The request's, else the collection's, else the server's, else the model's own. One that cannot reach
the model is not dropped in silence: the answer's `warnings` name it.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pipelines.ports import Collection, EmbedderFacts, Reranker
from twofold.schema import SearchRequest


@dataclass(frozen=True, slots=True)
class Instructions:
    """One for each stage; None: the model's own.

    Attributes:
        query: For the embedding of the query.
        rerank: For the reranker.
    """

    query: str | None = None
    rerank: str | None = None

    def over(self, others: "Instructions") -> "Instructions":
        """These, and the others where these say nothing."""
        return Instructions(self.query or others.query, self.rerank or others.rerank)


class InForce(NamedTuple):
    """The instructions that reach the models, and a sentence for each that does not."""

    instructions: Instructions
    warnings: list[str]


def said(request: SearchRequest, collection: Collection, server: Instructions) -> Instructions:
    """What a search is to work under."""
    return (
        Instructions(request.recall.instruction, request.rerank.instruction)
        .over(Instructions(collection.query_instruction, collection.rerank_instruction))
        .over(server)
    )


def in_force(
    wanted: Instructions, request: SearchRequest, *, embedder: EmbedderFacts, reranker: Reranker
) -> InForce:
    """What of it the models are told."""
    query, rerank, warnings = wanted.query, wanted.rerank, list[str]()
    if query and request.recall.mode != "sparse" and not embedder.instructed:
        query = None
        warnings.append(unheard(embedder.name, "embedding of the query"))
    # Which reranker it is may not be known yet; then nothing is known against it either.
    if rerank and request.rerank.enabled and reranker.model and not reranker.profile.instructed:
        rerank = None
        warnings.append(unheard(reranker.model, "second stage"))
    return InForce(Instructions(query, rerank), warnings)


def unheard(model: str, stage: str) -> str:
    """The warning that an instruction had no effect."""
    return f"{model} takes no instruction, so the one for the {stage} had no effect."
