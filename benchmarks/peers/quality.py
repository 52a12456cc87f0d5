"""How well each contestant ranks: nDCG@10 with the first stage alone and with both."""

import ir_measures
from ir_measures import ScoredDoc, nDCG

from benchmarks.peers.judged import Judged
from benchmarks.peers.processes import Running

MEASURE = nDCG @ 10
LIMIT = 10
STAGES = {"first": False, "both": True}
"""By name, whether the second stage is asked for."""


def judge(contestant: Running, judged: Judged) -> dict[str, float]:
    """Fill it, put every question with and without the second stage, and judge the answers."""
    contestant.do("fill", documents=judged.documents)
    figures = {}
    for stage, rerank in STAGES.items():
        answer = contestant.do(
            "ask", queries=list(judged.queries.values()), limit=LIMIT, rerank=rerank
        )
        run = [
            ScoredDoc(query, document, -float(rank))
            for query, found in zip(judged.queries, answer["found"], strict=True)
            for rank, document in enumerate(found)
        ]
        figures[stage] = ir_measures.calc_aggregate([MEASURE], judged.qrels, run)[MEASURE]
    return {stage: round(figure, 4) for stage, figure in figures.items()}
