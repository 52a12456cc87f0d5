"""How two generations differ, by hand."""

import math

import pytest

from pipelines.comparison import compare, ndcg, overlap
from twofold.schema import ComparedQuery


def test_the_gain_of_a_place_shrinks_with_the_logarithm_of_its_rank():
    # Of two relevant documents one is first and one is third: (1 + 1/2) / (1 + 1/log2(3)).
    assert ndcg(["a", "x", "b"], ["a", "b"]) == pytest.approx(1.5 / (1 + 1 / math.log2(3)))
    assert ndcg(["a", "b"], ["b", "a"]) == 1.0
    assert ndcg([], ["a"]) == 0.0
    assert ndcg([f"x{number}" for number in range(10)] + ["a"], ["a"]) == 0.0


def test_the_overlap_is_a_share_of_the_longer_list():
    assert overlap(["a", "b"], ["b", "c"]) == 0.5
    assert overlap(["a"], ["a", "b", "c", "d"]) == 0.25
    assert overlap([], []) == 1.0


@pytest.mark.anyio
async def test_queries_without_judgements_count_for_the_overlap_alone():
    orders = {"judged": (["a"], ["x", "a"]), "open": (["b"], ["b"])}

    async def old(query: str) -> list[str]:
        return orders[query][0]

    async def new(query: str) -> list[str]:
        return orders[query][1]

    queries = [ComparedQuery(query="judged", relevant=["a"]), ComparedQuery(query="open")]
    found = await compare(queries, old, new)
    assert (found.queries, found.judged, found.overlap_10) == (2, 1, 0.75)
    assert found.old is not None
    assert found.new is not None
    assert (found.old.ndcg_10, found.new.ndcg_10) == (1.0, round(1 / math.log2(3), 6))
