"""Collections with questions that somebody judged, in the layout of BEIR."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ir_measures import Qrel

from benchmarks.peers.seam import Document

MOST = 120
"""Questions of a collection, drawn with a fixed seed and the same for all contestants: reranking
20 passages for each takes a second on two cores."""

COLLECTIONS = Path(__file__).parents[3] / "shared" / "collections"


@dataclass(frozen=True)
class Judged:
    """Documents, questions by id, and which document answers which question how well."""

    documents: list[Document]
    queries: dict[str, str]
    qrels: list[Qrel]


def load(name: str) -> Judged:
    """Read a collection; of the questions that have a relevant document, at most `MOST`."""
    folder = COLLECTIONS / name
    rows = (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]
    qrels = [Qrel(query, document, int(gain)) for query, document, gain in map(str.split, rows)]
    relevant = sorted({qrel.query_id for qrel in qrels if qrel.relevance > 0})
    asked = set(random.Random(7).sample(relevant, min(MOST, len(relevant))))
    return Judged(
        documents=documents(name),
        queries={id_: text for id_, text in queries(name).items() if id_ in asked},
        qrels=[qrel for qrel in qrels if qrel.query_id in asked],
    )


def documents(name: str) -> list[Document]:
    """Title and text of every document that has any, as one text."""
    rows = _rows(COLLECTIONS / name / "corpus.jsonl")
    texts = (Document(row["_id"], f"{row['title']}\n\n{row['text']}".strip()) for row in rows)
    return [each for each in texts if each.text]


def queries(name: str) -> dict[str, str]:
    """All questions, by id."""
    return {row["_id"]: row["text"] for row in _rows(COLLECTIONS / name / "queries.jsonl")}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
