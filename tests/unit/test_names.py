"""A document's name is one line of text, short enough to be shown, and the same everywhere."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.names import MAX_NAME_BYTES, document_name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("guides/wood/yew.md", "guides/wood/yew.md"),
        ("../../etc/passwd", "../../etc/passwd"),  # data, so nothing is wrong with it
        ("Bo\u0308gen.md", "Bögen.md"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\x00b\x1b[2J.txt", "ab[2J.txt"),
        ("two\r\nlines\t.md", "two lines .md"),
        ("no\u00a0break.md", "no break.md"),
        ("lone\ud800.md", "lone\ufffd.md"),
        ("می‌خواهم.txt", "می‌خواهم.txt"),  # its joiner is part of the spelling
        (" \x00 ", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_a_name_is_one_line_without_anything_that_hides(given, name):
    assert document_name(given) == name


def test_a_long_name_keeps_its_beginning_and_its_ending_and_stays_itself():
    name = document_name("chapters/" + "ü" * 400 + ".md")
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.startswith("chapters/ü")
    assert name.endswith(".md")
    assert name != document_name("chapters/" + "ü" * 401 + ".md")


@given(st.text(st.characters(codec=None), max_size=400))
def test_a_name_of_a_name_is_itself(given):
    name = document_name(given)
    assert document_name(name) == name
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert unicodedata.is_normalized("NFC", name)
