"""What fuzzing has found, small: each broke a parser or took a time that grows with its square."""

import gc
import time

import pytest

from pipelines.parse import asciidoc, contentlines, delimited, restructured, workbook
from pipelines.parse.extract import Unreadable
from tests.support.samples import sheet


def test_an_asciidoc_table_that_ends_at_its_border_is_no_block():
    found = asciidoc.parse(b"= Yew\n\n,===\n\n--\n")
    assert all(block.start < block.end for block in found.blocks)


def test_a_csv_field_of_any_length_is_a_field():
    found = delimited.parse(b"wood,note\nyew," + b"x" * 200_000 + b"\n")
    assert found.text.startswith("wood: yew | note: xxx")
    found = delimited.parse(b'wood,note\n"' + b"yew,dry\n" * 150_000)
    assert found.text.count("yew") == 150_000


def test_a_cell_beyond_every_sheet_is_refused_before_it_is_made_room_for():
    with pytest.raises(Unreadable):
        workbook.parse(sheet("A1", '<row r="1"><c r="ZZZZ99999999"><v>1</v></c></row>'))


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (restructured.parse, b"==  ==\na   b\n==  ==\n1   2\n==  ==\nn\n\n" * 10_000),
        (restructured.parse, b"a paragraph\n\n" * 50_000),
        (contentlines.parse, b"BEGIN:VCALENDAR\n" + b"BEGIN:VEVENT\nSUMMARY:x\n" * 50_000),
    ],
)
def test_time_grows_with_the_length_and_not_with_its_square(parse, data):
    def seconds(text: bytes) -> float:
        began = time.process_time()
        parse(text)
        return time.process_time() - began

    # Four times as much would be sixteen times as long. A collection of garbage would be counted,
    # and takes as long as the memory of the whole process is large.
    part = data[: len(data) // 4]
    gc.disable()
    try:
        whole, quarter = (min(seconds(text) for _ in range(2)) for text in (data, part))
    finally:
        gc.enable()
    assert whole < 10 * max(quarter, 0.02)
