"""The folder layout of BEIR: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.

Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval
Models", NeurIPS 2021 (datasets and benchmarks).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twofold.evaluation.judgements import Judgement, Judgements, bad, judged, lines_of, relevance
from twofold.evaluation.readers import trec

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels"
COLUMNS = "query-id, corpus-id and score, separated by tabs"


class Entry(BaseModel):
    """A line of either file."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(alias="_id", min_length=1)
    title: str | None = None
    text: str

    @property
    def whole(self) -> str:
        """Title and text, as BEIR's own runs read a document."""
        return "\n\n".join(
            part.strip() for part in (self.title, self.text) if part and part.strip()
        )


def read(folder: Path, *, split: str | None = None, runs: Sequence[Path] = ()) -> Judgements:
    """Read a folder; documents are read later, one by one, with `entries`.

    Raises:
        InvalidRequest: A file is missing or a line in it is wrong.
    """
    queries: dict[str, str] = {}
    for place, entry in entries(folder / QUERIES):
        if not entry.text.strip():
            raise bad(place, f"the query '{entry.id}' has no text")
        if queries.setdefault(entry.id, entry.text) != entry.text:
            raise bad(place, f"there are two queries with the id '{entry.id}'")
    corpus = folder / CORPUS
    path = _qrels(folder / QRELS, split)
    return judged(
        folder.resolve().name,
        queries,
        _rows(path),
        source=path,
        corpus=corpus if corpus.exists() else None,
        runs=trec.read_runs(runs),
    )


def entries(path: Path) -> Iterator[tuple[str, Entry]]:
    """Every line with its place.

    Raises:
        InvalidRequest: It is not JSON, or lacks `_id` or `text`.
    """
    for number, line in lines_of(path):
        place = f"{path}:{number}"
        try:
            yield place, Entry.model_validate(json.loads(line))
        except json.JSONDecodeError as error:
            raise bad(place, f"the line is not JSON ({error.msg})") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or "the line"
            message = first["msg"].lower()
            raise bad(
                place, f"{field}: {message}; each line is an object with _id and text"
            ) from None


def _qrels(folder: Path, split: str | None) -> Path:
    """The judgements that are meant."""
    found = {path.stem: path for path in sorted(folder.glob("*.tsv"))}
    if not found:
        raise bad(folder, f"there are no judgements; put {COLUMNS}, into {folder / 'test.tsv'}")
    wanted = split or ("test" if "test" in found else next(iter(found)))
    if wanted in found and (split or wanted == "test" or len(found) == 1):
        return found[wanted]
    raise bad(folder, f"say which judgements are meant: --split {' or '.join(found)}")


def _rows(path: Path) -> Iterator[Judgement]:
    for number, line in lines_of(path):
        place = f"{path}:{number}"
        fields = line.split("\t")
        if number == 1 and fields[0] == "query-id":
            continue
        if len(fields) != 3:
            raise bad(place, f"the line has {len(fields)} columns; it should have {COLUMNS}")
        yield Judgement(fields[0], fields[1], relevance(fields[2], place), place)
