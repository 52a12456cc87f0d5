"""Plain text: any encoding, never nonsense; its paragraphs are the blocks."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.parse import text
from pipelines.parse.extract import Unreadable

FRENCH = "L’été, à Noël, où êtes-vous ? Ça dépend du château."
POLISH = "Zażółć gęślą jaźń. Łuk schnie przez rok."
SPANISH = "El arco se seca durante un año. ¿Cuántos años?"
RUSSIAN = "Однажды, в студеную зимнюю пору, я из лесу вышел; был сильный мороз."
GERMAN = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich."
JAPANESE = (
    "弓は、竹や木で作られた武器であり、矢を射るために使われる。日本では古くから用いられてきた。"
)


@pytest.mark.parametrize(
    ("written", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        (GERMAN, "utf-32"),
        (GERMAN, "latin-1"),
        (GERMAN, "cp850"),
        (FRENCH, "cp1252"),
        (POLISH, "cp1250"),
        (SPANISH, "latin-1"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (RUSSIAN, "cp866"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc-jp"),
        (JAPANESE, "utf-16"),
        (JAPANESE + "\n", "utf-16-le"),
        (JAPANESE + "\n", "utf-16-be"),
        (JAPANESE, "iso2022_jp"),
        (RUSSIAN, "utf-16-be"),
        (GERMAN, "cp500"),
    ],
)
def test_text_of_any_encoding_is_read_as_written(written, encoding):
    assert text.parse(written.encode(encoding)).text == written


def test_a_few_broken_bytes_do_not_spoil_the_rest():
    data = (GERMAN * 20).encode() + b"\xc3"
    assert text.parse(data).text.startswith(GERMAN)


@pytest.mark.parametrize("data", [b"\x00\x01\x02\x03binary", b"text\x00text", bytes(range(256))])
def test_binary_content_is_refused(data):
    with pytest.raises(Unreadable) as caught:
        text.parse(data)
    assert caught.value.failure == "unsupported_format"


def test_too_much_text_is_refused(monkeypatch):
    monkeypatch.setattr(text, "MAX_TEXT", 10)
    with pytest.raises(Unreadable) as caught:
        text.parse(b"more than ten")
    assert caught.value.failure == "too_large"


def test_text_is_normalised():
    found = text.parse("e\u0301te\u0301\r\nnew\rline\x0bpage\x07\u00ad".encode())
    assert found.text == "été\nnew\nline\npage"


def test_paragraphs_are_blocks():
    found = text.parse(b"\n one\ntwo \n \n\n three\n")
    assert [found.text[each.start : each.end] for each in found.blocks] == [" one\ntwo ", " three"]


@given(st.text())
def test_any_text_is_read_and_all_that_shows_is_in_blocks(written):
    found = text.from_text(written)
    assert not set(found.text) & set("\r\0\ud800")
    inside = "".join(found.text[each.start : each.end] for each in found.blocks)
    assert "".join(inside.split()) == "".join(found.text.split())


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    with suppress(Unreadable):
        text.parse(data).text.encode()


def test_endless_combining_marks_take_no_endless_time():
    marks = "\u0315\u0300\u05ae\u0338" * 250_000  # in no order: normalising sorts them
    extract = text.from_text(f"a{marks} and Bo\u0308gen\u0301\u0316 ── ─{'─' * 100}")
    assert len(extract.text) < 200
    assert extract.text.endswith(f"and Bögeń\u0316 ── ─{'─' * 100}")
