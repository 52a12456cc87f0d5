"""XLSX and XLS: sheets with their titles and tables, and no room for sheets without end."""

import pytest

from pipelines.parse import excel2003, workbook
from pipelines.parse.extract import Unreadable
from tests.support import office
from tests.support.office import row
from tests.support.parsing import blocks, texts


def test_a_sheet_is_a_section_and_every_row_keeps_its_header():
    found = workbook.parse(office.xlsx(Bows=row(1, "wood", "mm") + row(2, "yew", 180)))
    assert blocks(found) == [
        ("heading", ("Bows",), "Bows"),
        ("table", ("Bows",), "wood: yew | mm: 180"),
    ]


def test_a_title_above_a_table_and_empty_rows_divide_a_sheet():
    rows = row(1, "Bows a year", "", "") + row(2, "year", "yew", "ash") + row(3, 2020, 3, 4)
    found = workbook.parse(office.xlsx(Data=rows + row(5, "counted by hand")))
    assert texts(found) == [
        "Data",
        "Bows a year",
        "year: 2020 | yew: 3 | ash: 4",
        "counted by hand",
    ]


def test_a_table_may_begin_anywhere():
    rows = row(7, "wood", "use", first="D") + row(8, "yew", "bow", first="D")
    assert texts(workbook.parse(office.xlsx(S=rows)))[1] == "wood: yew | use: bow"


def test_without_a_header_the_first_row_leads():
    found = workbook.parse(office.xlsx(S=row(1, 1, 2) + row(2, 3, 4)))
    assert blocks(found)[1] == ("table", ("S",), "1 | 2\n3 | 4")
    assert found.blocks[1].lead == 5


def test_the_name_of_a_column_without_values_is_not_lost():
    found = workbook.parse(office.xlsx(S=row(1, "wood", "use", "note") + row(2, "yew", "bow", "")))
    assert texts(found)[1] == "wood | use | note\nyew | bow"


def test_empty_sheets_are_left_out():
    found = workbook.parse(office.xlsx(Empty="", Full=row(1, "x", "y")))
    assert texts(found, "heading") == ["Full"]


def test_numbers_are_written_as_people_write_them():
    found = workbook.parse(office.xlsx(S=row(1, 3.0, 0.1, 1e20, -7)))
    assert texts(found)[1] == "3 | 0.1 | 1e+20 | -7"


@pytest.mark.parametrize(
    "far",
    ['<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>', '<c r="ALL999999"><v>1</v></c>'],
)
def test_two_cells_far_apart_are_refused_before_anything_is_laid_out(far):
    with pytest.raises(Unreadable) as caught:
        workbook.parse(office.xlsx(S=row(1, "x") + far))
    assert caught.value.failure == "too_large"


@pytest.mark.parametrize(
    "data",
    [
        office.xlsx(S=row(1, "x"))[:500],
        office.xlsx(S='<row r="9999999"><c r="ZZZ9999999"><v>1</v></c></row>'),
    ],
)
def test_what_cannot_be_read_says_so(data):
    with pytest.raises(Unreadable) as caught:
        workbook.parse(data)
    assert caught.value.failure == "corrupt"


def test_old_workbooks_are_read_as_well():
    found = workbook.parse(office.xls(["wood", "use"], ["yew", "bow"]))
    assert texts(found) == ["Sheet1", "wood: yew | use: bow"]


def test_a_locked_old_workbook_says_so():
    with pytest.raises(Unreadable) as caught:
        workbook.parse(office.xls(["x"], locked=True))
    assert caught.value.failure == "encrypted"


def test_the_xml_of_excel_2003_is_read():
    cells = "<Cell><Data>wood</Data></Cell><Cell ss:Index='3'><Data>use</Data></Cell>"
    data = (
        '<?xml version="1.0"?><Workbook xmlns="urn:x" xmlns:ss="urn:s"><Worksheet ss:Name="Bows">'
        f"<Table><Row>{cells}</Row><Row>{cells.replace('wood', 'yew')}</Row></Table></Worksheet>"
        "</Workbook>"
    )
    assert texts(excel2003.parse(data.encode()))[0] == "Bows"
    assert "wood" in excel2003.parse(data.encode()).text
