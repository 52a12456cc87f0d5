"""What every command of this package needs first: judgements, a collection, what the server does.

Uploads the documents of a set that brings its own, or finds those that the judgements speak of in
a collection that is there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from twofold.client import Client
from twofold.errors import ConfigurationError, InvalidRequest
from twofold.evaluation.corpus import Uploaded, collection_of, upload
from twofold.evaluation.judgements import Judgements
from twofold.evaluation.observe import Defaults, Observation, ask_defaults, observe
from twofold.evaluation.readers import read
from twofold.evaluation.report import Server
from twofold.evaluation.stored import Known
from twofold.evaluation.synthetic import CAUTION, synthetic
from twofold.evaluation.wording import counted
from twofold.progress import bars


@dataclass(frozen=True)
class Source:
    """Where queries and judgements come from, as the command line says.

    Attributes:
        path: A BEIR folder, topics of TREC or a CSV; None: they are made up.
        synthetic: How many are made up.
        seed: Of all that is drawn.
    """

    path: Path | None
    collection: str | None
    split: str | None = None
    qrels: Path | None = None
    runs: Sequence[Path] = ()
    synthetic: int | None = None
    seed: int = 0

    def plan(self) -> Callable[[Client], Judgements]:
        """Read the files now, so that what is wrong in them is said before a server is asked.

        Returns:
            What gives the judgements once there is a client: made-up ones need its documents.

        Raises:
            InvalidRequest: The command line asks for both or for neither, or a file is wrong.
        """
        match self.path, self.synthetic:
            case Path() as path, None:
                found = read(path, split=self.split, qrels=self.qrels, runs=self.runs)
                if found.corpus is None:
                    self._existing("the judgements bring no documents")
                return lambda _: found
            case None, int() as count:
                collection = self._existing("made-up queries are drawn from its documents")
                return partial(synthetic, collection=collection, count=count, seed=self.seed)
            case _:
                raise InvalidRequest(
                    field="SOURCE",
                    reason="name judgements, or let some be made up: --synthetic 100 "
                    "--collection NAME",
                )

    def _existing(self, why: str) -> str:
        if self.collection is None:
            raise InvalidRequest(
                field="--collection", reason=f"say which collection is searched; {why}"
            )
        return self.collection


@dataclass(frozen=True)
class Prepared:
    """A collection that can be asked the queries of a set.

    Attributes:
        relevant: By query, ids of documents and how well they answer.
        names: Of documents, by id.
        notes: What whoever reads the figures has to know.
    """

    judgements: Judgements
    collection: str
    relevant: Mapping[str, Mapping[str, int]]
    names: Mapping[str, str]
    defaults: Defaults
    notes: list[str] = field(default_factory=list)

    def server(self, client: Client) -> Server:
        """What answers."""
        method = self.defaults.method
        return Server(
            url=client.base_url,
            version=client.health().version,
            embedder=method.embedder,
            reranker=self.defaults.reranker,
            first_stage=method.recall,
            score=method.fusion,
        )

    def observe(
        self,
        client: Client,
        console: Console,
        *,
        depths: Sequence[int],
        limits: Sequence[int],
        seed: int,
        whole: int | None = None,
    ) -> list[Observation]:
        """Ask every query, with a bar; see `observe.observe`."""
        with bars(console) as progress:
            asked = observe(
                client,
                self.judgements,
                collection=self.collection,
                depths=depths,
                limits=limits,
                whole=whole,
                seed=seed,
            )
            total = len(self.judgements.queries)
            return list(progress.track(asked, total=total, description="asking"))


def prepare(
    client: Client, judgements: Judgements, collection: str | None, console: Console
) -> Prepared:
    """Make ready what is asked.

    Args:
        client: Of the server.
        judgements: Whose queries.
        collection: Where they are asked; None: where the documents of the set are uploaded to.
        console: For the progress.

    Raises:
        TwofoldError: The judgements or the server cannot be used.
    """
    if judgements.corpus is not None and collection is None:
        collection = collection_of(judgements.name)
        sent = upload(client, judgements.corpus, collection=collection, console=console)
        relevant, names, notes = judgements.relevant(), sent.names, list(_about(sent, judgements))
    else:
        collection = collection or "default"
        known = Known.of(client.documents(collection))
        relevant, unknown = known.relevant(judgements, collection)
        names, notes = dict(known.names), []
        if unknown:
            notes.append(
                f"{counted(len(unknown), 'judged document')} not in the collection, such as "
                f"'{unknown[0].document}' ({unknown[0].place}); no ranking can find them."
            )
    if judgements.synthetic is not None:
        notes.insert(0, CAUTION)
    text = next(iter(judgements.queries.values()))
    defaults = ask_defaults(client, collection, text)
    notes += defaults.warnings
    return Prepared(judgements, collection, relevant, names, defaults, notes)


def require_extra(*modules: str) -> None:
    """Make sure that what a command needs is installed, before it works for minutes.

    Raises:
        ConfigurationError: It is not.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ConfigurationError(
                setting="This command",
                reason=f"it needs {module}, which is not installed; pip install 'twofold[eval]'",
            )


def _about(sent: Uploaded, judgements: Judgements) -> Iterator[str]:
    """What of the documents did not become searchable."""
    if sent.empty:
        yield f"Left out: {counted(sent.empty, 'document')} without text."
    answers = {row.document for row in judgements.rows if row.relevance > 0}
    if missing := answers - set(sent.names):
        yield f"{counted(len(missing), 'judged document')} not in the corpus, or without text."
    if sent.failed:
        name, reason = next(iter(sent.failed.items()))
        yield f"Not read: {counted(len(sent.failed), 'document')}, such as '{name}': {reason}"
