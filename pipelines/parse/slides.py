"""PPTX: a slide is a page under its title, with its texts, tables, charts and notes."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from pipelines.parse import office, rows
from pipelines.parse.extract import Builder, Extract, Unreadable
from pipelines.parse.markup import descend, text_of, tree
from pipelines.parse.office import Related
from pipelines.parse.zipped import Container

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

_MAIN = "ppt/presentation.xml"
_SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml")
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("sldNum", "dt", "ftr", "hdr", "sldImg")


def parse(data: bytes) -> Extract:
    """Read the slides in the order in which they are shown."""
    container = Container(data)
    builder = Builder()
    names = _slides(container)
    if not names:
        raise Unreadable("corrupt", "The PPTX file has no slides in it; save it anew.")
    for page, name in enumerate(names, start=1):
        _Slide(container, name, builder, page).read()
    about = office.properties(container)
    return builder.extract(
        MEDIA_TYPE, title=about.pop("title", None) or builder.opening, metadata=about
    )


def _slides(container: Container) -> list[str]:
    related = office.relations(container, _MAIN)
    shown = []
    if _MAIN in container.names:
        root = tree(container.read(_MAIN))
        ids = (each.get("r:id", "") for each in root.iter("sldId"))
        shown = [related[each].target for each in ids if each in related]
    found = [name for name in shown if name in container.names]
    return found or sorted(filter(_SLIDE.fullmatch, container.names), key=_number)


def _number(name: str) -> int:
    match = _SLIDE.fullmatch(name)
    return int(match[1][:9]) if match else 0


class _Slide:
    def __init__(self, container: Container, name: str, builder: Builder, page: int) -> None:
        self._container = container
        self._name = name
        self._builder = builder
        self._page = page
        self._related = office.relations(container, name)

    def read(self) -> None:
        root = tree(self._container.read(self._name))
        shapes = list(descend(root, "sp", "graphicFrame"))
        title = next((each for each in shapes if _placeholder(each) in _TITLES), None)
        self._builder.outline.move(())
        if title is not None:
            self._builder.heading(1, text_of(title.find("txBody"), " "), page=self._page)
        for shape in shapes:
            if shape is title or _placeholder(shape) in _FURNITURE:
                continue
            if shape.tag == "sp":
                self._text(shape)
            else:
                self._frame(shape)
        self._notes()

    def _text(self, shape: Element) -> None:
        lines = list(_paragraphs(shape))
        self._builder.add("\n".join(lines), "list" if len(lines) > 1 else "text", page=self._page)

    def _frame(self, frame: Element) -> None:
        for table in frame.iter("tbl"):
            cells = [[text_of(cell, " ") for cell in row.iter("tc")] for row in table.iter("tr")]
            options = table.find("tblPr")
            named = options is not None and options.get("firstRow") in ("1", "true")
            self._table(cells, named=named and len(cells) > 1)
        for chart in frame.iter("chart"):
            part = self._part(chart.get("r:id", ""))
            if part is not None:
                self._chart(part)
        for diagram in frame.iter("relIds"):
            part = self._part(diagram.get("r:dm", ""))
            if part is not None:
                lines = (text_of(point, " ") for point in part.iter("t"))
                self._builder.add("\n".join(filter(None, lines)), "list", page=self._page)

    def _part(self, relation: str) -> Element | None:
        target = self._related.get(relation, Related("", "")).target
        return tree(self._container.read(target)) if target in self._container.names else None

    def _table(self, cells: list[list[str]], *, named: bool) -> None:
        header, body = (cells[0], cells[1:]) if named else ([], cells)
        self._builder.add(
            rows.render(body, header), "table", page=self._page, first_line_leads=not named
        )

    def _chart(self, chart: Element) -> None:
        """The title of a chart, and its numbers as a table of categories and series."""
        title = chart.find("./chart/title")
        self._builder.add(text_of(title, " "), page=self._page)
        series = list(chart.iter("ser"))
        categories = _points(series[0].find("cat")) if series else {}
        columns = [_points(each.find("val")) for each in series]
        names = [text_of(each.find("tx/strRef/strCache/pt/v")) or "value" for each in series]
        places = sorted({place for column in columns for place in column} | set(categories))
        table = [
            [categories.get(place, ""), *(column.get(place, "") for column in columns)]
            for place in places
        ]
        self._builder.add(rows.render(table, ["", *names]), "table", page=self._page)

    def _notes(self) -> None:
        for related in self._related.values():
            if related.kind == "notesSlide" and related.target in self._container.names:
                root = tree(self._container.read(related.target))
                notes = [
                    line
                    for shape in descend(root, "sp")
                    if _placeholder(shape) not in _FURNITURE
                    for line in _paragraphs(shape)
                ]
                if notes:
                    self._builder.add("Notes: " + "\n".join(notes), page=self._page)


def _placeholder(shape: Element) -> str:
    """What a shape stands for on its slide: a title, the number of the page ..."""
    found = next(shape.iter("ph"), None)
    return "" if found is None else found.get("type", "body")


def _paragraphs(shape: Element) -> Iterator[str]:
    body = shape.find("txBody")
    for paragraph in () if body is None else body.iter("p"):
        pieces = ("\n" if each.tag == "br" else each.text or "" for each in paragraph.iter())
        if line := "".join(pieces).strip():
            yield line


def _points(values: Element | None) -> dict[int, str]:
    """Numbers or names of a chart, by their place."""
    if values is None:
        return {}
    points = values.iter("pt")
    return {int(each.get("idx", "0")[:9] or 0): text_of(each.find("v")) for each in points}
