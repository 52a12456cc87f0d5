"""Scans are read by OCR where that is installed and wanted, and say so where they cannot be."""

import importlib.util
import io

import pypdfium2 as pdfium
import pytest

from pipelines.parse import scans
from pipelines.parse.scans import ScanReader
from tests.support import files
from twofold.errors import ConfigurationError, ParseError


def is_installed() -> bool:
    try:
        scans.require_ocr("eng")
    except ConfigurationError:
        return False
    return True


needs_engine = pytest.mark.skipif(not is_installed(), reason="tesseract and tesserocr are optional")


def scan(*lines: str, scale: float = 3.0) -> bytes:
    """A PDF that holds nothing but the picture of these lines."""
    shown = pdfium.PdfDocument(files.pdf(lines))[0].render(scale=scale)
    document = pdfium.PdfDocument.new()
    picture = pdfium.PdfImage.new(document)
    picture.set_bitmap(shown)
    picture.set_matrix(pdfium.PdfMatrix().scale(595, 842))
    page = document.new_page(595, 842)
    page.insert_obj(picture)
    page.gen_content()
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.pdf"


@needs_engine
def test_a_scan_is_read_with_its_page(path):
    path.write_bytes(scan("The longbow is made of yew", "and as tall as its archer."))
    reader = ScanReader("eng")
    try:
        parsed = reader.parse(path, name="scan.pdf", media_type=None)
    finally:
        reader.close()
    assert " ".join(parsed.text.split()) == "The longbow is made of yew and as tall as its archer."
    assert {each.page for each in parsed.blocks} == {1}
    assert parsed.metadata["ocr"] == "eng"


@needs_engine
def test_a_scan_of_nothing_still_says_what_it_lacks(path):
    path.write_bytes(scan())
    reader = ScanReader("eng")
    try:
        with pytest.raises(ParseError, match="TWOFOLD_OCR") as caught:
            reader.parse(path, name="scan.pdf", media_type=None)
    finally:
        reader.close()
    assert caught.value.failure == "needs_ocr"


@needs_engine
def test_a_pdf_with_text_is_not_read_twice(path):
    path.write_bytes(files.pdf(["The longbow"]))
    reader = ScanReader("eng")
    try:
        parsed = reader.parse(path, name="scan.pdf", media_type=None)
    finally:
        reader.close()
    assert "ocr" not in parsed.metadata


def test_a_language_without_data_is_refused_at_start():
    with pytest.raises(ConfigurationError, match="TWOFOLD_OCR"):
        ScanReader("tlh")


def test_without_the_engine_the_refusal_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"twofold\[server,ocr\]"):
        ScanReader("eng")
