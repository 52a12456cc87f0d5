"""Real documents give their text; hostile ones give a sentence and cost one child each.

The files lie beside the repository and are not part of it; without them this is skipped.
"""

import json
from pathlib import Path

import pytest

from pipelines.parse.formats import FORMATS
from pipelines.parse.sandbox import SandboxedParser
from twofold.errors import ParseError

SHARED = Path(__file__).parents[3] / "shared"
SUFFIXES = {suffix for each in FORMATS for suffix in each.suffixes}

UNREADABLE = {
    "docling__ocr_test.pdf": "needs_ocr",
    "markitdown__MEDRPT-2024-PAT-3847_medical_report_scan.pdf": "needs_ocr",
    "pdfjs__ThuluthFeatures.pdf": "needs_ocr",  # its fonts have no character map
}
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


def parse(folder: str, row: dict) -> tuple[str | None, str]:
    """The failure, or None, and the text, or the sentence, in single spaces."""
    path = SHARED / folder / row["file"]
    try:
        parsed = SandboxedParser().parse(path, name=row["file"], media_type=None)
    except ParseError as error:
        return error.failure, error.message
    return None, " ".join(parsed.text.split())


def is_read(row: dict) -> bool:
    return Path(row["file"]).suffix.lower() in SUFFIXES


@pytest.mark.parametrize("row", cases("documents"))
def test_a_document_gives_the_text_that_is_in_it(row):
    failure, text = parse("documents", row)
    if failure is not None:
        allowed = None if is_read(row) else "unsupported_format"
        assert failure == UNREADABLE.get(row["file"], allowed)
    else:
        assert all(" ".join(each.split()) in text for each in row["expect_contains"] or [])


@pytest.mark.parametrize("row", cases("hostile"))
def test_a_hostile_file_is_read_or_refused_with_a_sentence(row):
    failure, text = parse("hostile", row)
    quoted = row["expect"].split('"')[1::2]
    if failure is None:
        assert row["class"] != "encrypted"
        assert all(word in text for each in quoted for word in each.split())
    else:
        assert failure in REFUSALS.get(row["class"], CLEAN)
        assert text.endswith(".")
        assert not (quoted and is_read(row))


@pytest.mark.skipif(not manifest("documents"), reason="no shared documents")
def test_arabic_ligatures_come_apart_the_right_way_round():
    failure, text = parse("documents", {"file": "docling__right_to_left_01.pdf"})
    assert failure is None
    assert text.startswith("تحسين الإنتاجية وحل المشكلات من خلال البرمجة")
