"""What the operator says for requests that leave it open."""

from pipelines.defaults import NOTHING_SAID, SearchDefaults
from twofold.schema import SearchRequest

SAID = SearchDefaults(recall_limit=40, recall_fusion="rrf", depth=15, weight=0.3)


def asked(**options: object) -> SearchRequest:
    return SearchRequest.model_validate({"query": "rye", **options})


def test_what_a_request_leaves_open_is_as_the_operator_says():
    filled = SAID.fill(asked())
    assert (filled.recall.limit, filled.recall.fusion) == (40, "rrf")
    assert (filled.rerank.depth, filled.fusion.weight) == (15, 0.3)


def test_what_a_request_says_stays_though_it_be_what_the_schema_would_say():
    request = asked(
        recall={"limit": 100, "fusion": "weighted"}, rerank={"depth": 50}, fusion={"weight": 0.9}
    )
    assert SAID.fill(request) == request


def test_an_operator_who_says_nothing_changes_nothing():
    assert NOTHING_SAID.fill(asked()) == asked()


def test_a_depth_of_0_leaves_the_second_stage_out_unless_somebody_asks_for_it():
    none = SearchDefaults(depth=0)
    assert not none.fill(asked()).rerank.enabled
    for said in ({"enabled": True}, {"depth": 10}, {"required": True}):
        assert none.fill(asked(rerank=said)).rerank.enabled
