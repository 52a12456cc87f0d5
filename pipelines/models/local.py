"""What is known of an embedder that is in this process."""

from pipelines.ports import Embedder, shortest, takes_instructions


class LocalFacts:
    """`ports.EmbedderFacts` of a model in this process."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def min_dimensions(self) -> int:
        return shortest(self._embedder)

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    @property
    def instructed(self) -> bool:
        return takes_instructions(self._embedder)
