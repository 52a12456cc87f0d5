"""Quantised copies of vectors: a byte or a bit for each number, which find what whole ones order.

A store that keeps such copies in memory looks for more candidates than are wanted, and orders
them by the whole vectors, which may lie on a disk. Here is what such a search finds, computed; a
test holds it against the engine. Pure.

- `int8`: a scale of 128 steps between the quantiles of the numbers, beyond which they are cut.
- `binary`: the sign. Similarity is how many signs two vectors have in common.
"""

from collections.abc import Mapping

import numpy as np

from pipelines.ports import Vector
from twofold.schema import Quantization

QUANTILE = 0.99
"""Of the numbers, so many lie on the scale of `int8`."""
STEPS = 127
OVERSAMPLING: Mapping[Quantization, float] = {"int8": 2.0, "binary": 4.0}
"""So many times as many candidates as are wanted are found by the copies."""


def found_by_copies(
    vectors: Vector, query: Vector, limit: int, quantization: Quantization
) -> list[int]:
    """Which of the vectors the copies find, for a search that wants `limit`; in no order.

    Args:
        vectors: [n, d] float32, unit length.
        query: [d] float32, unit length.
        limit: What the search wants; OVERSAMPLING times as many are found.
        quantization: What the copies are.
    """
    if quantization == "int8":
        similarity = _similarity_of_bytes(vectors, query)
    else:
        similarity = np.count_nonzero((vectors > 0) == (query > 0), axis=1)
    wanted = int(limit * OVERSAMPLING[quantization])
    nearest: list[int] = np.argsort(-similarity, kind="stable")[:wanted].tolist()
    return nearest


def _similarity_of_bytes(vectors: Vector, query: Vector) -> Vector:
    low, high = np.quantile(vectors, [(1 - QUANTILE) / 2, (1 + QUANTILE) / 2])
    step = max(float(high - low) / STEPS, float(np.finfo(np.float32).tiny))

    def read_back(numbers: Vector) -> Vector:
        cut: Vector = np.clip(np.rint((numbers - low) / step), 0, STEPS).astype(np.float32)
        return cut * np.float32(step) + np.float32(low)

    similarity: Vector = read_back(vectors) @ read_back(query)
    return similarity
