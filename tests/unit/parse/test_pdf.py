"""PDF: pages, paragraphs, headings from bookmarks, and a clear word when there is no text."""

import pytest

from pipelines.parse import pdf, pdftext
from pipelines.parse.extract import Builder, Unreadable
from pipelines.parse.pdftext import Line
from tests.support import files

LINE = "The stave is split from the log and left in the loft for one whole year before"


def blocks(data: bytes):
    found = pdf.parse(data)
    return [(each.kind, each.page, found.text[each.start : each.end]) for each in found.blocks]


def files_text(pages) -> str:
    return pdf.parse(files.pdf(*pages)).text


def test_lines_become_paragraphs_with_their_page():
    data = files.pdf([LINE, LINE, "it is tillered."], [LINE, "The end."])
    assert blocks(data) == [
        ("text", 1, f"{LINE} {LINE} it is tillered."),
        ("text", 2, f"{LINE} The end."),
    ]


def test_items_of_a_list_stay_apart():
    data = files.pdf([LINE, "1. yew", "2. ash", LINE])
    assert [text for _, _, text in blocks(data)] == [LINE, "1. yew", "2. ash", LINE]


def test_bookmarks_make_the_lines_that_they_name_headings():
    data = files.pdf(
        ["1 Drying", LINE], ["2 Tillering", LINE], bookmarks=[("Drying", 0), ("Tillering", 1)]
    )
    found = pdf.parse(data)
    assert [each.headings for each in found.blocks] == [
        ("1 Drying",),
        ("1 Drying",),
        ("2 Tillering",),
        ("2 Tillering",),
    ]


def test_title_and_author_are_found():
    found = pdf.parse(files.pdf([LINE], info="/Title (On bows) /Author (Ada)"))
    assert (found.title, found.metadata) == ("On bows", {"author": "Ada"})


def test_headers_that_run_over_the_pages_are_dropped():
    pages = [
        ["Handbook of bows", *(f"{LINE} {n * other}." for other in (n, 7, 9)), f"Page {n} of 5"]
        for n in range(1, 6)
    ]
    text = files_text(pages)
    assert "Handbook" not in text
    assert "of 5" not in text
    assert text.count(LINE) == 15


def test_figures_that_do_not_count_pages_are_kept():
    pages = [["Invoice", f"{LINE}.", f"Total {n * n + 100} EUR"] for n in range(6)]
    assert files_text(pages).count("Total") == 6


def test_pages_that_are_all_alike_lose_nothing():
    assert files_text([["Form", LINE, "Signed"]] * 6).count(LINE) == 6


def test_a_few_pages_lose_nothing():
    pages = [["Handbook of bows", f"{LINE} {n}."] for n in range(3)]
    assert files_text(pages).count("Handbook") == 3


@pytest.mark.parametrize(
    ("raw", "mended"),
    [
        ("perio\ufffedically", ["periodically"]),
        ("e\ufb03cient \ufb01re", ["efficient fire"]),
        ("\ufefb", ["لا"]),
        ("one\r\n\r\n two  three ", ["one", "two three"]),
    ],
)
def test_hyphens_and_ligatures_are_mended(raw, mended):
    parts = [Line(part) for part in raw.split("\n")]
    assert [line.text for line in pdftext.lines_of(parts)] == mended


def test_a_hyphen_that_stands_elsewhere_too_is_kept():
    parts = [Line("chat-optimized and chat\ufffeoptimized and con\ufffefirmed")]
    assert pdftext.lines_of(parts)[0].text == "chat-optimized and chat-optimized and confirmed"


def test_larger_lines_are_headings_and_the_largest_the_outermost():
    lines = [Line("On Bows", 24.0), Line("and Arrows", 24.0), Line("Wood", 16.0)]
    builder = Builder()
    pdftext.add_pages(
        builder, [[*lines, *[Line(LINE, 11.0)] * 12, Line("Ash", 16.0), Line(LINE, 11.0)]], {}
    )
    found = builder.extract("application/pdf")
    assert [each.headings for each in found.blocks if each.kind == "heading"] == [
        ("On Bows and Arrows",),
        ("On Bows and Arrows", "Wood"),
        ("On Bows and Arrows", "Ash"),
    ]


def test_where_most_lines_are_larger_size_says_nothing():
    lines = [Line(LINE, 11.0), Line("a caption of more than a few words", 16.0)]
    assert pdftext.heading_sizes([lines]) == ()


@pytest.mark.parametrize(
    ("info", "title", "metadata"),
    [
        ("/Title (untitled) /Author (anonymous)", None, {}),
        ("/Title (Microsoft Word - bows.doc)", None, {}),
        (
            "/Title (bows.pdf) /CreationDate (D:20200131120000+01'00')",
            None,
            {"created": "2020-01-31T12:00:00+01:00"},
        ),
        ("/Author (J\\303\\266rg) /ModDate (D:2020)", None, {"author": "Jörg"}),
        ("/Title (On bows) /ModDate (D:20200131)", "On bows", {"modified": "2020-01-31"}),
    ],
)
def test_what_programs_write_in_nobodys_name_is_left_out(info, title, metadata):
    found = pdf.parse(files.pdf([LINE], info=info))
    assert (found.title, found.metadata) == (title, metadata)


def test_chinese_lines_are_joined_without_a_space():
    assert (
        pdftext.join(["弓在制作之前", "要干燥一年", "for a year"])
        == "弓在制作之前要干燥一年 for a year"
    )


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (files.pdf([], []), "needs_ocr"),
        (b"%PDF-1.4\nnothing else", "corrupt"),
        (files.pdf([LINE])[:200], "corrupt"),
    ],
)
def test_what_cannot_be_read_says_why(data, failure):
    with pytest.raises(Unreadable) as caught:
        pdf.parse(data)
    assert caught.value.failure == failure


def test_a_text_layer_without_a_character_map_asks_for_ocr():
    assert pdftext.is_garbled([[Line("aЯb cΣd"), Line("xЖy zΩw")] * 10])
    assert not pdftext.is_garbled([[Line("The α-helix of Müller 漢字とかな и кириллица")] * 10])
