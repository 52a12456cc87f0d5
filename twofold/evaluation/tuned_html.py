"""A tuning as one page that needs nothing from outside."""

from collections.abc import Iterator
from html import escape

from twofold.evaluation.report import MAIN
from twofold.evaluation.shrunk import Trial, VectorsReport
from twofold.evaluation.terminal import difference
from twofold.evaluation.tune import FOLDS
from twofold.evaluation.tuned import Candidate, TuneReport
from twofold.evaluation.webpage import cell, page_of, synthetic, table
from twofold.evaluation.wording import counted, decimal


def page(report: TuneReport) -> str:
    """The whole page."""
    return page_of(f"Tuned: {report.name}", _parts(report))


def _parts(report: TuneReport) -> Iterator[str]:
    yield (
        f'<p class="dim">{counted(report.queries, "query")} of the collection '
        f"“{escape(report.collection)}”, {report.budget_ms:g} ms at the {report.percentile:g}th "
        f"percentile, {counted(report.grid, 'choice')}, {report.made_at:%Y-%m-%d %H:%M} UTC</p>"
    )
    yield from synthetic(report.synthetic)
    helps = " helps" if report.decision == "tuned" else ""
    yield f'<p class="verdict{helps}">{escape(report.sentence)}</p>'
    yield (
        f"<p><b>Chosen:</b> {escape(report.chosen.described)}<br>"
        f"Default: {escape(report.default.described)}</p>"
    )
    yield "<h2>The best of each depth, on all queries</h2>"
    heads = ["", MAIN, f"p{report.percentile:g} ms", ""]
    yield table(heads, map(_candidate, report.best_by_depth))
    yield "<h2>Vectors</h2>"
    yield from _vectors(report.vectors)
    yield "<h2>Settings</h2>"
    yield f"<pre>{escape(report.settings_file())}</pre>"
    yield "<h2>How this was measured</h2>"
    yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in _how(report))}</ul>"


def _candidate(each: Candidate) -> str:
    ms = "" if each.ms is None else f"{each.ms:.0f}"
    fits = "" if each.fits else "over the budget"
    cells = map(cell, (each.described, decimal(each.score), ms, fits))
    return f"<tr>{''.join(cells)}</tr>"


def _vectors(report: VectorsReport) -> Iterator[str]:
    yield f"<p>{escape(report.sentence)}</p>"
    if report.trials:
        heads = ["", "bytes in memory", MAIN, "against those there are"]
        yield table(heads, map(_trial, report.trials))
    if report.command:
        yield f"<p>To have it so: <code>{escape(report.command)}</code></p>"


def _trial(each: Trial) -> str:
    against = difference(each.against_whole) if each.against_whole else "–"
    cells = (each.name, f"{each.bytes_in_memory:,}", decimal(each.score), against)
    kind = ' class="default"' if each.chosen else ""
    return f"<tr{kind}>{''.join(map(cell, cells))}</tr>"


def _how(report: TuneReport) -> Iterator[str]:
    server = report.server
    yield f"Twofold {server.version}, embedder {server.embedder}, reranker {server.reranker}."
    yield (
        f"{MAIN} of the default {decimal(report.default_score)}; of what {FOLDS}-fold "
        f"cross-validation chose {decimal(report.held_out)}: {difference(report.against_default)}."
    )
    if report.reranking is not None:
        yield f"With reranking against without, both chosen so: {difference(report.reranking)}."
    yield f"Choices are judged on queries that did not choose them; seed {report.seed}."
    yield from report.notes
