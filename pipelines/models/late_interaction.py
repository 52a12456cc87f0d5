"""A second stage without a second model: MaxSim over the token states of all-MiniLM-L6-v2.

Each word piece of the query looks for the token of the passage that is most like it; the score is
the weighted mean of what they find. Khattab and Zaharia, "ColBERT", SIGIR 2020, with two changes:
the model was not trained for it, so rare pieces, which say more, weigh more; and the states of a
passage are made when it first is a candidate, not at ingestion, and then kept.
"""

import hashlib
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows

from pipelines.models.minilm import NAME, MiniLm
from pipelines.models.state_cache import StateCache, States
from pipelines.ports import Pairs, PairScores, RerankProfile, Vector

CACHE_BYTES = 512_000_000
FIRST_CHARACTER = 999
"""Id of "!" in BERT's vocabulary; what is below is special or unused."""
FIRST_WORD = 1996
"""Id of "the": from here the vocabulary goes from frequent to rare."""
COMMON = 100
"""Up to about this rank words are like "the" and "what"; a letter or digit counts like the last."""


class Query(NamedTuple):
    """What a query looks for.

    Attributes:
        vectors: Unit vectors of its word pieces, [q, dimensions].
        weights: What each piece counts, [q], of sum 1.
    """

    vectors: Vector
    weights: Vector


class LateInteractionReranker:
    """Scores, mostly in 0..1, that depend on the pair alone; not calibrated across queries.

    Args:
        model: Weights and tokenizer, shared with the embedder.
        cache_bytes: Memory for the states of passages, 384 bytes a token.
    """

    name = f"late-interaction:{NAME}"
    profile = RerankProfile(depth=20, weight=0.4, calibrated=False)

    def __init__(self, model: MiniLm, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._model = model
        self._cache = StateCache(cache_bytes)
        self._weights = piece_weights(model.vocabulary)

    def score(
        self, query: str, passages: Sequence[str], *, instruction: str | None = None
    ) -> Vector:
        """Score the passages of one query: [n] float32, in input order.

        The instruction is ignored: the model was not trained with any.
        """
        return self.score_batch([Pairs(query, passages, instruction)])[0].scores

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        queries = self._queries([pairs.query for pairs in batch])
        states = self._states(passage for pairs in batch for passage in pairs.passages)
        return [
            pair_scores(query, [states[passage] for passage in pairs.passages])
            for query, pairs in zip(queries, batch, strict=True)
        ]

    def _queries(self, texts: Sequence[str]) -> list[Query]:
        sequences = [tokens.ids for tokens in self._model.tokenize(texts)]
        states = self._model.token_states(sequences)
        vectors = {index: F.normalize(rows, dim=-1).numpy() for index, rows in states}
        return [
            Query(vectors[index], shares(self._weights[ids])) for index, ids in enumerate(sequences)
        ]

    def _states(self, passages: Iterable[str]) -> dict[str, States]:
        """States of passages, from the cache or else from the model."""
        keys = {text: hashlib.sha256(text.encode()).digest() for text in passages}
        kept = {text: self._cache.get(key) for text, key in keys.items()}
        found = {text: states for text, states in kept.items() if states is not None}
        missing = [text for text, states in kept.items() if states is None]
        tokens = self._model.tokenize(missing)
        for index, rows in self._model.token_states([each.ids for each in tokens]):
            text = missing[index]
            found[text] = States.pack(rows.numpy(), truncated=tokens[index].truncated)
            self._cache.put(keys[text], found[text])
        return found


def pair_scores(query: Query, passages: Sequence[States]) -> PairScores:
    """MaxSim: the weighted mean, over the query's pieces, of the best cosine in the passage."""
    best = [(query.vectors @ states.unit().T).max(axis=1) for states in passages]
    scores = np.array([each @ query.weights for each in best], dtype=np.float32)
    return PairScores(scores, np.array([states.truncated for states in passages], dtype=np.bool_))


def shares(weights: Vector) -> Vector:
    """Divide by the sum; equal shares where nothing counts."""
    return weights / weights.sum() if weights.any() else np.full_like(weights, 1 / len(weights))


def piece_weights(vocabulary: Mapping[str, int]) -> Vector:
    """What each word piece of BERT's vocabulary counts in a query: [pieces] float32.

    log(1 + rank / 100), by rank of frequency. A stand-in for the IDF that needs no corpus: the
    vocabulary is ordered, and by Zipf's law the logarithm of a word's rank grows with its IDF.
    Special tokens and punctuation count nothing.
    """
    ranks = np.arange(len(vocabulary)) - FIRST_WORD
    ranks[:FIRST_WORD] = COMMON
    ranks[:FIRST_CHARACTER] = 0
    ranks[[id_ for piece, id_ in vocabulary.items() if set(piece) <= set(string.punctuation)]] = 0
    return np.log1p(ranks / COMMON).astype(np.float32)
