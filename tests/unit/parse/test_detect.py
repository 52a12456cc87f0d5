"""What a file is: its content decides, then its name, then what the caller claims."""

import importlib

import pytest

from pipelines.parse import formats
from pipelines.parse.detect import UnopenedArchive, detect
from pipelines.parse.extract import Unreadable
from tests.support import files, office
from tests.support.compound import compound

PDF = files.pdf(["Bows"])
DOCX = files.docx("")
JATS = "a journal article in XML"


@pytest.mark.parametrize(
    ("data", "suffix", "media_type", "name"),
    [
        (PDF, "", None, "a PDF"),
        (PDF, ".txt", "text/plain", "a PDF"),
        (b"\r\n junk first\n" + PDF, ".pdf", None, "a PDF"),
        (DOCX, ".pdf", None, "a DOCX"),
        (DOCX, "", "application/octet-stream", "a DOCX"),
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
        (b"%PDF- is how it begins", ".md", None, "a PDF"),
        (b"print('x')", ".py", None, "source code"),
        (b"{\\rtf1 text}", ".doc", None, "an RTF document"),
        (b"<html><table><tr><td>1", ".xls", None, "HTML"),
        (b"wood\tuse\nyew\tbow\n", ".xls", None, "CSV"),
        (b"wood;use\nyew;bow\n", ".xls", None, "CSV"),
        (b"<?xml version='1.0'?><x/>", ".xml", None, "XML"),
        (b"<?xml version='1.0'?><!-- a --><rss version='2.0'>", ".xml", None, "a feed"),
        (b"<!DOCTYPE article PUBLIC 'a' 'b' [<!ELEMENT a ANY>]><article>", ".xml", None, JATS),
        ("<?xml version='1.0'?><FictionBook>".encode("utf-16"), "", None, "an FB2 book"),
        (b"<ss:Workbook xmlns:ss='urn'>", ".xls", None, "an Excel 2003 XML file"),
        (b"From: a@b.c\r\nTo: d@e.f\r\nSubject: x\r\n y\r\n\r\nz", ".txt", None, "an e-mail"),
        (b"From a@b.c Mon Jan 1\nFrom: a@b.c\n\nz", "", None, "a mailbox"),
        (b"From here on it is text.", "", None, "text"),
        (b"BEGIN:VCALENDAR\r\n", "", None, "a calendar"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nx", "", None, "subtitles"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nx", ".txt", None, "subtitles"),
        (b'{"cells": [], "nbformat": 4}', ".json", None, "a notebook"),
        (b"% a paper\n\\documentclass{article}", "", None, "LaTeX"),
        (office.odf("text", ""), ".zip", None, "an ODT"),
        (office.odf("spreadsheet", ""), "", None, "an ODS"),
        (files.zipped({"mimetype": "application/epub+zip"}), "", None, "an EPUB"),
        (files.zipped({"book.fb2": "<FictionBook/>"}), ".zip", None, "an FB2 book"),
        (office.doc("x\r"), ".txt", None, "a DOC"),
        (office.xls(["x"]), ".doc", None, "an XLS"),
        (office.ppt([(0, "x")]), "", None, "a PPT"),
        (office.msg({}), "", None, "an Outlook message"),
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
        (b"x" * 257 + b"ustar\0", ".tar", "unsupported_format", "a tar archive"),
        (files.zipped({"Index/Document.iwa": ""}), ".pages", "unsupported_format", "iWork"),
        (compound({"BodyText/Section0": b""}), ".hwp", "unsupported_format", "a Hangul"),
        (compound({"VisioDocument": b""}), ".vsd", "unsupported_format", "a Visio drawing"),
        (compound({"a": b""}), ".doc", "unsupported_format", "an old Office file"),
        (b"%!PS-Adobe-3.0", ".ps", "unsupported_format", "a PostScript file"),
        (files.zipped({"a.txt": "x"}), ".zip", "unsupported_format", "a ZIP archive"),
        (DOCX[:100], ".docx", "corrupt", "is damaged or cut off"),
        (b"not a pdf at all", ".pdf", "corrupt", "called a PDF"),
        (b"not a docx at all", ".docx", "corrupt", "called a DOCX"),
        (
            compound({"EncryptedPackage": b"", "EncryptionInfo": b""}),
            ".docx",
            "encrypted",
            "needs a password",
        ),
        (bytes.fromhex("d0cf11e0a1b11ae1"), ".doc", "corrupt", "is damaged or cut off"),
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
    with pytest.raises(Unreadable, match="it reads PDF, Office"):
        detect(b"GIF89a\0", suffix="", media_type=None)


@pytest.mark.parametrize("data", [files.zipped({"a.txt": "x"}), b"\x1f\x8b\x08\0"])
def test_an_archive_says_what_to_do_with_it(data):
    with pytest.raises(UnopenedArchive, match="upload the files that are in it"):
        detect(data, suffix="", media_type=None)


def test_no_two_formats_claim_the_same_and_every_parser_exists():
    for field in ("suffixes", "media_types"):
        claims = [claim for each in formats.FORMATS for claim in getattr(each, field)]
        assert len(claims) == len(set(claims))
    for each in formats.FORMATS:
        assert callable(importlib.import_module(each.parser).parse)
