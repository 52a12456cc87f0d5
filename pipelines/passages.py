"""How the passages of a collection are made: with its model, its chunk size and its language."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.chunk import Chunker
from pipelines.dimensions import shortened
from pipelines.embedders import Embedders
from pipelines.embedding import SharedEmbedder
from pipelines.ports import Collection, Embedder, SparseEmbedder, SparseEmbedders, Vectors


@dataclass(frozen=True)
class PassageMaker:
    """Cuts the documents of one collection, and makes the vectors of the passages.

    Attributes:
        dimensions: Of the dense vectors; the model's own, or fewer.
    """

    chunker: Chunker
    embedder: SharedEmbedder
    sparse: SparseEmbedder
    dimensions: int

    async def vectors(self, passages: Sequence[str]) -> list[Vectors]:
        """Both vectors of each passage, in order; raises what the embedder raises."""
        dense = shortened(await self.embedder.embed_passages(passages), self.dimensions)
        return list(map(Vectors, dense, self.sparse.embed_passages(passages)))


class PassageMakers:
    """The makers of all collections, over models that they share.

    Args:
        embedders: Each is called from a thread of its own, for all documents in hand.
        sparse: By language.
    """

    def __init__(self, embedders: Embedders[Embedder], sparse: SparseEmbedders) -> None:
        self.embedders = embedders
        self._sparse = sparse
        self._shared = {each.name: SharedEmbedder(each) for each in embedders}
        self._chunkers: dict[tuple[str, int], Chunker] = {}

    def of(self, collection: Collection) -> PassageMaker:
        """The maker of a collection's passages.

        Raises:
            EmbedderMismatch: Its model is none of those that are here.
        """
        embedder = self.embedders.of(collection)
        key = embedder.name, collection.chunk_tokens or embedder.max_tokens
        if key not in self._chunkers:
            self._chunkers[key] = Chunker(embedder.tokenizer_json, key[1])
        return PassageMaker(
            self._chunkers[key],
            self._shared[embedder.name],
            self._sparse(collection.language),
            collection.dimensions,
        )

    def close(self) -> None:
        """Refuse what waits for a model, and end the threads."""
        for shared in self._shared.values():
            shared.close()
