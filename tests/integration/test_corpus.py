"""Real documents give their text; hostile ones give a sentence and cost one child each.

The files lie beside the repository and are not part of it; without them this is skipped.
"""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.chunk import Chunker
from pipelines.parse.formats import FORMATS
from pipelines.parse.sandbox import SandboxedParser
from pipelines.ports import Parsed
from tests.support.stored import row as document_row
from twofold.errors import ParseError

SHARED = Path(__file__).parents[3] / "shared"
SUFFIXES = {suffix for each in FORMATS for suffix in each.suffixes}

UNREADABLE = {
    "docling__ocr_test.pdf": ("needs_ocr", "a scan, and no OCR is set up here"),
    "markitdown__MEDRPT-2024-PAT-3847_medical_report_scan.pdf": ("needs_ocr", "the same"),
    "pdfjs__ThuluthFeatures.pdf": ("needs_ocr", "its fonts do not say which characters they draw"),
    "tika__testHWP_5.0.hwp": ("unsupported_format", "Hangul is not read"),
}
"""The documents that are not read, and why."""

REFUSALS = {
    "recursion": {"unsupported_format"},
    "memory-bomb": {"unsupported_format", "corrupt"},
    "encrypted": {"encrypted", "unsupported_format", "needs_ocr"},
    "truncated": {"corrupt"},
}
CLEAN = {"unsupported_format", "corrupt", "encrypted", "needs_ocr", "empty", "too_large"}


def manifest(folder: str) -> list[dict]:
    path = SHARED / folder / "manifest.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def cases(folder: str):
    found = [pytest.param(row, id=row["file"][:60]) for row in manifest(folder)]
    skipped = pytest.mark.skip(reason=f"the shared folder '{folder}' is not beside the repository")
    return found or [pytest.param({}, id=folder, marks=skipped)]


@pytest.fixture(scope="module")
def parser():
    found = SandboxedParser()
    yield found
    found.close()


def parse(parser: SandboxedParser, folder: str, row: dict) -> Parsed:
    path = SHARED / folder / row["file"]
    return parser.parse(path, name=row["file"], media_type=None)


def outcome(parser: SandboxedParser, folder: str, row: dict) -> tuple[str | None, str]:
    """The failure, or None, and the text, or the sentence, in single spaces."""
    try:
        parsed = parse(parser, folder, row)
    except ParseError as error:
        return error.failure, error.message
    return None, " ".join(parsed.text.split())


def is_read(row: dict) -> bool:
    return Path(row["file"]).suffix.lower() in SUFFIXES


@pytest.mark.parametrize("row", cases("documents"))
def test_a_document_gives_the_text_that_is_in_it(parser, row):
    if row["file"] in UNREADABLE:
        expected, why = UNREADABLE[row["file"]]
        failure, sentence = outcome(parser, "documents", row)
        print(f"{row['file']} is not read ({why}): {sentence}")
        assert failure == expected
        return
    parsed = parse(parser, "documents", row)
    text = " ".join(parsed.text.split())
    assert all(" ".join(each.split()) in text for each in row["expect_contains"] or [])
    assert "\N{REPLACEMENT CHARACTER}" not in text


@pytest.mark.parametrize("row", cases("documents"))
@pytest.mark.parametrize("tokens", [64, 512])
def test_every_passage_of_a_document_is_an_exact_range_of_it(parser, row, tokens):
    if row["file"] in UNREADABLE:
        return
    parsed = parse(parser, "documents", row)
    chunks = Chunker(None, tokens).chunks("tenant", document_row(), parsed)
    assert [parsed.text[each.start : each.end] for each in chunks] == [each.text for each in chunks]
    assert all(one.end <= other.start for one, other in pairwise(chunks))
    assert max(len(each.passage) for each in chunks) <= 4 * tokens + 1
    kept = bytearray(len(parsed.text))
    for each in chunks:
        kept[each.start : each.end] = b"\1" * (each.end - each.start)
    places = (place for block in parsed.blocks for place in range(block.start, block.end))
    assert not [place for place in places if not kept[place] and not parsed.text[place].isspace()]


@pytest.mark.parametrize("row", cases("hostile"))
def test_a_hostile_file_is_read_or_refused_with_a_sentence(parser, row):
    failure, text = outcome(parser, "hostile", row)
    quoted = row["expect"].split('"')[1::2]
    if failure is None:
        assert row["class"] != "encrypted"
        assert all(word in text for each in quoted for word in each.split())
    else:
        assert failure in REFUSALS.get(row["class"], CLEAN)
        assert text.endswith(".")
        assert not (quoted and is_read(row))


@pytest.mark.skipif(not manifest("documents"), reason="no shared documents")
def test_arabic_ligatures_come_apart_the_right_way_round(parser):
    failure, text = outcome(parser, "documents", {"file": "docling__right_to_left_01.pdf"})
    assert failure is None
    assert text.startswith("تحسين الإنتاجية وحل المشكلات من خلال البرمجة")
