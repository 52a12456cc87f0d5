"""Small models with real behaviour: texts that share words are near each other."""

import hashlib
from collections.abc import Sequence

import numpy as np

from pipelines.ports import Vector


class WordEmbedder:
    """Counts words into hashed buckets: unit vectors, so that shared words mean similarity.

    Attributes:
        embedded: How many passages went through it, to show what was not embedded again.
    """

    name = "words-64"
    dimensions = 64
    max_tokens = 200
    tokenizer_json = None

    def __init__(self) -> None:
        self.embedded = 0

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        return self._embed(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        self.embedded += len(texts)
        return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Vector:
        vectors = np.full((len(texts), self.dimensions), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                bucket = hashlib.sha256(word.strip(".,?!").encode()).digest()[0]
                vectors[row, bucket % self.dimensions] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
