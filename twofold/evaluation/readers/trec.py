"""The formats of TREC: topics, judgements (qrels) and runs.

Topics are `<top>` blocks with `<num>` and `<title>`, or lines of an id, a tab and the query.
Judgements are lines of query, an unused column, document and relevance; runs are lines of query,
`Q0`, document, rank, score and the name of the run, of which the score decides, as in trec_eval.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from twofold.evaluation.judgements import (
    Judgement,
    Judgements,
    Run,
    bad,
    judged,
    lines_of,
    relevance,
)

QRELS_COLUMNS = "query, 0, document, relevance"
RUN_COLUMNS = "query, Q0, document, rank, score, name of the run"

_FIELD = re.compile(
    r"<(num|title)>\s*(?:Number:|Topic:)?\s*(.*?)\s*(?=</?[a-z]+>|\Z)", re.DOTALL | re.IGNORECASE
)


def look_in(folder: Path) -> tuple[Path, Path, list[Path]]:
    """Topics, judgements and runs in a folder, by how the files are called.

    Raises:
        InvalidRequest: It has not one file of topics and one of judgements.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    topics = [path for path in files if path.name.lower().startswith(("topics", "queries"))]
    qrels = [path for path in files if path.name.lower().startswith("qrels")]
    if len(topics) != 1 or len(qrels) != 1:
        raise bad(
            folder,
            "it holds neither queries.jsonl, as in BEIR, nor one file whose name begins with "
            "'topics' and one whose name begins with 'qrels', as in TREC; name the files: "
            "twofold eval TOPICS --qrels FILE",
        )
    return topics[0], qrels[0], [path for path in files if path.suffix == ".run"]


def read(
    topics: Path, qrels: Path, runs: Sequence[Path] = (), *, name: str | None = None
) -> Judgements:
    """Read the files of one track.

    Raises:
        InvalidRequest: A line is wrong; says which.
    """
    return judged(
        name or topics.stem, read_topics(topics), _rows(qrels), source=qrels, runs=read_runs(runs)
    )


def read_topics(path: Path) -> dict[str, str]:
    """The text of each query by its id: the title of the topic."""
    lines = list(lines_of(path))
    text = "\n".join(line for _, line in lines)
    queries = _blocks(path, text) if "<top>" in text.lower() else _lines(path, lines)
    if not queries:
        raise bad(path, "there is no topic in it: neither <top> blocks nor lines of id, tab, query")
    return queries


def read_runs(paths: Sequence[Path]) -> dict[str, Run]:
    """Runs by the name of their file; documents by falling score, equal ones by rank."""
    return {path.stem: _run(path) for path in paths}


def _blocks(path: Path, text: str) -> dict[str, str]:
    queries: dict[str, str] = {}
    for block in re.split(r"<top>", text, flags=re.IGNORECASE)[1:]:
        fields = {name.lower(): " ".join(value.split()) for name, value in _FIELD.findall(block)}
        if not fields.get("num") or not fields.get("title"):
            raise bad(path, f"a topic lacks <num> or <title>: {' '.join(block.split())[:60]}")
        queries[fields["num"]] = fields["title"]
    return queries


def _lines(path: Path, lines: Sequence[tuple[int, str]]) -> dict[str, str]:
    queries: dict[str, str] = {}
    for number, line in lines:
        query_id, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise bad(f"{path}:{number}", "the line is not an id, a tab and a query")
        queries[query_id.strip()] = text.strip()
    return queries


def _rows(path: Path) -> Iterator[Judgement]:
    for place, fields in _fields(path, 4, QRELS_COLUMNS):
        yield Judgement(fields[0], fields[2], relevance(fields[3], place), place)


def _run(path: Path) -> Run:
    scored: dict[str, list[tuple[float, int, str]]] = {}
    for place, (query_id, _, document, rank, score, _) in _fields(path, 6, RUN_COLUMNS):
        try:
            entry = (-float(score), int(rank), document)
        except ValueError:
            raise bad(place, f"rank and score are not numbers; a line is {RUN_COLUMNS}") from None
        scored.setdefault(query_id, []).append(entry)
    return {
        query_id: list(dict.fromkeys(document for _, _, document in sorted(entries)))
        for query_id, entries in scored.items()
    }


def _fields(path: Path, count: int, columns: str) -> Iterator[tuple[str, list[str]]]:
    for number, line in lines_of(path):
        fields = line.split()
        if len(fields) != count:
            raise bad(
                f"{path}:{number}", f"the line has {len(fields)} columns; it should have {columns}"
            )
        yield f"{path}:{number}", fields
