"""From what was asked and answered to a report: measured, compared, judged."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from twofold.evaluation import replay
from twofold.evaluation.judgements import Judgements, Run
from twofold.evaluation.latency import Latency, first_stage_ms, latency, second_stage_ms
from twofold.evaluation.measures import Values, measure
from twofold.evaluation.moves import Moves, count_moves, moved, overtakers
from twofold.evaluation.observe import Defaults, Observation, Passage, Timed
from twofold.evaluation.replay import Mix
from twofold.evaluation.report import (
    MAIN,
    Conclusion,
    Difference,
    QueryRow,
    Report,
    Row,
    Server,
    Stage,
)
from twofold.evaluation.significance import compare
from twofold.evaluation.verdict import Verdict, absent, judge
from twofold.evaluation.wording import counted

EXTREMES = 5
"""Queries that are shown as helped or hurt most."""


@dataclass(frozen=True)
class Evaluation:
    """What was asked and answered, before it is judged.

    Attributes:
        relevant: By query, ids of documents and how well they answer.
        names: Of documents, by id.
        depths: Of the second stage, ascending, the default among them; none without one.
    """

    judgements: Judgements
    relevant: Mapping[str, Mapping[str, int]]
    names: Mapping[str, str]
    observations: Sequence[Observation]
    defaults: Defaults
    depths: Sequence[int]
    seed: int

    def report(
        self, *, collection: str, server: Server, notes: Sequence[str], made_at: datetime
    ) -> Report:
        """Measure, compare and judge."""
        runs = dict(self._runs())
        values = {key: measure(self.relevant, run) for key, run in runs.items()}
        first, both = values["first", None], values.get(("fused", self.defaults.depth))
        per_query = list(self._per_query(runs, first, both or first))
        ranked = sorted(per_query, key=lambda row: (row.difference, row.id))
        return Report(
            name=self.judgements.name,
            collection=collection,
            synthetic=self.judgements.synthetic,
            verdict=self._verdict(first, both),
            queries=len(self.relevant),
            judgements=len(self.judgements.rows),
            documents=len(self.names),
            rows=[*self._rows(values, first), *self._run_rows(first)],
            stages=dict(self._stages()),
            moves=self._moves(runs) if both else None,
            helped=[row.id for row in reversed(ranked[-EXTREMES:]) if row.difference > 0],
            hurt=[row.id for row in ranked[:EXTREMES] if row.difference < 0],
            per_query=per_query,
            replayed=(sum(map(replay.agrees, self.observations)), len(self.observations)),
            notes=[*notes, *self._notes()],
            server=server,
            seed=self.seed,
            made_at=made_at,
        )

    def _runs(self) -> Iterator[tuple[tuple[Stage, int | None], Run]]:
        """Every way to search, out of the same candidates."""
        seen: dict[str, list[Passage]] = {
            each.query_id: each.passages for each in self.observations
        }
        yield ("dense", None), {key: replay.documents(replay.dense(it)) for key, it in seen.items()}
        yield ("bm25", None), {key: replay.documents(replay.sparse(it)) for key, it in seen.items()}
        yield ("first", None), {key: replay.documents(it) for key, it in seen.items()}
        mix = Mix.of(self.defaults.method)
        both: list[tuple[Stage, Mix]] = [("rerank", mix._replace(weight=1.0)), ("fused", mix)]
        for stage, weights in both:
            for depth in self.depths:
                yield (
                    (stage, depth),
                    {
                        key: replay.documents(replay.fused(it, depth=depth, mix=weights))
                        for key, it in seen.items()
                    },
                )

    def _rows(
        self, values: Mapping[tuple[Stage, int | None], Values], first: Values
    ) -> Iterator[Row]:
        reranks = self.depths and self.defaults.reranks
        default = ("fused", self.defaults.depth) if reranks else ("first", None)
        for (stage, depth), found in values.items():
            yield Row(
                name=title(stage, depth),
                stage=stage,
                depth=depth,
                default=(stage, depth) == default,
                measures=_means(found),
                against_first=None if stage == "first" else self._difference(found, first),
                latency=self._latency(stage, depth),
            )

    def _run_rows(self, first: Values) -> Iterator[Row]:
        """What other systems answered; their documents are named as in the judgements."""
        for name, run in self.judgements.runs.items():
            found = measure(self.judgements.relevant(), run)
            yield Row(
                name=name,
                stage="run",
                measures=_means(found),
                against_first=self._difference(found, first),
            )

    def _difference(self, second: Values, first: Values) -> Difference:
        return Difference.of(compare(self._values(second), self._values(first), seed=self.seed))

    def _values(self, values: Values) -> list[float]:
        """nDCG@10 of each query, always in the same order."""
        return [values[MAIN][query_id] for query_id in self.relevant]

    def _verdict(self, first: Values, both: Values | None) -> Conclusion:
        verdict = absent()
        if both is not None:
            cost = self._second_stage(self.defaults.depth)
            verdict = judge(
                self._values(both),
                self._values(first),
                cost_ms=cost.p50 if cost else None,
                seed=self.seed,
            )
        return Conclusion(kind=verdict.kind, sentence=self._said(verdict))

    def _said(self, verdict: Verdict) -> str:
        if self.judgements.synthetic is None:
            return verdict.sentence
        return f"On synthetic queries, which nobody asked: {verdict.sentence}"

    def _timed(self) -> list[Timed]:
        return [each.timed for each in self.observations if each.timed is not None]

    def _second_stage(self, depth: int) -> Latency | None:
        return latency(second_stage_ms(each) for each in self._timed() if each.depth == depth)

    def _latency(self, stage: Stage, depth: int | None) -> Latency | None:
        timed = self._timed()
        if stage == "first":
            return latency(map(first_stage_ms, timed))
        if depth is None:
            return None  # one list alone was not asked for
        return latency(each.timings.total for each in timed if each.depth == depth)

    def _stages(self) -> Iterator[tuple[str, Latency]]:
        timed = self._timed()
        steps = {
            "query embedding": latency(each.timings.embed for each in timed),
            "recall": latency(each.timings.recall for each in timed),
            **{f"rerank {depth}": self._second_stage(depth) for depth in self.depths},
        }
        for name, found in steps.items():
            if found is not None:
                yield name, found

    def _moves(self, runs: Mapping[tuple[Stage, int | None], Run]) -> Moves:
        """How the documents among the scored passages moved."""
        depth = self.defaults.depth
        heads = {
            each.query_id: {passage.document_id for passage in each.passages[:depth]}
            for each in self.observations
        }
        return count_moves(
            runs["first", None], runs["fused", depth], heads, self.relevant, depth=depth
        )

    def _per_query(
        self, runs: Mapping[tuple[Stage, int | None], Run], first: Values, both: Values
    ) -> Iterator[QueryRow]:
        before, after = runs["first", None], runs.get(("fused", self.defaults.depth))
        for query_id, relevant in self.relevant.items():
            was = before.get(query_id, [])
            now = was if after is None else after.get(query_id, [])
            yield QueryRow(
                id=query_id,
                text=self.judgements.queries[query_id],
                first=round(first[MAIN][query_id], 4),
                both=round(both[MAIN][query_id], 4),
                documents=moved(relevant, was, now, self.names),
                overtaken_by=[
                    self.names.get(each, each) for each in overtakers(relevant, was, now)
                ],
            )

    def _notes(self) -> Iterator[str]:
        """What whoever reads the figures has to know."""
        unscored = [each for each in self.observations if each.rerank.status != "applied"]
        if self.depths and unscored:
            one = unscored[0].rerank
            yield (
                f"For {len(unscored)} of {len(self.observations)} queries the second stage did not "
                f"score all: {one.status}. {one.reason or ''} They count as they were answered."
            )
        if self.depths and not self._timed():
            yield (
                "No time could be measured: the server remembered these searches from before. It "
                "forgets them after ten minutes, or when it is started again."
            )
        agreed = sum(map(replay.agrees, self.observations))
        if agreed < len(self.observations):
            yield (
                f"{len(self.observations) - agreed} of {len(self.observations)} answers came in "
                "another order than their scores foretell, because documents changed meanwhile, "
                "or the reranker scores a passage by what else it is given, or a second stage that "
                "did not score all."
            )
        if self.judgements.left_out:
            left_out = counted(self.judgements.left_out, "query")
            yield f"Left out: {left_out} without a relevant document."


def title(stage: Stage, depth: int | None) -> str:
    """What people call a way to search."""
    names = {
        "dense": "dense",
        "bm25": "BM25",
        "first": "first stage",
        "rerank": "reranker alone",
        "fused": "both stages",
    }
    return names[stage] if depth is None else f"{names[stage]}, {depth}"


def _means(values: Values) -> dict[str, float]:
    return {name: round(sum(found.values()) / len(found), 4) for name, found in values.items()}
