"""BM25 as sparse vectors, by the Qdrant engine's own tokenizer, stemmers and stop words."""

from collections.abc import Sequence

from qdrant_edge import Bm25, Bm25Config

from pipelines.ports import SparseVector
from twofold.errors import ConfigurationError


class Bm25SparseEmbedder:
    """Term weights whose product with a query's, times the IDF, is the BM25 score.

    The IDF is the store's part, because it changes with every document. Robertson and Zaragoza,
    "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
    """

    def __init__(self, language: str = "english") -> None:
        """Choose stemmer and stop words.

        Args:
            language: In English and lower case, such as `german`.

        Raises:
            ConfigurationError: There is no stemmer for this language.
        """
        try:
            self._model = Bm25(Bm25Config(language=language))
        except ValueError as error:
            raise ConfigurationError(
                setting=f"the language '{language}'",
                reason="there is no stemmer for it; use one like 'english', 'german' or 'french'",
            ) from error

    def embed_query(self, text: str) -> SparseVector:
        vector = self._model.embed_query(text)
        return SparseVector(vector.indices, vector.values)

    def embed_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        vectors = (self._model.embed_document(text) for text in texts)
        return [SparseVector(vector.indices, vector.values) for vector in vectors]
