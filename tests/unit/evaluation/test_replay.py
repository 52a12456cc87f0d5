"""The replay computes what the server would: held against the server's own formulas."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import fuse
from pipelines.ports import Candidate, Chunk, RerankOutcome, RerankProfile
from twofold.evaluation import replay
from twofold.evaluation.observe import Passage
from twofold.evaluation.replay import Mix
from twofold.schema import Fusion

# As scores come from models: 32 bits wide, with ties.
values = st.integers(-400, 1_000).map(lambda number: float(np.float32(number / 1_000)))
lists = st.lists(
    st.tuples(st.none() | values, st.none() | values.map(abs), st.none() | values.map(abs)),
    min_size=1,
    max_size=12,
)


def chunk(number: int) -> Chunk:
    return Chunk(
        id=f"c{number:02}",
        document_id=f"d{number % 5}",
        ordinal=number,
        text="",
        start=0,
        end=0,
        version=1,
        name="",
        sha256="",
    )


def candidates(made: list[tuple[float | None, float | None, float | None]]) -> list[Candidate]:
    """Each is in one list at least."""
    return [
        Candidate(chunk(number), 0.0 if dense is sparse is None else dense, sparse)
        for number, (dense, sparse, _) in enumerate(made)
    ]


def passages(found: list[Candidate], made, fusion="weighted") -> list[Passage]:
    """As an answer of the server shows them."""
    rerank = {f"c{number:02}": score for number, (_, _, score) in enumerate(made)}

    def ranks(column: str) -> dict[str, int]:
        listed = [each for each in found if getattr(each, column) is not None]
        listed.sort(key=lambda each: (-getattr(each, column), each.chunk.id))
        return {each.chunk.id: rank for rank, each in enumerate(listed, 1)}

    dense, sparse = ranks("dense"), ranks("sparse")
    return [
        Passage(
            each.candidate.chunk.id,
            each.candidate.chunk.document_id,
            "",
            each.candidate.dense,
            each.candidate.sparse,
            dense.get(each.candidate.chunk.id),
            sparse.get(each.candidate.chunk.id),
            each.score,
            each.rank,
            rerank[each.candidate.chunk.id],
        )
        for each in fuse.rank_recall(found, fusion)
    ]


@settings(max_examples=200, deadline=None)
@given(lists, st.integers(1, 12), st.sampled_from(["weighted", "rrf", "dbsf"]))
def test_shorter_lists_and_other_fusions_give_the_order_of_the_first_stage(made, limit, fusion):
    found = candidates(made)
    shown = passages(found, made)
    cut = [
        Candidate(
            each.chunk,
            each.dense if (one.dense_rank or 99) <= limit else None,
            each.sparse if (one.sparse_rank or 99) <= limit else None,
        )
        for one in shown
        for each in found
        if each.chunk.id == one.chunk_id
        and min(one.dense_rank or 99, one.sparse_rank or 99) <= limit
    ]
    expected = fuse.rank_recall(cut, fusion)
    replayed = replay.recalled(shown, limit=limit, fusion=fusion, trust=fuse.TRUST)
    scores = [each.recall for each in replayed]
    assert scores == pytest.approx([each.score for each in expected], abs=2e-6)
    if fusion == "weighted":
        assert [each.chunk_id for each in replayed] == [
            each.candidate.chunk.id for each in expected
        ]


@settings(max_examples=300, deadline=None)
@given(lists, st.integers(1, 12), st.sampled_from([0.0, 0.3, 0.6, 1.0]), st.booleans())
def test_every_depth_and_weight_gives_the_order_of_the_server(made, depth, weight, calibrated):
    shown = passages(candidates(made), made)
    recalled = fuse.rank_recall(candidates(made))
    scores = [np.nan if each.rerank is None else each.rerank for each in shown[:depth]]
    outcome = RerankOutcome("partial", np.array(scores, np.float32), np.zeros(len(scores), bool))
    profile = RerankProfile(depth=depth, weight=weight, calibrated=calibrated)
    expected = fuse.rank_fused(recalled, outcome, profile=profile, fusion=Fusion())
    replayed = replay.fused(shown, depth=depth, mix=Mix(weight, calibrated))
    assert [each.chunk_id for each in replayed] == [
        each.recalled.candidate.chunk.id for each in expected
    ]


def test_a_document_stands_where_its_best_passage_does():
    made = [(0.9, None, None), (0.8, None, None), (0.7, None, None)]
    shown = [
        replace(each, document_id=name)
        for each, name in zip(passages(candidates(made), made), "aba", strict=True)
    ]
    assert replay.documents(shown) == ["a", "b"]
