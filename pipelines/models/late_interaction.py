"""A second stage without a second model: MaxSim over the token states of all-MiniLM-L6-v2.

Each word piece of the query looks for the token of the passage that is most like it; the score is
the weighted mean of what they find. Khattab and Zaharia, "ColBERT", SIGIR 2020, with a change: the
model was not trained for it, so rare pieces, which say more, weigh more, and common words of a
passage are left out.

The states of a passage are kept, in a bounded memory, from when they were last made: at ingestion,
if this process embedded the passage, or when it first was a candidate. Those of a query are kept
likewise, so that a search encodes it once for both stages.
"""

import hashlib
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np
from cachetools import LRUCache

from pipelines.models.minilm import NAME, MiniLm, Tokens
from pipelines.models.state_cache import StateCache, States
from pipelines.ports import Pairs, PairScores, RerankProfile, Vector

T = TypeVar("T")

CACHE_BYTES = 512_000_000
QUERY_BYTES = 8_000_000
"""For the queries asked last; one of ten words takes about 20,000."""
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

    @property
    def size(self) -> int:
        """Bytes that it takes in a cache."""
        return self.vectors.nbytes + self.weights.nbytes


class LateInteractionReranker:
    """Scores in 0..1 that depend on the pair alone.

    They are means of cosines, which mean the same for every query: fused as they are they rank
    better than stretched over the candidates of each.

    Args:
        model: Weights and tokenizer, shared with the embedder.
        cache_bytes: Memory for the states of passages, about 210 bytes for a token of English.
    """

    name = f"late-interaction:{NAME}"
    profile = RerankProfile(depth=20, weight=0.5, calibrated=True)

    def __init__(self, model: MiniLm, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._model = model
        self._cache = StateCache(cache_bytes)
        self._queries: LRUCache[str, Query] = LRUCache(
            min(QUERY_BYTES, cache_bytes), getsizeof=lambda query: query.size
        )
        self._lock = Lock()
        self._weights = piece_weights(model.vocabulary)

    @property
    def tokenizer_json(self) -> str:
        return self._model.tokenizer_json

    def score(
        self, query: str, passages: Sequence[str], *, instruction: str | None = None
    ) -> Vector:
        """Score the passages of one query: [n] float32, in input order.

        The instruction is ignored: the model was not trained with any.
        """
        return self.score_batch([Pairs(query, passages, instruction)])[0].scores

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        queries = self._looking([pairs.query for pairs in batch])
        states = self._states(passage for pairs in batch for passage in pairs.passages)
        return [
            pair_scores(queries[pairs.query], [states[passage] for passage in pairs.passages])
            for pairs in batch
        ]

    def remember(self, passage: str, tokens: Tokens, vectors: Vector) -> States:
        """Keep the states of a passage for when it will be a candidate; callable by any thread.

        Args:
            passage: The text.
            tokens: What the tokenizer made of it.
            vectors: What the model made of these, [tokens, dimensions].
        """
        telling = self._weights[tokens.ids] >= self._weights[FIRST_WORD + COMMON]
        kept = vectors[telling] if telling.any() else vectors
        states = States.pack(kept, truncated=tokens.truncated)
        self._cache.put(key_of(passage), states)
        return states

    def remember_query(self, query: str, tokens: Tokens, vectors: Vector) -> Query:
        """Keep what a query looks for until it is asked for; callable by any thread.

        Args:
            query: The text.
            tokens: As of `remember`.
            vectors: As of `remember`.
        """
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        made = Query(units, shares(self._weights[tokens.ids]))
        with self._lock:
            if made.size <= self._queries.maxsize:
                self._queries[query] = made
        return made

    def _looking(self, texts: Iterable[str]) -> dict[str, Query]:
        """What queries look for, remembered or made now."""
        return self._made(texts, self._remembered_query, self.remember_query)

    def _states(self, passages: Iterable[str]) -> dict[str, States]:
        """States of passages, remembered or made now."""
        return self._made(passages, lambda text: self._cache.get(key_of(text)), self.remember)

    def _remembered_query(self, text: str) -> Query | None:
        with self._lock:
            return self._queries.get(text)

    def _made(
        self,
        texts: Iterable[str],
        remembered: Callable[[str], T | None],
        remember: Callable[[str, Tokens, Vector], T],
    ) -> dict[str, T]:
        """What is made of texts, by text; the model encodes those that are not remembered."""
        kept = {text: remembered(text) for text in set(texts)}
        made = {text: each for text, each in kept.items() if each is not None}
        missing = [text for text, each in kept.items() if each is None]
        for index, tokens, rows in self._model.token_states(self._model.tokenize(missing)):
            text = missing[index]
            made[text] = remember(text, tokens, rows.numpy())
        return made


def pair_scores(query: Query, passages: Sequence[States]) -> PairScores:
    """MaxSim: the weighted mean, over the query's pieces, of the best cosine in each passage."""
    truncated = np.array([states.truncated for states in passages], dtype=np.bool_)
    if not passages:
        return PairScores(np.empty(0, dtype=np.float32), truncated)
    rows = np.concatenate([states.numbers for states in passages]).astype(np.float32)
    cosines = query.vectors @ rows.T / np.linalg.norm(rows, axis=1)
    ends = np.cumsum([len(states.numbers) for states in passages])
    best = np.maximum.reduceat(cosines, [0, *ends[:-1]], axis=1)  # [q, passages]
    return PairScores((query.weights @ best).clip(0, 1).astype(np.float32), truncated)


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


def shares(weights: Vector) -> Vector:
    """Divide by the sum; equal shares where nothing counts."""
    return weights / weights.sum() if weights.any() else np.full_like(weights, 1 / len(weights))


def key_of(text: str) -> bytes:
    """What states are kept under: the sha256 of their text."""
    return hashlib.sha256(text.encode()).digest()
