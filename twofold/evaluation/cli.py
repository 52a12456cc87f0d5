"""`twofold eval` and `twofold tune`: the commands."""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from twofold.completing import collection_names
from twofold.errors import InvalidRequest
from twofold.options import AsJson
from twofold.schema import MAX_LIMIT

SourceArgument: TypeAlias = Annotated[
    Path | None,
    typer.Argument(
        help="A BEIR folder, TREC files, or a CSV with query and document_id.", show_default=False
    ),
]
Collection: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--collection",
        "-c",
        help="Search this one; default: one of its own, to which the documents are uploaded.",
        autocompletion=collection_names,
        show_default=False,
    ),
]
Url: TypeAlias = Annotated[
    str | None, typer.Option("--url", help="The server, as before the command.", show_default=False)
]
Split: TypeAlias = Annotated[
    str | None, typer.Option(help="Which judgements of a BEIR folder.", show_default=False)
]
Qrels: TypeAlias = Annotated[
    Path | None, typer.Option(help="Judgements of TREC, beside topics.", show_default=False)
]
HtmlFile: TypeAlias = Annotated[
    Path | None, typer.Option("--html", help="Write a report as a page here.", show_default=False)
]
Seed: TypeAlias = Annotated[int, typer.Option(help="Of everything that is drawn by chance.")]


def evaluate(
    context: typer.Context,
    source: SourceArgument = None,
    collection: Collection = None,
    depths: Annotated[
        str, typer.Option(help="Candidates of the second stage; the default's is added.")
    ] = "10,20,50",
    html: HtmlFile = None,
    as_json: AsJson = False,
    synthetic: Annotated[
        int | None,
        typer.Option(min=1, help="Make up so many queries from the documents.", show_default=False),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Write the made-up queries here as a CSV.", show_default=False),
    ] = None,
    split: Split = None,
    qrels: Qrels = None,
    run: Annotated[
        list[Path], typer.Option("--run", help="What another system answered; repeatable.")
    ] = [],  # noqa: B006 - typer reads it once
    seed: Seed = 0,
    url: Url = None,
) -> None:
    """Measure what each stage finds on your own questions, and whether reranking helps.

    Runs a server for the time of the command where none answers and none is named.
    """
    from twofold.evaluation.prepare import Source, prepare, require_extra
    from twofold.evaluation.server import serving

    require_extra("ir_measures", *(("matplotlib",) if html else ()))
    wanted = parse_depths(depths)
    judgements = Source(source, collection, split, qrels, run, synthetic, seed).plan()
    session = context.obj
    session.url = url or session.url
    with serving(session.client, session.err, named=session.named) as client:
        from twofold.evaluation.evaluate import Evaluation

        ready = prepare(client, judgements(client), collection, session.err)
        if save is not None:
            save_judgements(save, ready.judgements.queries, ready.relevant)
        depth = ready.defaults.depth
        ladder = sorted({*wanted, depth}) if depth else []
        evaluation = Evaluation(
            judgements=ready.judgements,
            relevant=ready.relevant,
            names=ready.names,
            observations=ready.observe(
                client,
                session.err,
                depths=ladder,
                limits=[ready.defaults.method.recall_limit],
                seed=seed,
            ),
            defaults=ready.defaults,
            depths=ladder,
            seed=seed,
        )
        report = evaluation.report(
            collection=ready.collection,
            server=ready.server(client),
            notes=ready.notes,
            made_at=datetime.now(UTC),
        )
    if html is not None:
        from twofold.evaluation.html import page

        html.write_text(page(report), "utf-8")
        session.err.print(f"Written: {html}", style="dim")
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        from twofold.evaluation.terminal import rendered

        session.show(rendered(report))


def tune(
    context: typer.Context,
    source: SourceArgument = None,
    budget_ms: Annotated[
        float, typer.Option("--budget-ms", min=1, help="What a search may take.")
    ] = 150.0,
    percentile: Annotated[
        float, typer.Option(min=1, max=100, help="Of the searches, so many keep the budget.")
    ] = 95.0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Write the settings here.")] = Path(
        "twofold.env"
    ),
    collection: Collection = None,
    dimensions: Annotated[
        str, typer.Option(help="Shorter vectors to try: auto, none, or numbers as 512,256.")
    ] = "auto",
    quantization: Annotated[
        str, typer.Option(help="Copies of vectors to try: auto, none, or int8,binary.")
    ] = "auto",
    html: HtmlFile = None,
    as_json: AsJson = False,
    synthetic: Annotated[
        int | None,
        typer.Option(min=1, help="Make up so many queries from the documents.", show_default=False),
    ] = None,
    split: Split = None,
    qrels: Qrels = None,
    seed: Seed = 0,
    url: Url = None,
) -> None:
    """Choose lists, depth, weight and vectors for a time budget, on your own questions.

    By cross-validation: what is chosen on some of the questions is judged by the others.

    Writes a file of settings that a server reads when TWOFOLD_SETTINGS_FILE names it.
    """
    from twofold.evaluation.prepare import Source, prepare, require_extra
    from twofold.evaluation.server import serving
    from twofold.evaluation.smaller import Wanted

    require_extra("ir_measures")
    wanted = Wanted.parse(dimensions, quantization)
    judgements = Source(source, collection, split, qrels, (), synthetic, seed).plan()
    session = context.obj
    session.url = url or session.url
    with serving(session.client, session.err, named=session.named) as client:
        from twofold.evaluation.tuned import rendered, tuned

        ready = prepare(client, judgements(client), collection, session.err)
        report = tuned(
            client,
            ready,
            session.err,
            budget_ms=budget_ms,
            percentile=percentile,
            wanted=wanted,
            seed=seed,
            made_at=datetime.now(UTC),
        )
    output.write_text(report.settings_file(), "utf-8")
    if html is not None:
        from twofold.evaluation.tuned_html import page

        html.write_text(page(report), "utf-8")
        session.err.print(f"Written: {html}", style="dim")
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        session.show(rendered(report))
    session.err.print(
        f"Written: {output}. A server reads it with TWOFOLD_SETTINGS_FILE={output}", style="dim"
    )


def parse_depths(text: str) -> list[int]:
    """Whole numbers between commas.

    Raises:
        InvalidRequest: They are none, or not possible as depths.
    """
    try:
        depths = [int(part) for part in text.split(",")]
    except ValueError:
        depths = []
    if not depths or not all(1 <= depth <= MAX_LIMIT for depth in depths):
        raise InvalidRequest(
            field="--depths",
            reason=f"'{text}' is not a list of numbers from 1 to {MAX_LIMIT}, such as 10,20,50",
        )
    return depths


def save_judgements(
    path: Path, queries: Mapping[str, str], relevant: Mapping[str, Mapping[str, int]]
) -> None:
    """Write queries and their answers as a CSV that `twofold eval` reads."""
    rows: Sequence[tuple[str, str, int]] = [
        (queries[query_id], document, gain)
        for query_id, documents in relevant.items()
        for document, gain in documents.items()
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("query", "document_id", "relevance"))
        writer.writerows(rows)
