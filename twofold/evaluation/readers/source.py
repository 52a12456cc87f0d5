"""Which reader a source is for, by what is in it."""

from collections.abc import Sequence
from pathlib import Path

from twofold.evaluation.judgements import Judgements, bad
from twofold.evaluation.readers import beir, table, trec

FORMATS = (
    "a BEIR folder (queries.jsonl, qrels/*.tsv and, to be uploaded, corpus.jsonl), TREC files "
    "(topics and --qrels), or a CSV with the columns query and document_id"
)


def read(
    source: Path, *, split: str | None = None, qrels: Path | None = None, runs: Sequence[Path] = ()
) -> Judgements:
    """Read whatever the source is.

    Args:
        source: A folder or a file.
        split: Which of the files in `qrels/` of a BEIR folder; None: `test`, or the only one.
        qrels: Judgements in the format of TREC, where the source is a file of topics.
        runs: What other systems answered, in the format of TREC.

    Raises:
        InvalidRequest: It is none of them, or something in it is wrong; says where.
    """
    if not source.exists():
        raise bad(source, f"there is no such file or folder; give {FORMATS}")
    if source.is_dir():
        if (source / beir.QUERIES).exists():
            return beir.read(source, split=split, runs=runs)
        topics, found, found_runs = trec.look_in(source)
        return trec.read(topics, qrels or found, [*found_runs, *runs], name=source.resolve().name)
    if qrels is not None:
        return trec.read(source, qrels, runs)
    if source.suffix.lower() in {".csv", ".tsv"}:
        return table.read(source, runs=runs)
    raise bad(source, f"it is not {FORMATS}; for topics of TREC, name the judgements with --qrels")
