"""DOC: the text by its pieces, headings by built-in style, and honest refusals."""

import pytest

from pipelines.parse import word97
from pipelines.parse.extract import Unreadable
from tests.support import office
from tests.support.compound import compound
from tests.support.parsing import blocks, texts


def test_headings_paragraphs_and_tables():
    text = "On Bows\rYew is best – 弓.\rwood\x07use\x07\x07yew\x07bow\x07\x07after\r"
    assert blocks(word97.parse(office.doc(text, styles=[1, 0]))) == [
        ("heading", ("On Bows",), "On Bows"),
        ("text", ("On Bows",), "Yew is best – 弓."),
        ("table", ("On Bows",), "wood | use\nyew | bow"),
        ("text", ("On Bows",), "after"),
    ]


def test_fields_show_their_results_and_other_marks_nothing():
    text = 'see \x13 HYPERLINK "x" \x14the page\x15\x01 and\x1e on\r'
    assert texts(word97.parse(office.doc(text))) == ["see the page and- on"]


@pytest.mark.parametrize(
    ("data", "failure", "words"),
    [
        (office.doc("x\r", flags=0x0100), "encrypted", "password"),
        (office.doc("x\r", version=0x65), "unsupported_format", "save it as DOCX"),
        (compound({"WordDocument": bytes(64)}), "unsupported_format", "before Word 97"),
        (office.doc("x\r")[:600], "corrupt", "damaged"),
    ],
)
def test_what_cannot_be_read_says_why(data, failure, words):
    with pytest.raises(Unreadable, match=words) as caught:
        word97.parse(data)
    assert caught.value.failure == failure
