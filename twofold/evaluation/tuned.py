"""`twofold tune` from queries to what it found: its JSON, and how it looks in a terminal."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from pydantic import BaseModel, Field
from rich.console import Console, Group, RenderableType
from rich.table import Table as Display
from rich.text import Text

from twofold.client import Client
from twofold.evaluation.grid import DEPTHS, LIMITS, Choice, Table, choices, scores
from twofold.evaluation.prepare import Prepared
from twofold.evaluation.report import MAIN, Difference, Server
from twofold.evaluation.settings_file import file_text, settings_of
from twofold.evaluation.shrunk import VectorsReport, shrunk
from twofold.evaluation.shrunk import rendered as rendered_vectors
from twofold.evaluation.smaller import Wanted
from twofold.evaluation.terminal import difference
from twofold.evaluation.tune import FOLDS, Costs, Decision, described, parts_of, tune
from twofold.evaluation.wording import counted, decimal
from twofold.progress import bars
from twofold.render import plain
from twofold.schema import RecallFusion

BOTH = 2
"""Lists of the first stage, which may have nothing in common."""

_STYLE = {"tuned": "bold green", "default": "bold", "without": "bold yellow"}


class Candidate(BaseModel):
    """A choice, what it takes, and its mean over all queries, those that chose it included.

    Attributes:
        ms: At the percentile of the budget; null: it was not measured.
        fits: Whether that is within the budget.
    """

    limit: int
    fusion: RecallFusion
    depth: int
    weight: float
    ms: float | None
    fits: bool
    score: float
    described: str


class TuneReport(BaseModel):
    """Everything that was found.

    Attributes:
        held_out: Mean nDCG@10 of the choices on queries that did not choose.
        default_score: The same of the default.
        best_by_depth: The best choice of each depth.
        folds: What each part of the cross-validation would have chosen.
    """

    name: str
    collection: str
    synthetic: str | None
    queries: int
    budget_ms: float
    percentile: float
    decision: Decision
    sentence: str
    chosen: Candidate
    default: Candidate
    main: str = MAIN
    held_out: float
    default_score: float
    against_default: Difference
    reranking: Difference | None
    best_by_depth: list[Candidate]
    folds: list[str]
    grid: int = Field(description="Choices that were compared.")
    vectors: VectorsReport
    settings: dict[str, str]
    notes: list[str]
    server: Server
    seed: int
    made_at: datetime

    def settings_file(self) -> str:
        """The settings as a server reads them, with where they came from."""
        return file_text(self.settings, self._comments())

    def _comments(self) -> Iterator[str]:
        yield (
            f"By twofold tune on {self.made_at:%Y-%m-%d}: {self.name}, "
            f"{counted(self.queries, 'query')}, {self.budget_ms:g} ms at the "
            f"{self.percentile:g}th percentile."
        )
        if self.synthetic:
            yield "SYNTHETIC QUERIES: nobody asked them."
        yield self.sentence
        yield self.vectors.sentence
        if self.vectors.command:
            yield f"A collection is made so by: {self.vectors.command}"
        yield (
            f"Measured with {self.server.embedder} and {self.server.reranker}; another model, "
            "other documents or another machine want another tuning."
        )


def tuned(
    client: Client,
    ready: Prepared,
    console: Console,
    *,
    budget_ms: float,
    percentile: float,
    wanted: Wanted,
    seed: int,
    made_at: datetime,
) -> TuneReport:
    """Ask every query, compare every choice, and choose.

    Args:
        client: Of the server.
        ready: Queries and the collection that they are asked of.
        console: For the progress.
        budget_ms: What a search may take.
        percentile: At which it may.
        wanted: Smaller vectors that are to be tried.
        seed: Of everything that is drawn by chance.
        made_at: Now.

    Raises:
        InvalidRequest: Nothing fits the budget, the queries are too few, or the model has no
            vectors of a length that was named.
    """
    defaults = ready.defaults
    default = Choice.default(defaults.method, defaults.depth if defaults.reranks else 0)
    limits = sorted({*LIMITS, default.limit})
    depths = sorted({*DEPTHS, defaults.depth}) if defaults.depth else []
    observations = ready.observe(
        client, console, depths=depths, limits=limits, whole=BOTH * max(limits), seed=seed
    )
    with bars(console) as progress:
        task = progress.add_task("comparing", total=len(observations))
        grid = choices(default, limits=limits, depths=depths)
        table = scores(observations, ready.relevant, grid, partial(progress.advance, task))
    costs = Costs.of((each.timed for each in observations if each.timed), percentile)
    tuning = tune(table, costs, default, budget_ms=budget_ms, seed=seed)
    vectors = shrunk(
        client,
        ready,
        console,
        choice=tuning.chosen,
        wanted=wanted,
        parts=parts_of(len(observations), seed),
        seed=seed,
    )
    shown = _Shown(table, costs, budget_ms)
    synthetic = ready.judgements.synthetic
    return TuneReport(
        name=ready.judgements.name,
        collection=ready.collection,
        synthetic=synthetic,
        queries=len(observations),
        budget_ms=budget_ms,
        percentile=percentile,
        decision=tuning.decision,
        sentence=f"{'On synthetic queries, which nobody asked: ' if synthetic else ''}"
        f"{tuning.sentence}",
        chosen=shown(tuning.chosen),
        default=shown(default),
        held_out=round(tuning.held_out, 4),
        default_score=round(tuning.default_score, 4),
        against_default=Difference.of(tuning.against_default),
        reranking=Difference.of(tuning.reranking) if tuning.reranking else None,
        best_by_depth=shown.best_by_depth(),
        folds=[described(choice) for choice in tuning.folds],
        grid=len(grid),
        vectors=vectors,
        settings={**settings_of(tuning.chosen), **vectors.settings},
        notes=[*ready.notes, *vectors.notes],
        server=ready.server(client),
        seed=seed,
        made_at=made_at,
    )


@dataclass(frozen=True)
class _Shown:
    """Choices with what they take and what they give."""

    table: Table
    costs: Costs
    budget_ms: float

    def __call__(self, choice: Choice) -> Candidate:
        ms = self.costs(choice)
        return Candidate(
            **choice._asdict(),
            ms=None if ms is None else round(ms, 1),
            fits=ms is not None and ms <= self.budget_ms,
            score=round(self._mean(choice), 4),
            described=described(choice),
        )

    def best_by_depth(self) -> list[Candidate]:
        """The best choice of each depth, also of those that do not fit."""
        best: dict[int, Choice] = {}
        for choice in self.table:
            best[choice.depth] = max(best.get(choice.depth, choice), choice, key=self._mean)
        return [self(best[depth]) for depth in sorted(best)]

    def _mean(self, choice: Choice) -> float:
        values = self.table[choice]
        return sum(values) / len(values)


def rendered(report: TuneReport) -> RenderableType:
    """The whole tuning."""
    return Group(*_parts(report))


def _parts(report: TuneReport) -> Iterator[RenderableType]:
    yield Text(
        f"{plain(report.name)}: {counted(report.queries, 'query')}, {report.budget_ms:g} ms at "
        f"the {report.percentile:g}th percentile, {counted(report.grid, 'choice')}"
    )
    if report.synthetic:
        yield Text(f"SYNTHETIC: {plain(report.synthetic)}", style="bold magenta")
    yield Text(plain(report.sentence), style=_STYLE[report.decision])
    yield Text()
    yield Text(f"Chosen:  {report.chosen.described}", style="bold")
    yield Text(f"Default: {report.default.described}")
    yield Text(
        f"{MAIN} of the default {decimal(report.default_score)}; of what {FOLDS}-fold "
        f"cross-validation chose {decimal(report.held_out)}: {difference(report.against_default)}"
    )
    if report.reranking is not None:
        yield Text(
            f"With reranking against without, both chosen so: {difference(report.reranking)}"
        )
    yield Text()
    yield _by_depth(report)
    yield Text()
    yield from rendered_vectors(report.vectors)
    for note in report.notes:
        yield Text(f"Note: {plain(note)}", style="dim")


def _by_depth(report: TuneReport) -> Display:
    table = Display(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("best of each depth, on all queries")
    table.add_column(MAIN, justify="right", no_wrap=True)
    table.add_column(f"p{report.percentile:g} ms", justify="right", no_wrap=True)
    table.add_column("")
    for each in report.best_by_depth:
        table.add_row(
            each.described,
            decimal(each.score),
            "" if each.ms is None else f"{each.ms:.0f}",
            Text("" if each.fits else "over the budget", style="dim"),
        )
    return table
