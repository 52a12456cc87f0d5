"""CSV: any delimiter and encoding, every row with its header, no cell lost."""

import pytest

from pipelines.parse import delimited


def text(source: str, encoding: str = "utf-8") -> str:
    return delimited.parse(source.encode(encoding)).text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_content(delimiter):
    rows = [["wood", "use, mostly"], ["yew", "bow"], ["ash", "arrow"]]
    source = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    assert text(source) == "wood: yew | use, mostly: bow\nwood: ash | use, mostly: arrow"


def test_quoted_cells_may_hold_delimiters_and_lines():
    assert text('a,b\n"x, ""y""","two\nlines"\n') == 'a: x, "y" | b: two lines'


def test_a_first_row_with_numbers_is_not_a_header():
    assert text("1,2\n3,4") == "1 | 2\n3 | 4"


def test_rows_longer_than_the_header_keep_every_cell():
    assert text("a,b\n1,2,3\n4") == "a: 1 | b: 2 | 3\na: 4"


def test_cells_without_a_value_are_left_out():
    assert text("a,b,c\n1,,3\n,,\n") == "a: 1 | c: 3"


def test_a_quotation_mark_that_never_closes_swallows_nothing(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_FIELD", 1_000)
    lines = "\n".join(f"row {n},value {n}" for n in range(500))
    assert text(f'name,"value\n{lines}').count("value: value") == 500


def test_other_encodings_are_read():
    assert "佐藤太郎" in text("名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n", "cp932")


def test_the_table_is_one_block_so_that_rows_stay_whole():
    found = delimited.parse(b"a,b\n1,2\n3,4")
    assert [(each.kind, each.start, each.end) for each in found.blocks] == [
        ("table", 0, len(found.text))
    ]
