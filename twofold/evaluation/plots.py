"""Quality against what it costs, as SVG that stands in a page and takes its colours."""

import io
import re
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twofold.evaluation.report import MAIN, Report, Row, Stage

INK = "#123456"
"""Stands for the colour of the text around it, and is replaced by it."""
COLOURS: dict[Stage, str] = {"first": "#8b5cf6", "fused": "#0ea5e9", "rerank": "#f59e0b"}
LISTS: dict[Stage, str] = {"dense": "--", "bm25": ":"}
_NAMES: dict[Stage, str] = {"fused": "both stages", "rerank": "reranker alone"}
_SIZE = (5.4, 3.6)


def by_latency(report: Report) -> str:
    """Each way to search by the time that it takes at the median, and the best for each time."""
    timed = [row for row in report.rows if row.latency is not None and row.stage in COLOURS]
    if not timed:
        return ""
    figure, axes = _axes("search at the median, ms")
    for stage in _NAMES:
        points = [(_ms(row), _quality(row), row) for row in timed if row.stage == stage]
        _series(axes, stage, points)
    first = [row for row in timed if row.stage == "first"]
    axes.plot(
        [_ms(row) for row in first],
        [_quality(row) for row in first],
        "s",
        color=COLOURS["first"],
        label="first stage",
    )
    best = frontier(timed)
    axes.step(
        [_ms(row) for row in best],
        [_quality(row) for row in best],
        where="post",
        color=INK,
        linewidth=0.8,
        alpha=0.6,
        label="frontier",
        zorder=0,
    )
    _mark_default(axes, [(_ms(row), row) for row in timed])
    axes.set_xlim(left=0)
    return _svg(figure, "latency")


def by_depth(report: Report) -> str:
    """What each depth of the second stage finds, beside the lists of the first."""
    if not any(row.stage in _NAMES for row in report.rows):
        return ""
    figure, axes = _axes("candidates that are reranked")
    first = _quality(report.first)
    for stage in _NAMES:
        points = [
            (float(row.depth or 0), _quality(row), row) for row in report.rows if row.stage == stage
        ]
        _series(axes, stage, [(0.0, first, report.first), *points])
    both = [row for row in report.rows if row.stage == "fused" and row.against_first is not None]
    axes.fill_between(
        [0.0, *(float(row.depth or 0) for row in both)],
        [first, *(first + row.against_first.low for row in both if row.against_first)],
        [first, *(first + row.against_first.high for row in both if row.against_first)],
        color=COLOURS["fused"],
        alpha=0.15,
        linewidth=0,
        label="95 % interval against the first stage",
    )
    for row in report.rows:
        if row.stage in LISTS:
            style = LISTS[row.stage]
            axes.axhline(_quality(row), color=INK, linewidth=0.8, linestyle=style, label=row.name)
    _mark_default(axes, [(float(row.depth or 0), row) for row in report.rows])
    axes.set_xlim(left=0)
    return _svg(figure, "depth")


def frontier(rows: Sequence[Row]) -> list[Row]:
    """The ways to search that no other beats in both quality and time, the fastest first."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (_ms(row), -_quality(row))):
        if not best or _quality(row) > _quality(best[-1]):
            best.append(row)
    return best


def _series(axes: Axes, stage: Stage, points: Sequence[tuple[float, float, Row]]) -> None:
    axes.plot(
        [x for x, _, _ in points],
        [y for _, y, _ in points],
        "o-",
        color=COLOURS[stage],
        markersize=4,
        linewidth=1.4,
        label=_NAMES[stage],
    )
    for x, y, row in points:
        if row.depth is not None:
            axes.annotate(
                str(row.depth),
                (x, y),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize=8,
                color=COLOURS[stage],
            )


def _mark_default(axes: Axes, rows: Sequence[tuple[float, Row]]) -> None:
    for x, row in rows:
        if row.default:
            axes.plot(
                [x],
                [_quality(row)],
                "o",
                markersize=13,
                markerfacecolor="none",
                markeredgecolor=INK,
                label="default",
            )


def _axes(x: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(MAIN, color=INK)
    axes.tick_params(colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    return figure, axes


def _svg(figure: Figure, salt: str) -> str:
    """The picture alone, without what makes a file of it; the same every time."""
    figure.legend(loc="outside lower left", ncols=3, frameon=False, labelcolor=INK, fontsize=8)
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    svg = out.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return svg.replace(INK, "currentColor")


def _ms(row: Row) -> float:
    return row.latency.p50 if row.latency else 0.0


def _quality(row: Row) -> float:
    return row.measures[MAIN]
