"""Vectors with fewer dimensions than the model gives, where it was trained for that (MRL). Pure.

The beginning of such a vector is a vector itself, once it has unit length again. Kusupati et al.,
"Matryoshka Representation Learning", NeurIPS 2022.
"""

import numpy as np

from pipelines.ports import EmbedderFacts, Vector
from twofold.errors import InvalidRequest


def require_dimensions(embedder: EmbedderFacts, wanted: int | None) -> int:
    """The length that vectors are to have; None: the model's own.

    Raises:
        InvalidRequest: The model was not trained for vectors of that length.
    """
    longest, shortest = embedder.dimensions, embedder.min_dimensions
    if wanted is None or shortest <= wanted <= longest:
        return wanted or longest
    gives = f"from {shortest} to {longest}" if shortest < longest else f"{longest} and no other"
    raise InvalidRequest(field="dimensions", reason=f"vectors of {embedder.name} have {gives}")


def shortened(vectors: Vector, dimensions: int) -> Vector:
    """The beginnings of vectors, of unit length again.

    Args:
        vectors: [..., d] float32, unit length.
        dimensions: At most d; vectors of that length are returned as they are.
    """
    if dimensions == vectors.shape[-1]:
        return vectors
    beginnings = vectors[..., :dimensions]
    lengths = np.linalg.norm(beginnings, axis=-1, keepdims=True)
    unit: Vector = beginnings / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
