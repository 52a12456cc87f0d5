"""Scores that were computed before: a Reranker before another one.

A score depends on the model, the query, the instruction and the passage, and on nothing else, so
that the same question over the same passage has the same score until the model changes. What is
known is never sent again; the deadline is spent on the rest.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from cachetools import TTLCache

from pipelines.ports import Reranker, RerankOutcome, RerankProfile, RerankRequest


class _Score(NamedTuple):
    score: float
    truncated: bool


class CachedReranker:
    """Remembers the scores of another Reranker. For one event loop.

    Args:
        reranker: Asked for what is not known; closed with this one.
        entries: Scores that are kept, the most recently used ones; some 200 bytes each.
        ttl_s: Seconds after which a score is computed again.
        clock: Seconds.
    """

    def __init__(
        self,
        reranker: Reranker,
        *,
        entries: int,
        ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reranker = reranker
        self._known: TTLCache[bytes, _Score] = TTLCache(entries, ttl_s, timer=clock)

    @property
    def model(self) -> str | None:
        return self._reranker.model

    @property
    def profile(self) -> RerankProfile:
        return self._reranker.profile

    async def rerank(self, request: RerankRequest) -> RerankOutcome:
        keys = self._keys(request)
        known = [self._known.get(key) for key in keys]
        missing = [number for number, score in enumerate(known) if score is None]
        if keys and len(missing) == len(keys):
            outcome = await self._reranker.rerank(request)
        else:
            passages = [request.passages[number] for number in missing]
            rest = await self._reranker.rerank(replace(request, passages=passages))
            outcome = _completed(rest, missing, known)
        self._remember(keys, outcome)
        return outcome

    async def close(self) -> None:
        """Let go of the other Reranker."""
        await self._reranker.close()

    def _keys(self, request: RerankRequest) -> list[bytes]:
        """One key for each passage. They hold the tenant: what was asked is nobody else's."""
        shared = blake2b(digest_size=16)
        for part in (request.tenant, self.model, request.instruction, request.query):
            shared.update(_framed(part))
        keys = []
        for passage in request.passages:
            digest = shared.copy()
            digest.update(passage.encode())
            keys.append(digest.digest())
        return keys

    def _remember(self, keys: list[bytes], outcome: RerankOutcome) -> None:
        for number in np.flatnonzero(~np.isnan(outcome.scores)):
            self._known[keys[number]] = _Score(
                float(outcome.scores[number]), bool(outcome.truncated[number])
            )


def _framed(part: str | None) -> bytes:
    """The part behind its length, so that no two lists of parts read the same."""
    if part is None:
        return b"-"
    encoded = part.encode()
    return f"{len(encoded)}:".encode() + encoded


def _completed(
    rest: RerankOutcome, missing: list[int], known: list[_Score | None]
) -> RerankOutcome:
    """The outcome of what was not known, with what was known put in."""
    scores = np.array([np.nan if each is None else each.score for each in known], np.float32)
    truncated = np.array([each is not None and each.truncated for each in known], np.bool_)
    cached = len(known) - len(missing)
    scores[missing] = rest.scores
    truncated[missing] = rest.truncated
    status, reason = rest.status, rest.reason
    if status not in ("applied", "partial") and cached:
        status = "partial"
        reason = f"{cached} of {len(known)} passages have a score from before: {reason}"
    return replace(
        rest, status=status, reason=reason, scores=scores, truncated=truncated, cached=cached
    )
