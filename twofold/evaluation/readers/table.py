"""A CSV with one judgement a row, as people write it by hand and as the web page exports it.

    query,document_id,relevance
    how long does a bow dry?,guides/yew.md,2
    how long does a bow dry?,d0b8a1,0

`document_id` is the id or the name of a document; without `relevance` each row is an answer.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from twofold.evaluation.judgements import Judgement, Judgements, bad, judged, lines_of, relevance
from twofold.evaluation.readers import trec

QUERY, DOCUMENT, RELEVANCE = "query", "document_id", "relevance"
OTHER_NAMES = {"question": QUERY, "document": DOCUMENT, "name": DOCUMENT, "score": RELEVANCE}
SHAPE = "the first line names the columns: query,document_id or query,document_id,relevance"


def read(path: Path, *, runs: Sequence[Path] = ()) -> Judgements:
    """Read a file; commas, semicolons or tabs may separate its columns.

    Raises:
        InvalidRequest: Columns are missing, or a row is incomplete; says which.
    """
    ids: dict[str, str] = {}
    rows = []
    for place, query, document, value in _rows(path):
        query_id = ids.setdefault(query, f"q{len(ids) + 1}")
        rows.append(Judgement(query_id, document, value, place))
    queries = {query_id: query for query, query_id in ids.items()}
    return judged(path.stem, queries, rows, source=path, runs=trec.read_runs(runs), strict=True)


def _rows(path: Path) -> Iterator[tuple[str, str, str, int]]:
    """Place, query, document and relevance of each row."""
    text = "\n".join(_text(path))
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        columns = _columns(next(reader, []), path)
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if not any(field.strip() for field in row):
                continue
            if len(row) <= max(columns.values()):
                raise bad(place, f"the row has {len(row)} columns and the first line names more")
            query, document = row[columns[QUERY]].strip(), row[columns[DOCUMENT]].strip()
            if not query or not document:
                raise bad(place, f"the {QUERY if not query else DOCUMENT} is empty")
            given = row[columns[RELEVANCE]].strip() if RELEVANCE in columns else ""
            yield place, query, document, relevance(given, place) if given else 1
    except csv.Error as error:
        raise bad(f"{path}:{reader.line_num}", f"it is not CSV ({error})") from None


def _text(path: Path) -> Iterator[str]:
    """All lines, blank ones too, so that their numbers are those of the file."""
    at = 0
    for number, line in lines_of(path):
        yield from [""] * (number - at - 1)
        yield line
        at = number


def _columns(head: Sequence[str], path: Path) -> dict[str, int]:
    """Where each column is."""
    names = [name.strip().lower() for name in head]
    columns = {
        OTHER_NAMES.get(name, name): index
        for index, name in reversed(list(enumerate(names)))
        if OTHER_NAMES.get(name, name) in (QUERY, DOCUMENT, RELEVANCE)
    }
    if missing := [name for name in (QUERY, DOCUMENT) if name not in columns]:
        found = ", ".join(filter(None, names)) or "nothing"
        raise bad(f"{path}:1", f"there is no column '{missing[0]}' in it, but {found}; {SHAPE}")
    return columns
