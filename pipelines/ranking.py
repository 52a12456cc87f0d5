"""The final order of one search, small enough to be kept: what pages are cut from. Pure.

places = arrange(ranked, request)            what of the fused order counts, and in which order
Ranking(fingerprint(request), basis, places, ...)   kept under a cursor
results = [result_of(place, chunks) ...]     a page of it, with its passages
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import numpy as np

from pipelines.diversify import marginal_relevance
from pipelines.fuse import Fused
from pipelines.instructions import Instructions
from pipelines.ports import Chunk
from twofold.schema import Explanation, Method, RerankReport, Result, Scores, SearchRequest


@dataclass(frozen=True, slots=True)
class Place:
    """A passage in the final order, without its text.

    Attributes:
        rank: Counted from 1; of documents, where passages are grouped.
        more: What else the same document has, where passages are grouped.
    """

    rank: int
    chunk_id: str
    score: float
    scores: Scores
    truncated: bool
    explanation: Explanation
    more: tuple["Place", ...] = ()

    @property
    def chunk_ids(self) -> list[str]:
        """Its own passage and those of `more`."""
        return [self.chunk_id, *(each.chunk_id for each in self.more)]


class Basis(NamedTuple):
    """What an order rests on beside the request: it may change between two pages."""

    generation: int
    instructions: Instructions


@dataclass(frozen=True, slots=True)
class Ranking:
    """The whole order of one answer.

    Attributes:
        fingerprint: Of the request that it answers; a cursor is good for that one alone.
        basis: What else it rests on; when that has changed, its passages or its order are past.
        candidates: What the first stage found.
    """

    fingerprint: str
    basis: Basis
    places: tuple[Place, ...]
    rerank: RerankReport
    candidates: int
    method: Method
    warnings: tuple[str, ...] = ()


def fingerprint(request: SearchRequest) -> str:
    """What two requests have in common that want the same ranking, however they page through it."""
    asked = request.model_dump_json(
        exclude={
            "limit",
            "offset",
            "pages",
            "cursor",
            "deadline_ms",
            "context",
            "highlight",
            "explain",
        }
    )
    return blake2b(asked.encode(), digest_size=16).hexdigest()


def arrange(ranked: Sequence[Fused], request: SearchRequest) -> tuple[Place, ...]:
    """The order that the request wants of what was ranked: cut, spread out, grouped."""
    lists = _ListRanks.of(ranked)
    # What no page will show needs no place, unless the ranking is kept for later pages.
    end = None if request.pages else request.offset + request.limit
    kept = [each for each in ranked if request.min_score is None or each.score >= request.min_score]
    if request.diversity is not None:
        kept = _spread(kept, request.diversity)
    if request.group_by_document is None:
        return tuple(_place(each, rank, lists) for rank, each in enumerate(kept[:end], 1))
    groups = _by_document(kept, request.group_by_document)[:end]
    return tuple(
        replace(
            _place(best, rank, lists),
            more=tuple(_place(each, rank, lists) for each in others),
        )
        for rank, (best, *others) in enumerate(groups, 1)
    )


def _spread(ranked: Sequence[Fused], diversity: float) -> list[Fused]:
    if not ranked:
        return []
    vectors = [each.recalled.candidate.vector for each in ranked]
    known = np.array([vector for vector in vectors if vector is not None], dtype=np.float32)
    if len(known) != len(ranked):
        raise ValueError("the first stage returned candidates without their vectors")
    order = marginal_relevance([each.score for each in ranked], known, diversity)
    return [ranked[index] for index in order]


def _by_document(ranked: Iterable[Fused], most: int) -> list[list[Fused]]:
    """The best passages of each document, the documents in the order of their best one."""
    groups: dict[str, list[Fused]] = {}
    for each in ranked:
        groups.setdefault(each.recalled.candidate.chunk.document_id, []).append(each)
    return [list(islice(group, most)) for group in groups.values()]


class _ListRanks(NamedTuple):
    """Where each candidate stood in each order, by chunk id."""

    dense: Mapping[str, int]
    sparse: Mapping[str, int]
    rerank: Mapping[str, int]
    fused: Mapping[str, int]

    @classmethod
    def of(cls, ranked: Sequence[Fused]) -> "_ListRanks":
        candidates = [each.recalled.candidate for each in ranked]
        ids = [each.chunk.id for each in candidates]
        return cls(
            _ranks(ids, [each.dense for each in candidates]),
            _ranks(ids, [each.sparse for each in candidates]),
            _ranks(ids, [each.rerank for each in ranked]),
            {chunk_id: rank for rank, chunk_id in enumerate(ids, 1)},
        )


def _ranks(ids: Sequence[str], scores: Sequence[float | None]) -> dict[str, int]:
    listed = sorted(
        (-score, chunk_id) for chunk_id, score in zip(ids, scores, strict=True) if score is not None
    )
    return {chunk_id: rank for rank, (_, chunk_id) in enumerate(listed, 1)}


def _place(fused: Fused, rank: int, lists: _ListRanks) -> Place:
    recalled = fused.recalled
    candidate = recalled.candidate
    chunk_id = candidate.chunk.id
    return Place(
        rank=rank,
        chunk_id=chunk_id,
        score=fused.score,
        scores=Scores(
            dense=candidate.dense,
            sparse=candidate.sparse,
            recall=recalled.score,
            rerank=fused.rerank,
        ),
        truncated=fused.truncated,
        explanation=Explanation(
            dense_rank=lists.dense.get(chunk_id),
            sparse_rank=lists.sparse.get(chunk_id),
            recall_rank=recalled.rank,
            rerank_rank=lists.rerank.get(chunk_id),
            fused_rank=lists.fused[chunk_id],
            moved=recalled.rank - lists.fused[chunk_id],
        ),
    )


def result_of(place: Place, chunks: Mapping[str, Chunk], *, explain: bool) -> Result:
    """A place as it goes out, with its passage and source.

    Args:
        place: Whose own chunk is there.
        chunks: By id; what `more` names and is not there is left out: it was deleted meanwhile.
        explain: Whether to say how it got its rank.
    """
    chunk = chunks[place.chunk_id]
    return Result(
        rank=place.rank,
        score=place.score,
        document_id=chunk.document_id,
        chunk_id=chunk.id,
        name=chunk.name,
        title=chunk.title,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        headings=list(chunk.headings),
        lead=chunk.lead,
        metadata=chunk.metadata,
        truncated=place.truncated,
        recall_rank=place.explanation.recall_rank,
        scores=place.scores,
        explanation=place.explanation if explain else None,
        more=[
            result_of(each, chunks, explain=explain)
            for each in place.more
            if each.chunk_id in chunks
        ],
    )
