"""PPTX and PPT: a slide is a page under its title, with tables, charts and notes."""

import pytest

from pipelines.parse import slides, slides97
from pipelines.parse.extract import Unreadable
from tests.support import files, office
from tests.support.compound import compound
from tests.support.office import shape
from tests.support.parsing import blocks, texts

TABLE = (
    '<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tblPr firstRow="1"/>'
    + "".join(
        "<a:tr>"
        + "".join(f"<a:tc><a:txBody><a:p><a:t>{c}</a:t></a:p></a:txBody></a:tc>" for c in r)
        + "</a:tr>"
        for r in (("wood", "use"), ("yew", "bow"))
    )
    + "</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
)
CHART = (
    '<c:chartSpace xmlns:c="c" xmlns:a="a"><c:chart><c:title><a:t>Bows a year</a:t></c:title>'
    "<c:plotArea><c:barChart><c:ser><c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>yew</c:v>"
    "</c:pt></c:strCache></c:strRef></c:tx><c:cat><c:strRef><c:strCache><c:pt idx='0'>"
    "<c:v>2020</c:v></c:pt><c:pt idx='1'><c:v>2021</c:v></c:pt></c:strCache></c:strRef></c:cat>"
    "<c:val><c:numRef><c:numCache><c:pt idx='0'><c:v>3</c:v></c:pt><c:pt idx='1'><c:v>5</c:v>"
    "</c:pt></c:numCache></c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart>"
    "</c:chartSpace>"
)


def test_slides_are_pages_in_the_order_in_which_they_are_shown():
    found = slides.parse(office.pptx(shape("Bows", kind="title"), shape("Arrows", kind="ctrTitle")))
    assert [(each.page, each.headings) for each in found.blocks] == [
        (1, ("Bows",)),
        (2, ("Arrows",)),
    ]


def test_the_title_heads_its_slide_wherever_it_stands():
    found = slides.parse(office.pptx(shape("Yew\nAsh") + shape("Woods", kind="title")))
    assert blocks(found) == [
        ("heading", ("Woods",), "Woods"),
        ("list", ("Woods",), "Yew\nAsh"),
    ]


def test_numbers_dates_and_footers_of_slides_are_left_out():
    found = slides.parse(
        office.pptx(shape("kept") + shape("7", kind="sldNum") + shape("f", kind="ftr"))
    )
    assert texts(found) == ["kept"]


def test_tables_and_groups_are_read():
    found = slides.parse(office.pptx(f"<p:grpSp>{shape('inside')}</p:grpSp>{TABLE}"))
    assert texts(found) == ["inside", "wood: yew | use: bow"]


def test_a_chart_gives_its_title_and_its_numbers():
    frame = '<p:graphicFrame><c:chart xmlns:c="c" r:id="rId9"/></p:graphicFrame>'
    data = office.pptx(
        frame,
        relations={0: [("rId9", "chart", "../charts/chart1.xml")]},
        parts={"ppt/charts/chart1.xml": CHART},
    )
    assert texts(slides.parse(data)) == ["Bows a year", "2020 | yew: 3\n2021 | yew: 5"]


def test_notes_follow_their_slide():
    notes = f'<p:notes xmlns:p="{office.P}" xmlns:a="{office.A}">{shape("slowly")}</p:notes>'
    data = office.pptx(
        shape("Bows", kind="title"),
        relations={0: [("rId1", "notesSlide", "../notesSlides/notesSlide1.xml")]},
        parts={"ppt/notesSlides/notesSlide1.xml": notes},
    )
    assert blocks(slides.parse(data))[1] == ("text", ("Bows",), "Notes: slowly")


def test_relations_that_lead_nowhere_are_no_fault():
    frame = '<p:graphicFrame><c:chart xmlns:c="c" r:id="rId9"/></p:graphicFrame>'
    data = office.pptx(
        shape("x") + frame, relations={0: [("rId9", "chart", "../../../etc/passwd")]}
    )
    assert texts(slides.parse(data)) == ["x"]


@pytest.mark.parametrize(
    "data",
    [
        files.zipped({"ppt/presentation.xml": "<p/>"}),
        office.pptx("<p:sp>" * 5_000),
        office.pptx("</p:spTree>"),
        office.pptx(shape("x"))[:400],
        files.zipped({"ppt/slides/slide1.xml": '<!DOCTYPE x [<!ENTITY a "boom">]><x>&a;</x>'}),
    ],
)
def test_what_cannot_be_read_says_so(data):
    with pytest.raises(Unreadable) as caught:
        slides.parse(data)
    assert caught.value.failure == "corrupt"


def test_old_slides_have_their_titles_and_lists():
    found = slides97.parse(office.ppt([(0, "Bows"), (1, "Yew\rAsh")], [(6, "Bögen 弓")]))
    assert blocks(found) == [
        ("heading", ("Bows",), "Bows"),
        ("list", ("Bows",), "Yew\nAsh"),
        ("heading", ("Bögen 弓",), "Bögen 弓"),
    ]
    assert [each.page for each in found.blocks] == [1, 1, 2]


def test_shapes_drawn_on_old_slides_are_read():
    text = office.record(0x0FA8, b"drawn")
    drawing = office.record(0x040C, office.record(0xF00D, text), container=True)
    stream = office.record(0x03EE, drawing, container=True)
    assert texts(slides97.parse(compound({"PowerPoint Document": stream}))) == ["drawn"]


def test_records_of_old_slides_that_nest_without_end_are_given_up():
    stream = b""
    for _ in range(2_000):
        stream = office.record(0x040C, stream, container=True)
    stream = office.record(0x03EE, stream, container=True)
    assert slides97.parse(compound({"PowerPoint Document": stream})).text == ""


def test_encrypted_old_slides_say_so():
    with pytest.raises(Unreadable) as caught:
        slides97.parse(compound({"PowerPoint Document": b"", "EncryptedSummary": b""}))
    assert caught.value.failure == "encrypted"
