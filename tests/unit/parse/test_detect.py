"""What a file is: its content decides, then its name, then what the caller claims."""

import importlib

import pytest

from pipelines.parse import formats
from pipelines.parse.detect import detect
from pipelines.parse.extract import Unreadable
from tests.support import files

PDF = files.pdf(["Bows"])
DOCX = files.docx("")


@pytest.mark.parametrize(
    ("data", "suffix", "media_type", "name"),
    [
        (PDF, "", None, "PDF"),
        (PDF, ".txt", "text/plain", "PDF"),
        (b"\r\n junk first\n" + PDF, ".pdf", None, "PDF"),
        (DOCX, ".pdf", None, "DOCX"),
        (DOCX, "", "application/octet-stream", "DOCX"),
        (b"# Bows", ".md", None, "Markdown"),
        (b"# Bows", ".MD", None, "Markdown"),
        (b"# Bows", "", "text/markdown; charset=utf-8", "Markdown"),
        (b"<p align=center>Readme</p>", ".md", None, "Markdown"),
        (b"# Bows", "", None, "text"),
        (b"a,b\n1,2", ".csv", None, "CSV"),
        (b"a,b\n1,2", "", "text/csv", "CSV"),
        (b"  <!DOCTYPE html><p>x", "", None, "HTML"),
        (b"<!-- x --><html lang=en>", ".txt", None, "HTML"),
        (b'<?xml version="1.0"?><html xmlns="x">', ".xhtml", None, "HTML"),
        (b'{"a": [1]}', "", None, "JSON"),
        (b'{"a": 1}\n{"a": 2}', ".log", None, "JSON"),
        (b"{curly text}", ".txt", None, "text"),
        (b"[1] a reference", "", None, "text"),
        (b"MZ is how it begins", ".txt", None, "text"),
        (b"%PDF- is how it begins", ".md", None, "PDF"),
        (b"print('x')", ".py", None, "text"),
    ],
)
def test_the_format_is_found(data, suffix, media_type, name):
    assert detect(data, suffix=suffix, media_type=media_type).name == name


@pytest.mark.parametrize(
    ("data", "suffix", "failure", "words"),
    [
        (b"MZ\x90\0\x03\0\0\0", ".pdf", "unsupported_format", "a Windows program"),
        (b"\x7fELF\x02\x01", "", "unsupported_format", "a Linux program"),
        (b"\x89PNG\r\n\x1a\n", ".docx", "unsupported_format", "a PNG image"),
        (b"\x1f\x8b\x08\0", ".gz", "unsupported_format", "a gzip archive"),
        (b"{\\rtf1 text}", ".rtf", "unsupported_format", "an RTF document"),
        (b"<?xml version='1.0'?><x/>", ".xml", "unsupported_format", "an XML file"),
        (files.zipped({"a.txt": "x"}), ".zip", "unsupported_format", "a ZIP archive"),
        (DOCX[:100], ".docx", "corrupt", "The DOCX file is damaged"),
        (b"not a pdf at all", ".pdf", "corrupt", "called a PDF"),
        (b"not a docx at all", ".docx", "corrupt", "called a DOCX"),
        (
            bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le"),
            ".docx",
            "encrypted",
            "needs a password",
        ),
        (bytes.fromhex("d0cf11e0a1b11ae1"), ".doc", "unsupported_format", "before 2007"),
    ],
)
def test_what_is_not_read_says_what_it_is(data, suffix, failure, words):
    with pytest.raises(Unreadable, match=words) as caught:
        detect(data, suffix=suffix, media_type=None)
    assert caught.value.failure == failure


def test_a_zip_with_endless_entries_is_refused():
    data = files.zipped({f"word/{n}": "" for n in range(10_001)})
    with pytest.raises(Unreadable) as caught:
        detect(data, suffix=".docx", media_type=None)
    assert caught.value.failure == "too_large"


def test_the_refusal_names_what_is_read():
    with pytest.raises(Unreadable, match="it reads CSV, DOCX, HTML, JSON, Markdown, PDF and text"):
        detect(b"GIF89a\0", suffix="", media_type=None)


def test_no_two_formats_claim_the_same_and_every_parser_exists():
    for field in ("suffixes", "media_types"):
        claims = [claim for each in formats.FORMATS for claim in getattr(each, field)]
        assert len(claims) == len(set(claims))
    for each in formats.FORMATS:
        assert callable(importlib.import_module(each.parser).parse)
