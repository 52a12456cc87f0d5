"""What a person sees of a search: the passage around the words that were asked for."""

import io

import pytest
from rich.console import Console

from twofold.render import results_table, timings_line
from twofold.schema import (
    Explanation,
    Method,
    RerankReport,
    Result,
    Scores,
    SearchResponse,
    Timings,
    Trust,
)

FILLER = "Nothing of interest is said here. " * 30


def response(text: str, **fields: object) -> SearchResponse:
    result = Result(
        rank=1,
        score=0.5,
        document_id="d",
        chunk_id="c",
        name="yew.md",
        text=text,
        start=0,
        end=len(text),
        recall_rank=1,
        scores=Scores(recall=0.5),
        **fields,
    )
    return SearchResponse(
        results=[result],
        rerank=RerankReport(status="disabled", scored=0, depth=0, ms=0),
        timings_ms=Timings(),
        candidates=1,
    )


def shown(what: object, *, color: bool = False) -> str:
    target = io.StringIO()
    system = "standard" if color else None
    Console(file=target, width=100, force_terminal=color, color_system=system).print(what)
    return target.getvalue()


def test_of_a_long_passage_the_part_with_the_words_of_the_query_is_shown():
    text = FILLER + "The stave dries for a year before tillering. " + FILLER
    out = " ".join(shown(results_table(response(text), "When is a dried stave tillered?")).split())
    assert "stave dries for a year before tillering" in out
    assert len(out) < len(text) / 2
    assert out.count("…") == 2


def test_words_of_the_query_are_emphasised_with_their_inflections_and_common_ones_are_not():
    out = shown(results_table(response("The staves dried."), "the stave"), color=True)
    assert "\x1b[1;33mstaves\x1b[0m" in out
    assert "\x1b[1;33mThe" not in out


@pytest.mark.parametrize("query", ["", "the of", "?!", "((", "道"])
def test_any_query_can_be_emphasised(query):
    assert "道 (( ok" in shown(results_table(response("道 (( ok"), query))


def test_a_long_passage_without_spaces_is_cut_too():
    assert shown(results_table(response("道" * 2_000), "道")).count("道") < 500


def test_a_passage_that_the_reranker_saw_only_in_part_says_so():
    out = shown(results_table(response("Long.", truncated=True)))
    assert "saw only the beginning" in out


def test_nothing_found_is_said():
    nothing = response("x").model_copy(update={"results": []})
    assert shown(results_table(nothing)) == "Nothing found.\n"


def test_every_stage_has_its_time_even_when_nothing_took_any():
    out = shown(timings_line(response("x")))
    for stage in ("embed", "recall", "queue", "rerank", "fuse", "total"):
        assert stage in out
    assert "rerank disabled" in out


def test_an_explanation_shows_the_rank_in_every_order_and_the_formulas():
    ranks = Explanation(dense_rank=3, recall_rank=2, rerank_rank=1, fused_rank=1, moved=1)
    explained = response("x", explanation=ranks)
    explained.method = Method(
        recall="min_max(dense)",
        fusion="0.5 * rerank + 0.5 * recall",
        embedder="m",
        query_instruction=None,
        rerank_instruction=None,
        recall_limit=100,
        recall_fusion="weighted",
        depth=20,
        weight=0.6,
        calibrated=True,
        trust=Trust(dense=2.0, sparse=4.0, sparse_weight=0.5),
        query_cached=False,
    )
    out = shown(results_table(explained))
    assert "dense 3 · bm25 – · first stage 2 · rerank 1 · fused 1" in " ".join(out.split())
    assert "score = 0.5 * rerank + 0.5 * recall" in shown(timings_line(explained))


def test_further_passages_of_a_document_stand_below_its_best():
    [other] = response("The second best.").results
    out = shown(results_table(response("The best.", more=[other])))
    assert out.index("The best.") < out.index("also 0.500 The second best.")


def test_scores_from_memory_are_counted():
    report = RerankReport(status="applied", scored=5, depth=5, ms=1.0, cached=3)
    out = shown(timings_line(response("x").model_copy(update={"rerank": report})))
    assert "3 of them before" in out
