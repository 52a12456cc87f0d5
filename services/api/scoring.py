"""Pairs scored for other applications: whole and by the deadline, or an error that says why not.

The formats of others have no place for a status, so there is no answer with a part of the scores,
and none in the order in which the documents came.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Depends

from pipelines.build import Twofold
from pipelines.ports import Bools, RerankOutcome, RerankRequest, Vector
from pipelines.tokenizing import ModelTokens, Side
from services.api.deadline import DEFAULT_MS, DeadlineMs
from services.api.parts import Parts, Quota, Tenant
from services.api.quotas import Quotas
from twofold.errors import (
    InvalidRequest,
    NotServed,
    ServiceError,
    TimeTooShort,
    TwofoldError,
    Unavailable,
)

RETRY_S = 5
"""Seconds after which a queue that was too long may have become shorter."""

MAX_CHARACTERS = 131_072
"""Of one document: what 8,192 tokens hold at the most. Tokenizers read all that they are given,
also when the model reads its beginning only."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a passage the model is given, in its own tokens; None: all of it.

    Attributes:
        document: For the passage.
        prompt: For query and passage together.
        side: Where a passage loses what is too much.
    """

    document: int | None = None
    prompt: int | None = None
    side: Side = "right"


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of it.

    Attributes:
        scores: [n] float32, in the order of the passages.
        truncated: [n] bool, True where the model saw a part of the passage only.
        tokens: Of the query and of all passages, as the model was given them.
    """

    scores: Vector
    truncated: Bools
    tokens: int

    def ranked(self, top_n: int | None = None) -> list[int]:
        """Places of the passages, best first; equal scores in the order of the request."""
        order: list[int] = np.argsort(-self.scores, kind="stable").tolist()
        return order[: top_n or None]

    def score(self, index: int) -> float:
        """A score with the digits that it has: a float32 carries seven."""
        return float(f"{self.scores[index]:.7g}")


@dataclass(frozen=True)
class Scorer:
    """The reranker as one request may use it."""

    parts: Twofold
    tenant: str
    quota: Quotas
    deadline_ms: int

    async def score(
        self,
        query: str,
        passages: Sequence[str],
        *,
        instruction: str | None = None,
        room: Room | None = None,
    ) -> Scored:
        """Score all passages for a query.

        Raises:
            NotServed: There is no second stage.
            InvalidRequest: The instruction or the room is not possible with this model.
            TimeTooShort: Not all was scored in time.
            Unavailable: The reranker refused, or is away.
            ServiceError: The model failed.
            QuotaExceeded: The tenant has had its pairs of this minute.
        """
        deadline = time.monotonic() + self.deadline_ms / 1000
        reranker = self.parts.reranker
        # Which model it is may not be known yet; then the refusal is the reranker's own.
        if instruction is not None and reranker.model and not reranker.profile.instructed:
            raise InvalidRequest(
                field="instruction", reason=f"{reranker.model} takes none; leave it out"
            )
        await self.quota.admit_rerank(self.tenant)
        given, tokens = await asyncio.to_thread(
            fitted, self.parts.rerank_tokens, query, passages, room or Room()
        )
        outcome = await reranker.rerank(
            RerankRequest(query, given, deadline, instruction, self.tenant)
        )
        await self.quota.charge_rerank(self.tenant, outcome.scored - outcome.cached)
        if outcome.status != "applied":
            raise refusal(outcome, self.deadline_ms, late=time.monotonic() >= deadline)
        cut = [len(short) < len(text) for short, text in zip(given, passages, strict=True)]
        return Scored(outcome.scores, outcome.truncated | np.array(cut, np.bool_), tokens)

    async def score_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        instruction: str | None = None,
        room: Room | None = None,
    ) -> Scored:
        """Score pairs of different queries, those of one query together; raises as `score`."""
        places: dict[str, list[int]] = {}
        for place, (query, _) in enumerate(pairs):
            places.setdefault(query, []).append(place)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = []
                for query, those in places.items():
                    passages = [pairs[place][1] for place in those]
                    call = self.score(query, passages, instruction=instruction, room=room)
                    tasks.append(group.create_task(call))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        done = [task.result() for task in tasks]
        order = np.argsort(np.concatenate([np.array(those) for those in places.values()]))
        return Scored(
            np.concatenate([each.scores for each in done])[order],
            np.concatenate([each.truncated for each in done])[order],
            sum(each.tokens for each in done),
        )


async def scorer(
    parts: Parts, tenant: Tenant, quota: Quota, deadline_ms: DeadlineMs = DEFAULT_MS
) -> Scorer:
    """What a route is given to score with."""
    return Scorer(parts, tenant, quota, deadline_ms)


Scoring = Annotated[Scorer, Depends(scorer)]


def fitted(
    tokens: ModelTokens, query: str, passages: Sequence[str], room: Room
) -> tuple[list[str], int]:
    """The passages cut to the room that they have, and how many tokens that is with the query."""
    [asked] = tokens.count([query])
    limits = [] if room.document is None else [room.document]
    if room.prompt is not None and room.prompt != -1:
        if room.prompt <= asked:
            raise InvalidRequest(
                field="truncate_prompt_tokens", reason=f"the query alone has {asked} tokens"
            )
        limits.append(room.prompt - asked)
    given = [shortened(text, tokens, min(limits, default=None), room.side) for text in passages]
    return given, asked + sum(tokens.count(given))


def shortened(text: str, tokens: ModelTokens, limit: int | None, side: Side) -> str:
    """A text with no more than so many tokens, and no longer than any model reads."""
    text = text[:MAX_CHARACTERS] if side == "right" else text[-MAX_CHARACTERS:]
    # A token stands for one byte at the least, so most texts need not be looked at.
    if limit is None or len(text.encode()) <= limit:
        return text
    return tokens.cut(text, limit, side)


def refusal(outcome: RerankOutcome, deadline_ms: int, *, late: bool) -> TwofoldError:
    """What a caller is told when not everything was scored.

    A part may also be what was known from before, or what came before the model failed; only at
    the deadline it was the time that was short.
    """
    reason = (outcome.reason or outcome.status).rstrip(".")
    if outcome.status == "timeout" or (outcome.status == "partial" and late):
        return TimeTooShort(
            done=outcome.scored,
            texts=len(outcome.scores),
            deadline_ms=deadline_ms,
            retry_after=RETRY_S,
        )
    if outcome.status == "disabled":
        return NotServed(reason="it runs without a reranker, as TWOFOLD_RERANKER=none says")
    if outcome.status == "error":
        return ServiceError(reason=f"the reranker failed ({reason}).")
    return Unavailable(what="The reranker", reason=reason, seconds=RETRY_S, retry_after=RETRY_S)
