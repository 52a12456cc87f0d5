"""The command `twofold`: add files, search them, see how the server is.

Results go to standard output; progress, remarks and errors go to standard error. Exit status: 0
all went well, 1 some of it failed or nothing was found, 2 the command was wrong, 3 no Twofold
server answers, 4 the server refuses (the key, its scope, a quota), 130 interrupted.
"""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console, RenderableType
from rich.text import Text

from twofold import __version__, adding, collections_cli, documents_cli, keys_cli, outcomes
from twofold.arguments import parse_filter, parse_metadata
from twofold.client import Client
from twofold.errors import (
    ConfigurationError,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    MalformedRequest,
    ServiceError,
    TooManyRequests,
    TwofoldError,
    Unauthenticated,
    UnexpectedResponse,
)
from twofold.evaluation import cli as evaluation_cli
from twofold.options import AsJson, Collection, print_json
from twofold.progress import Upload
from twofold.render import plain, results_table, timings_line
from twofold.tables import status_table, summary_table

FAILED, WRONG, UNREACHABLE, REFUSED, INTERRUPTED = 1, 2, 3, 4, 130

_WRONG_COMMAND = (InvalidRequest, MalformedRequest, ConfigurationError)
_NO_SERVER = (ConnectionFailed, UnexpectedResponse)
_REFUSED = (Unauthenticated, Forbidden, TooManyRequests)
_LOOK_INTERVAL_S = 1.0
_COLUMNS_OF_A_PIPE = 200  # programs read lines, which had better be whole

app = typer.Typer(
    name="twofold",
    help="Add documents to a Twofold server and search them in two stages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(documents_cli.app, name="documents")
app.add_typer(
    collections_cli.app,
    name="collections",
    short_help="Make, list, show, rebuild and remove collections.",
)
app.add_typer(keys_cli.app, name="keys", short_help="Make, list and revoke API keys.")
app.command("eval")(evaluation_cli.evaluate)
app.command("tune")(evaluation_cli.tune)


@dataclass
class Session:
    """Where a command talks to: the server, and the two streams of the terminal."""

    out: Console
    err: Console
    transport: httpx.BaseTransport | None = None
    url: str | None = None

    def client(self) -> Client:
        """A client of the server that the command line names."""
        return Client(self.url, transport=self.transport)

    @property
    def named(self) -> bool:
        """Whether somebody said which server is meant."""
        return bool(self.url or self.transport or os.environ.get("TWOFOLD_URL"))

    def show(self, *parts: RenderableType) -> None:
        """Print for people."""
        for part in parts:
            self.out.print(part)

    def remark(self, sentence: str) -> None:
        """Print what is beside the result."""
        self.err.print(sentence, style="dim")

    def warn(self, sentence: str) -> None:
        """Print what was asked for and had no effect."""
        self.err.print(Text(f"warning: {plain(sentence)}", style="yellow"), soft_wrap=True)

    def complain(self, error: TwofoldError) -> None:
        """Print an error as one sentence."""
        self.err.print(Text(f"twofold: {plain(str(error))}", style="red"), soft_wrap=True)


def main(
    arguments: Sequence[str] | None = None, *, transport: httpx.BaseTransport | None = None
) -> None:
    """Run a command line and exit with its status.

    Args:
        arguments: Default: those of the process.
        transport: What carries the requests instead of a socket, as in httpx.
    """
    session = Session(_console(), _console(stderr=True), transport)
    try:
        app(arguments, obj=session, prog_name="twofold")
    except TwofoldError as error:
        session.complain(error)
        sys.exit(_exit_status(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _COLUMNS_OF_A_PIPE
    return console


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"twofold {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(help="The server; default: TWOFOLD_URL, else http://127.0.0.1:8000."),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback acts on it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Add documents to a Twofold server and search them in two stages.

    A server that asks for a key finds it in the environment variable TWOFOLD_API_KEY.

    Exit status: 0 all went well, 1 some of it failed or nothing was found, 2 the command was
    wrong, 3 no Twofold server answers, 4 it refuses (the key, its scope, a quota).
    """
    context.obj.url = url


@app.command()
def add(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", show_default=False)],
    collection: Collection = "default",
    metadata: Annotated[
        list[str], typer.Option("--metadata", "-m", help="KEY=VALUE, for every file; repeatable.")
    ] = [],  # noqa: B006 - typer reads it once
    recursive: Annotated[bool, typer.Option(help="Walk folders inside folders.")] = True,
    ignore: Annotated[
        bool, typer.Option(help="Obey .gitignore and .twofoldignore in folders.")
    ] = True,
    hidden: Annotated[
        bool, typer.Option("--hidden", help="Take hidden files in folders too.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until they can be searched.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 600.0,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with what changes; Ctrl-C ends.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Upload files and folders. What is there already and has not changed is not sent again.

    So a command that was interrupted goes on where it was when it is given once more.
    """
    session: Session = context.obj
    upload = Upload(
        session.client,
        session.err,
        collection,
        parse_metadata(metadata),
        timeout if wait else 0.0,
        quiet=as_json,
    )
    walk = adding.Walk(recursive, ignore, hidden)
    watching = adding.Watch(paths, walk)
    watching.look()
    files = adding.find(paths, walk)
    tally = _add(session, upload, files, as_json=as_json)
    if watch:
        watching.sent(files)
        session.remark("Watching for changes; Ctrl-C ends.")
        try:
            _keep_adding(session, watching, upload, as_json=as_json)
        except KeyboardInterrupt:
            session.remark("Stopped watching.")
    raise typer.Exit(0 if tally.well(wait=wait) else FAILED)


@app.command()
def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    collection: Collection = "default",
    limit: Annotated[int, typer.Option("--limit", "-n", help="Results.")] = 10,
    depth: Annotated[
        int | None, typer.Option(help="Candidates for the second stage.", show_default=False)
    ] = None,
    rerank: Annotated[bool, typer.Option(help="Whether the second stage runs.")] = True,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", help='JSON, such as \'{"key": "year", "gte": 2020}\'.'),
    ] = None,
    by_document: Annotated[
        int | None,
        typer.Option(help="One result a document, with so many passages.", show_default=False),
    ] = None,
    diversity: Annotated[
        float | None, typer.Option(help="0 to 1: avoid what says the same.", show_default=False)
    ] = None,
    instruction: Annotated[
        str | None,
        typer.Option(help="What makes a passage relevant, for both models.", show_default=False),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show how ranks came about.")] = False,
    deadline_ms: Annotated[int, typer.Option(help="The answer comes by then.")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Search, and show what each stage said of every passage and how long it took."""
    session: Session = context.obj
    with session.client() as client:
        response = client.search(
            query,
            collection=collection,
            limit=limit,
            recall={"instruction": instruction},
            rerank={"enabled": rerank, "depth": depth, "instruction": instruction},
            filter=parse_filter(filter_) if filter_ else None,
            group_by_document=by_document,
            diversity=diversity,
            explain=explain,
            deadline_ms=deadline_ms,
        )
    if as_json:
        print_json(response)
    else:
        session.show(results_table(response, query), timings_line(response))
        for warning in response.warnings:
            session.warn(warning)
    raise typer.Exit(0 if response.results else FAILED)


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show whether the server is ready, its models, its workers and how many documents it has."""
    session: Session = context.obj
    with session.client() as client:
        health, readiness = client.health(), client.ready()
        if as_json:
            print_json(readiness)
        else:
            session.show(status_table(health, readiness, client.base_url))
    raise typer.Exit(0 if readiness.ready else FAILED)


@app.command()
def doctor(
    context: typer.Context,
    reranker: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that reranks.")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that embeds.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(help="What they speak; default: it is found out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test whether a model server ranks rightly, and say what is likely wrong if not."""
    from twofold.doctor import render, run_doctor  # the golden questions are for this alone

    session: Session = context.obj
    if reranker is None and embedder is None:
        raise InvalidRequest(field="doctor", reason="name a server: --reranker URL, --embedder URL")
    verdicts = run_doctor(
        reranker=reranker, embedder=embedder, dialect=dialect, transport=session.transport
    )
    if as_json:
        typer.echo(json.dumps([asdict(verdict) for verdict in verdicts], indent=2))
    else:
        session.show(render(verdicts))
    if any(verdict.fault == "unreachable" for verdict in verdicts):
        raise typer.Exit(UNREACHABLE)
    raise typer.Exit(0 if all(verdict.ok for verdict in verdicts) else FAILED)


@app.command()
def mcp(context: typer.Context) -> None:
    """Stand between an MCP client that starts programs and the server's `/mcp`.

    Speaks the Model Context Protocol over standard input and output; for the settings of desktop
    applications: the command is `twofold`, its argument `mcp`.
    """
    from twofold.bridge import Bridge  # for this alone

    def write(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    session: Session = context.obj
    with session.client() as client:
        Bridge(client, write).carry(sys.stdin)


def _keep_adding(
    session: Session, watching: adding.Watch, upload: Upload, *, as_json: bool
) -> None:
    """Add what changes, until interrupted; a server that is away is tried again."""
    while True:
        time.sleep(_LOOK_INTERVAL_S)
        if files := watching.look():
            try:
                _add(session, upload, files, as_json=as_json)
            except (ConnectionFailed, ServiceError) as error:
                session.complain(error)
            else:
                watching.sent(files)


def _add(
    session: Session, upload: Upload, files: Mapping[str, Path], *, as_json: bool
) -> outcomes.Tally:
    """Upload and report: documents as they are done, or a table at the end."""
    tally = outcomes.Tally()
    if as_json:
        out = outcomes.Json(partial(typer.echo, nl=False))

        def tell(outcome: outcomes.Outcome) -> None:
            tally(outcome)
            out(outcome)

        upload(files, tell)
        out.end()
        return tally
    upload(files, tally)
    if tally.total:
        session.show(summary_table(tally))
    else:
        session.show(Text("There are no files to add.", style="dim"))
    return tally


def _exit_status(error: TwofoldError) -> int:
    if isinstance(error, _NO_SERVER):
        return UNREACHABLE
    if isinstance(error, _REFUSED):
        return REFUSED
    return WRONG if isinstance(error, _WRONG_COMMAND) else FAILED


if __name__ == "__main__":
    main()
