"""The XML that Excel 2003 wrote and that many programs still export as `.xls`."""

from xml.etree.ElementTree import Element

from pipelines.parse import sheet, xmldata
from pipelines.parse.extract import Builder, Extract
from pipelines.parse.markup import text_of, tree_of_file

MEDIA_TYPE = "application/vnd.ms-excel"
_PROPERTIES = ("author", "subject", "created")
MAX_COLUMNS = 16_384


def parse(data: bytes) -> Extract:
    """Read the values of every sheet."""
    root = tree_of_file(data)
    sheets = root.findall("Worksheet")
    if not sheets:
        return xmldata.of_tree(root)
    builder = Builder()
    for each in sheets:
        sheet.add(builder, each.get("Name", ""), [_row(row) for row in each.iter("Row")])
    about = root.find("DocumentProperties")
    found = {} if about is None else {child.tag.lower(): text_of(child) for child in about}
    return builder.extract(
        MEDIA_TYPE,
        title=found.get("title"),
        metadata={key: value for key, value in found.items() if key in _PROPERTIES},
    )


def _row(row: Element) -> list[str]:
    """The values of a row; a cell may say in which column it is, counted from 1."""
    values: list[str] = []
    for cell in row.iter("Cell"):
        place = cell.get("Index", "")
        if place.isdigit() and len(values) < int(place) <= MAX_COLUMNS:
            values += [""] * (int(place) - 1 - len(values))
        values.append(text_of(cell.find("Data")))
    return values
