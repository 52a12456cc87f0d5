"""The vectors' part of `twofold tune`: what was tried, what is recommended, how it is done."""

from collections.abc import Iterator, Sequence
from functools import partial

from pydantic import BaseModel, Field
from rich.console import Console, RenderableType
from rich.table import Table as Display
from rich.text import Text

from twofold.client import Client
from twofold.evaluation.grid import Choice
from twofold.evaluation.prepare import Prepared
from twofold.evaluation.report import MAIN, Difference
from twofold.evaluation.shrink import Shrunk, shrink
from twofold.evaluation.significance import compare
from twofold.evaluation.smaller import Kept, Plan, Scores, Wanted, try_out
from twofold.evaluation.terminal import difference
from twofold.evaluation.verdict import FEWEST, WORTH
from twofold.evaluation.wording import decimal
from twofold.progress import bars
from twofold.render import plain
from twofold.schema import Quantization


class Trial(BaseModel):
    """A kind of vectors, and what all queries get with them.

    Attributes:
        against_whole: In nDCG@10 against the vectors as they are; null: these are they.
    """

    dimensions: int
    quantization: Quantization | None
    bytes_in_memory: int = Field(description="For each passage.")
    score: float
    against_whole: Difference | None
    chosen: bool

    @property
    def name(self) -> str:
        """As people say it."""
        return str(Kept(self.dimensions, self.quantization))


class VectorsReport(BaseModel):
    """What was found about the size of vectors.

    Attributes:
        trials: What was tried, the vectors as they are before all others.
        held_out: Choices on queries that did not choose, against the vectors as they are.
        command: What gives the collection such dimensions; null: it has them.
        settings: Those of the server that give it such copies, by name.
        notes: What was not tried, and why.
    """

    sentence: str
    trials: list[Trial]
    held_out: Difference | None
    command: str | None
    settings: dict[str, str] = Field(default_factory=dict)
    notes: list[str]


def shrunk(
    client: Client,
    ready: Prepared,
    console: Console,
    *,
    choice: Choice,
    wanted: Wanted,
    parts: Sequence[Sequence[int]],
    seed: int,
) -> VectorsReport:
    """Try smaller vectors with what was chosen of everything else.

    Args:
        client: Of the server.
        ready: Queries and the collection that they are asked of.
        console: For the progress.
        choice: How it is searched.
        wanted: What is to be tried.
        parts: Of the queries, for the cross-validation.
        seed: Of the tests.

    Raises:
        InvalidRequest: The model has no vectors of a length that was named.
    """
    plan = Plan.of(client, ready, wanted)
    if len(plan.trials) == 1:
        sentence = f"Vectors stay as they are: {plan.trials[0]}."
        return VectorsReport(
            sentence=sentence,
            trials=[],
            held_out=None,
            command=None,
            notes=plan.notes,
        )
    with bars(console) as progress:
        total = len(plan.trials) * len(ready.judgements.queries)
        task = progress.add_task("trying smaller vectors", total=total)
        advance = partial(progress.advance, task)
        scores = try_out(client, ready, choice, plan.trials, advance)
    whole = plan.trials[0]
    found = shrink(scores, whole, parts, seed=seed)
    return VectorsReport(
        sentence=_sentence(found, whole),
        trials=list(_trials(scores, whole, found.kept, seed)),
        held_out=_difference(found),
        command=_command(ready.collection, found.kept, whole),
        settings=_settings(found.kept) if plan.qdrant else {},
        notes=[*plan.notes, *_elsewhere(found.kept, plan)],
    )


def rendered(report: VectorsReport) -> Iterator[RenderableType]:
    """The sentence, the table, and what is to be done."""
    smaller = any(each.chosen for each in report.trials[1:])
    yield Text(plain(report.sentence), style="bold green" if smaller else "")
    if report.trials:
        yield Text()
        yield _table(report)
    if report.command:
        yield Text(f"To have it so: {report.command}", style="bold")


def _table(report: VectorsReport) -> Display:
    table = Display(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("vectors, on all queries")
    for heading in ("bytes a passage", MAIN, "against those there are"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in report.trials:
        table.add_row(
            each.name,
            f"{each.bytes_in_memory:,}",
            decimal(each.score),
            difference(each.against_whole) if each.against_whole else "–",
            style="bold" if each.chosen else None,
        )
    return table


def _trials(scores: Scores, whole: Kept, chosen: Kept, seed: int) -> Iterator[Trial]:
    for kept, found in scores.items():
        against = None if kept == whole else compare(found, scores[whole], seed=seed)
        yield Trial(
            dimensions=kept.dimensions,
            quantization=kept.quantization,
            bytes_in_memory=kept.size,
            score=round(sum(found) / len(found), 4),
            against_whole=Difference.of(against) if against else None,
            chosen=kept == chosen,
        )


def _difference(found: Shrunk) -> Difference | None:
    return Difference.of(found.held_out) if found.held_out else None


def _command(collection: str, kept: Kept, whole: Kept) -> str | None:
    if kept.dimensions == whole.dimensions:
        return None
    return f"twofold collections rebuild {collection} --dimensions {kept.dimensions}"


def _settings(kept: Kept) -> dict[str, str]:
    return {"TWOFOLD_QDRANT_QUANTIZATION": kept.quantization} if kept.quantization else {}


def _elsewhere(kept: Kept, plan: Plan) -> Iterator[str]:
    """What is for another server than this one."""
    if kept.quantization and not plan.qdrant:
        yield (
            f"Copies ({kept.quantization}) take a Qdrant server, with "
            f"TWOFOLD_QDRANT_QUANTIZATION={kept.quantization}; this server has none."
        )


def _sentence(found: Shrunk, whole: Kept) -> str:
    if found.held_out is None:
        return (
            f"Vectors stay as they are: {FEWEST} queries are needed to tell whether smaller ones "
            "would do."
        )
    figures = f"{difference(Difference.of(found.held_out))} on held-out queries"
    if found.kept != whole:
        return (
            f"Smaller vectors will do: {found.kept}, {found.kept.size:,} bytes in memory for each "
            f"passage instead of {whole.size:,}; choosing so gives {figures}."
        )
    if found.smallest == whole:
        return (
            "Vectors stay as they are: with each kind of smaller ones there is a loss, or one of "
            f"{decimal(WORTH)} cannot be ruled out."
        )
    return f"Vectors stay as they are: choosing smaller ones gives {figures}."
