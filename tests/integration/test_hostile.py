"""Promise 7, from outside: files that mean harm end with a reason, and honest ones beside them do
not notice.

The nasties are made here; the hostile corpus lies beside the repository, and without it that part
is skipped. How much the honest ones lose in speed is measured by `make bench-parse`.
"""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from pipelines.parse.door import HEAD_BYTES, refusal
from pipelines.parse.sandbox import SandboxedParser
from tests.support.nasties import NASTIES
from tests.support.samples import SAMPLES
from twofold.errors import ParseError, ParseFailure

SHARED = Path(__file__).parents[3] / "shared" / "hostile"
KNOWN = {"parsed", *get_args(ParseFailure)}
CPU_S, WALL_S, MARGIN_S = 6, 20.0, 20.0
HONEST = 60

# What the manifest says in words, as codes; a class that is not here may end in any known way.
EXPECTED = {
    "encrypted": {"encrypted"},
    "truncated": {"corrupt"},
    "recursion": {"parsed", "unsupported_format", "corrupt"},
    "memory-bomb": {"unsupported_format", "corrupt", "too_large", "parser_memory"},
    "entity-expansion": {"corrupt"},
}
REFUSED = "refuse as unsupported"
NO_TEXT = {"needs_ocr", "empty"}


class Outcome(NamedTuple):
    """How a file ended: `parsed` or the code of its failure, and the text or the sentence."""

    code: str
    text: str
    seconds: float


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxedParser]:
    made = SandboxedParser(cpu_s=CPU_S, wall_s=WALL_S)
    yield made
    made.close()


def outcome_of(sandbox: SandboxedParser, path: Path, name: str) -> Outcome:
    began = time.monotonic()
    try:
        parsed = sandbox.parse(path, name=name, media_type=None)
    except ParseError as error:
        return Outcome(error.failure, error.message, time.monotonic() - began)
    return Outcome("parsed", parsed.text, time.monotonic() - began)


# --- The nasties ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NASTIES)
def test_a_file_made_to_hurt_ends_with_a_reason(sandbox, tmp_path, name):
    (tmp_path / "upload").write_bytes(NASTIES[name]())
    outcome = outcome_of(sandbox, tmp_path / "upload", name)
    assert outcome.code in KNOWN - {"parser_crashed"}, outcome.text
    assert outcome.seconds < WALL_S + MARGIN_S
    assert outcome.text.count("ha") < 100, "its entities were expanded"
    assert "root:" not in outcome.text, "an entity read a file"


@pytest.mark.parametrize("name", NASTIES)
def test_the_door_is_not_held_by_what_it_looks_at(name):
    """It looks in the process of the service, where a slow look would stop everything."""
    head = NASTIES[name]()[:HEAD_BYTES]
    began = time.process_time()
    refusal(head, name=name, media_type=None)
    assert time.process_time() - began < 2.0


# --- The corpus -----------------------------------------------------------------------------


def corpus() -> list[dict]:
    path = SHARED / "manifest.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def outcomes(sandbox, tmp_path_factory) -> dict[str, Outcome]:
    """The whole corpus, with honest files read beside it all the while."""
    folder = tmp_path_factory.mktemp("honest")
    for suffix, data in SAMPLES.items():
        (folder / f"x{suffix}").write_bytes(data)
    rows = corpus()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(2) as two:
        ended: dict[str, Future[Outcome]] = {
            row["file"]: two.submit(outcome_of, sandbox, SHARED / row["file"], row["file"])
            for row in rows
        }
        suffixes = [list(SAMPLES)[n % len(SAMPLES)] for n in range(HONEST)]
        honest = [
            one.submit(outcome_of, sandbox, folder / f"x{suffix}", f"x{suffix}")
            for suffix in suffixes
        ]
        assert {each.result().code for each in honest} == {"parsed"}
        return {file: each.result() for file, each in ended.items()}


@pytest.mark.skipif(not corpus(), reason="the shared folder 'hostile' is not beside the repository")
def test_honest_files_are_read_while_hostile_ones_are_and_all_of_them_end(outcomes):
    assert len(outcomes) == len(corpus())
    assert {each.code for each in outcomes.values()} <= KNOWN
    assert max(each.seconds for each in outcomes.values()) < WALL_S + MARGIN_S
    assert all(
        each.text.strip()[-1:] in ".)" for each in outcomes.values() if each.code != "parsed"
    )


@pytest.mark.parametrize("row", [pytest.param(row, id=row["file"][:60]) for row in corpus()])
def test_a_hostile_file_ends_as_the_manifest_expects(outcomes, row):
    code, text, _ = outcomes[row["file"]]
    expect = row["expect"]
    if wanted := re.search(r'"([^"]+)"', expect):
        assert code == "parsed", text
        assert set(wanted[1].split()) <= set(re.findall(r"[^\s:|]+", text))
    elif expect == REFUSED:
        assert code == "unsupported_format"
    elif expect == "no text":
        assert code in NO_TEXT
    else:
        assert code in EXPECTED.get(row["class"], KNOWN - {"parser_crashed"}), text
