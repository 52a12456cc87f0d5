"""Maximal marginal relevance: fewer passages that say the same. Pure.

Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
Producing Summaries", SIGIR 1998.
"""

import numpy as np
from numpy.typing import ArrayLike

from pipelines.ports import Vector


def marginal_relevance(scores: ArrayLike, vectors: Vector, diversity: float) -> list[int]:
    """An order of the candidates in which each next one is relevant and unlike those before it.

    The next one has the greatest `(1 - diversity) * score - diversity * similarity`, where the
    similarity is the cosine to the most similar one before it; of equal ones the first.

    Args:
        scores: [n], greater is more relevant, in 0..1.
        vectors: [n, dimensions] float32, unit length.
        diversity: 0 is the order of the scores, 1 looks at similarity alone.

    Returns:
        [n] indices, best first.
    """
    relevance = np.asarray(scores, dtype=np.float64)
    similarity = (vectors @ vectors.T).astype(np.float64)
    nearest = np.zeros(len(relevance))
    left = np.ones(len(relevance), dtype=np.bool_)
    order: list[int] = []
    for _ in range(len(relevance)):
        marginal = (1 - diversity) * relevance - diversity * nearest
        chosen = int(np.argmax(np.where(left, marginal, -np.inf)))
        order.append(chosen)
        left[chosen] = False
        nearest = np.maximum(nearest, similarity[chosen])
    return order
