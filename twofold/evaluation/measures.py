"""How good an order is: the measures of information retrieval, by ir-measures.

MacAvaney, Macdonald and Ounis, "Streamlining Evaluation with ir-measures", ECIR 2022. The values
are those of trec_eval; nDCG takes the relevance itself as gain (Järvelin and Kekäläinen, TOIS
2002).
"""

from collections.abc import Mapping
from typing import TypeAlias

import ir_measures
from ir_measures import RR, Measure, Qrel, R, ScoredDoc, Success, nDCG

from twofold.evaluation.judgements import Run
from twofold.evaluation.report import MAIN

MEASURES: dict[str, Measure] = {
    MAIN: nDCG @ 10,
    "MRR@10": RR @ 10,
    "recall@10": R @ 10,
    "recall@100": R @ 100,
    "success@1": Success @ 1,
    "success@5": Success @ 5,
}
"""By the names that are shown. MRR: the mean of the reciprocal rank of the first answer."""

Values: TypeAlias = dict[str, dict[str, float]]
"""By the name of the measure, what each query got."""


def measure(relevant: Mapping[str, Mapping[str, int]], run: Run) -> Values:
    """Every measure of every judged query; a query without results gets 0.

    Args:
        relevant: By query, documents and how relevant they are.
        run: By query, documents in their order.
    """
    qrels = [
        Qrel(query_id, document, gain)
        for query_id, documents in relevant.items()
        for document, gain in documents.items()
    ]
    scored = [
        ScoredDoc(query_id, document, -float(rank))
        for query_id, documents in run.items()
        for rank, document in enumerate(documents)
    ]
    names = {value: name for name, value in MEASURES.items()}
    values: Values = {name: dict.fromkeys(relevant, 0.0) for name in MEASURES}
    for metric in ir_measures.iter_calc(list(names), qrels, scored):
        values[names[metric.measure]][metric.query_id] = float(metric.value)
    return values
