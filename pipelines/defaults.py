"""What a search does where its request leaves it open and the operator has said something."""

from dataclasses import dataclass

from twofold.schema import RecallFusion, SearchRequest


@dataclass(frozen=True)
class SearchDefaults:
    """Choices of the operator; None: as the request's schema and the reranker's profile have it.

    Attributes:
        depth: Of the second stage; 0 leaves it out.
        weight: Of the second stage in a weighted sum.
    """

    recall_limit: int | None = None
    recall_fusion: RecallFusion | None = None
    depth: int | None = None
    weight: float | None = None

    def fill(self, request: SearchRequest) -> SearchRequest:
        """The request with every choice made that it left open."""
        recall, rerank, fusion = request.recall, request.rerank, request.fusion
        if self.recall_limit is not None and "limit" not in recall.model_fields_set:
            recall = recall.model_copy(update={"limit": self.recall_limit})
        if self.recall_fusion is not None and "fusion" not in recall.model_fields_set:
            recall = recall.model_copy(update={"fusion": self.recall_fusion})
        if self.depth == 0 and rerank.model_fields_set.isdisjoint({"enabled", "depth", "required"}):
            rerank = rerank.model_copy(update={"enabled": False})
        elif self.depth and rerank.depth is None:
            rerank = rerank.model_copy(update={"depth": self.depth})
        if self.weight is not None and fusion.weight is None:
            fusion = fusion.model_copy(update={"weight": self.weight})
        return request.model_copy(update={"recall": recall, "rerank": rerank, "fusion": fusion})


NOTHING_SAID = SearchDefaults()
"""An operator who leaves it to the models."""
