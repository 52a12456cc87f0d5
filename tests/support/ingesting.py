"""What ingestion works with, around a small model."""

from pipelines.build.parts import sparse_embedder
from pipelines.comparison import FirstStage
from pipelines.embedders import Embedders
from pipelines.founding import Founder
from pipelines.models.query import LocalQueryEmbedder
from pipelines.passages import PassageMakers
from pipelines.ports import Embedder, Store

CHUNK_TOKENS = 100


def makers(*models: Embedder) -> PassageMakers:
    """Of the passages of collections over these models."""
    return PassageMakers(Embedders(*models), sparse_embedder)


def founder(*models: Embedder) -> Founder:
    """Of collections with short chunks."""
    queries = Embedders(*map(LocalQueryEmbedder, models))
    return Founder(queries, sparse_embedder, CHUNK_TOKENS)


def first_stage(store: Store, *models: Embedder) -> FirstStage:
    """What compares two generations."""
    return FirstStage(store, Embedders(*models), sparse_embedder)
