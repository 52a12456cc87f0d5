"""Start Twofold, upload the documents in `examples/demo`, ask questions, show what each stage did.

    python examples/demo.py            starts, asks, stops; leaves nothing behind
    python examples/demo.py --keep     goes on serving on http://127.0.0.1:8000 until Ctrl-C
    python examples/demo.py --remote   asks the server at TWOFOLD_URL, by default on this machine,
                                       and leaves the documents there, in a collection of their own

Exits with 0 if the passage that answers is first for every question, with 1 if not.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from twofold import Client, TwofoldError
from twofold.errors import ConnectionFailed
from twofold.render import results_table, timings_line
from twofold.schema import Document, Readiness, Result, SearchResponse

ROOT = Path(__file__).resolve().parent.parent
MATERIAL = ROOT / "examples" / "demo"
START_S, INGEST_S, STOP_S = 120.0, 300.0, 15.0
SHOWN, LOOKED_AT = 3, 50
COLLECTION = "demo"
DEADLINE_MS = 60_000  # a demo on a busy machine shows slow answers rather than half ones

console = Console()


class DemoFailed(Exception):
    """Something that the demo needs did not happen; the message says what to look at."""


@dataclass(frozen=True)
class Question:
    """A question, and where its answer stands.

    Attributes:
        document: Name of the file that answers it.
        passage: Words that the answering passage contains.
        why: What makes it easy or hard.
    """

    question: str
    document: str
    passage: str
    why: str

    def answered_by(self, result: Result) -> bool:
        """Whether this is the passage."""
        return result.name == self.document and self.passage in " ".join(result.text.split())


@dataclass(frozen=True)
class Outcome:
    """What became of a question.

    Attributes:
        first_stage: Rank of the answer by the first stage alone; None where it was not found.
        final: Its rank by both stages.
        ms: Time of the search.
    """

    question: Question
    first_stage: int | None
    final: int | None
    ms: float


def main() -> int:
    """Run the demo; returns the exit status."""
    arguments = read_arguments()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="twofold-demo-") as data,
            connected(arguments, Path(data)) as client,
        ):
            upload(client)
            outcomes = [ask(client, question) for question in questions()]
            summarise(outcomes, time.monotonic() - began)
            if arguments.keep:
                stay(client)
        return conclude(outcomes, running=arguments.remote)
    except (DemoFailed, TwofoldError) as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Show Twofold at work on a few documents.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--keep", action="store_true", help="go on serving on port 8000")
    where.add_argument(
        "--remote",
        action="store_true",
        help="use the server at TWOFOLD_URL (default: http://127.0.0.1:8000), with TWOFOLD_API_KEY",
    )
    return parser.parse_args()


def questions() -> list[Question]:
    """The questions that come with the documents."""
    return [Question(**each) for each in json.loads((MATERIAL / "questions.json").read_text())]


# --- The server -----------------------------------------------------------------------------


@contextmanager
def connected(arguments: argparse.Namespace, data: Path) -> Iterator[Client]:
    """A server to ask: one that runs somewhere, or one of our own for as long as we need it."""
    if arguments.remote:
        with Client() as client:
            introduce(client, client.ready())
            yield client
    else:
        with server(data, free_port(8000 if arguments.keep else 0)) as client:
            yield client


def introduce(client: Client, state: Readiness) -> None:
    """Say which models answer.

    Raises:
        DemoFailed: The server would not serve.
    """
    if not state.ready:
        parts = "; ".join(f"{name}: {said}" for name, said in state.parts.items() if said != "ok")
        raise DemoFailed(f"{client.base_url} is not ready: {parts}")
    console.print(
        f"Asking {client.base_url}\n"
        f"[dim]embedder[/] {state.embedder}  [dim]reranker[/] {state.reranker}"
    )


@contextmanager
def server(data: Path, port: int) -> Iterator[Client]:
    """Twofold as a child process, ready to be asked; stopped when the context ends."""
    log = data / "server.log"
    # A machine with a GPU would choose models that have to be downloaded first.
    models = {"TWOFOLD_EMBEDDER": "minilm", "TWOFOLD_RERANKER": "late-interaction"}
    environment = (
        models
        | os.environ
        | {
            "TWOFOLD_HOST": "127.0.0.1",
            "TWOFOLD_PORT": str(port),
            "TWOFOLD_DATA_DIR": str(data / "data"),
        }
    )
    with log.open("wb") as output:
        # A session of its own, so that Ctrl-C reaches the demo, and the demo stops the server.
        process = subprocess.Popen(
            [sys.executable, "-m", "services.api"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            wait_until_ready(process, client.base_url, log)
            yield client
    finally:
        stop(process)


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait for /readyz.

    Raises:
        DemoFailed: The server has ended or is not ready in time; the message has its last words.
    """
    began = time.monotonic()
    with console.status("Starting Twofold ..."), Client(url, retries=0) as probe:
        while time.monotonic() < began + START_S:
            if process.poll() is not None:
                raise DemoFailed(f"the server did not start:\n{tail(log)}")
            try:
                state = probe.ready()
            except ConnectionFailed:
                time.sleep(0.1)
                continue
            if state.ready:
                console.print(f"Twofold answers on {url} after {time.monotonic() - began:.1f} s")
                console.print(
                    f"[dim]embedder[/] {state.embedder}  [dim]reranker[/] {state.reranker}"
                )
                return
            time.sleep(0.1)
    raise DemoFailed(f"the server was not ready after {START_S:.0f} s:\n{tail(log)}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, and see that it does."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path, lines: int = 15) -> str:
    """The last words of the server."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(its log is empty)"


def free_port(wanted: int = 0) -> int:
    """The wanted port, or any with 0, if nobody listens there.

    Raises:
        DemoFailed: Somebody does, perhaps a Twofold with documents that matter.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise DemoFailed(f"port {wanted} is taken ({error.strerror}); free it first") from None
        return int(probe.getsockname()[1])


# --- The two flows --------------------------------------------------------------------------


def upload(client: Client) -> None:
    """Upload every document and follow them until all can be searched.

    Raises:
        DemoFailed: One of them failed, or time ran out.
    """
    paths = sorted((MATERIAL / "documents").iterdir())
    began = time.monotonic()
    accepted = client.add_files(paths, collection=COLLECTION)
    if accepted.rejected:
        raise DemoFailed("; ".join(each.error.message for each in accepted.rejected))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("Reading, chunking and embedding", total=len(paths))
        while True:
            documents = list(client.documents(COLLECTION))
            progress.update(task, completed=sum(each.final for each in documents))
            if all(each.final for each in documents):
                break
            if time.monotonic() > began + INGEST_S:
                raise DemoFailed(f"the documents were not ready after {INGEST_S:.0f} s")
            time.sleep(0.1)
    report_ingestion(documents, time.monotonic() - began)


def report_ingestion(documents: list[Document], seconds: float) -> None:
    """Say what was ingested.

    Raises:
        DemoFailed: One of the documents could not be read.
    """
    failed = [f"{each.name}: {each.error.message}" for each in documents if each.error]
    if failed:
        raise DemoFailed("\n".join(failed))
    size = sum(each.size for each in documents) / 1000
    formats = sorted({Path(each.name).suffix.removeprefix(".") for each in documents})
    console.print(
        f"{len(documents)} documents ({', '.join(formats)}; {size:,.0f} kB) "
        f"became {sum(each.chunks for each in documents)} passages in {seconds:.1f} s"
    )


def ask(client: Client, question: Question) -> Outcome:
    """Search, show the first results, and find where the answer stands."""
    response = client.search(
        question.question, collection=COLLECTION, limit=LOOKED_AT, deadline_ms=DEADLINE_MS
    )
    answer = next(filter(question.answered_by, response.results), None)
    console.rule(f"[bold]{question.question}", align="left")
    show(question, response, answer)
    return Outcome(
        question,
        first_stage=answer.recall_rank if answer else None,
        final=answer.rank if answer else None,
        ms=response.timings_ms.total,
    )


def show(question: Question, response: SearchResponse, answer: Result | None) -> None:
    """The head of the ranking, with the scores of both stages and the time of each step."""
    head = response.model_copy(update={"results": response.results[:SHOWN]})
    console.print(results_table(head, question.question))
    console.print(timings_line(response))
    if answer is None:
        console.print("The passage that answers was not found.", style="red")
    elif answer.rank == 1 < answer.recall_rank:
        was, now = answer.recall_rank, answer.rank
        console.print(f"The answer: first stage {was}, both stages {now}.", style="green")
    console.print(question.why, style="dim")
    console.print()


# --- The end --------------------------------------------------------------------------------


def summarise(outcomes: list[Outcome], seconds: float) -> None:
    """One line a question."""
    table = Table(title="Where the answering passage stood", title_justify="left", box=None)
    table.add_column("question", overflow="fold")
    table.add_column("expected")
    for heading in ("first stage", "both stages", "ms"):
        table.add_column(heading, justify="right")
    for each in outcomes:
        style = "green" if each.final == 1 else "red"
        table.add_row(
            each.question.question,
            each.question.document,
            f"{each.first_stage or '-'}",
            f"[{style}]{each.final or '-'}[/]",
            f"{each.ms:.0f}",
        )
    console.print(table)
    first = sum(each.first_stage == 1 for each in outcomes)
    both = sum(each.final == 1 for each in outcomes)
    console.print(
        f"\nFirst with the first stage alone: {first} of {len(outcomes)}; with both: {both}. "
        f"The demo took {seconds:.1f} s."
    )


def stay(client: Client) -> None:
    """Leave the server to be played with until Ctrl-C."""
    console.print(
        f"\nStill serving, until Ctrl-C:\n"
        f"  curl '{client.base_url}/search?collection={COLLECTION}&q=why+is+my+crust+pale'\n"
        f"  {client.base_url}/docs"
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("\nStopping ...")


def conclude(outcomes: list[Outcome], *, running: bool) -> int:
    """What to do next, or what went wrong; returns the exit status."""
    wrong = [each for each in outcomes if each.final != 1]
    for each in wrong:
        console.print(
            f"not first: '{each.question.question}' expected {each.question.document}, "
            f"its passage has rank {each.final or 'none'}",
            style="red",
        )
    if wrong:
        return 1
    start = "" if running else "  make run\n"
    console.print(
        f"\nNext, with your own documents:\n{start}"
        "  curl -F files=@paper.pdf 'http://127.0.0.1:8000/documents?wait=60'\n"
        "  curl 'http://127.0.0.1:8000/search?q=your+question'",
        highlight=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
