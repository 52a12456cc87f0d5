"""ODT, ODS and ODP: one vocabulary, read in order, with what repeats kept in bounds."""

import pytest

from pipelines.parse import opendocument
from pipelines.parse.extract import Unreadable
from tests.support import files, office
from tests.support.parsing import blocks, texts


def parsed(kind: str, body: str, **more: str):
    return opendocument.parse(office.odf(kind, body, **more))


def cells(*values: str) -> str:
    inner = "".join(
        f"<table:table-cell><text:p>{each}</text:p></table:table-cell>" for each in values
    )
    return f"<table:table-row>{inner}</table:table-row>"


def test_headings_lists_and_spaces_of_a_text():
    body = (
        '<text:h text:outline-level="1">Bows</text:h><text:h text:outline-level="2">Wood</text:h>'
        "<text:list><text:list-item><text:p>Yew<text:s text:c='2'/>best</text:p></text:list-item>"
        "</text:list><text:p>one<text:line-break/>two</text:p>"
    )
    assert blocks(parsed("text", body)) == [
        ("heading", ("Bows",), "Bows"),
        ("heading", ("Bows", "Wood"), "Wood"),
        ("list", ("Bows", "Wood"), "Yew  best"),
        ("text", ("Bows", "Wood"), "one\ntwo"),
    ]


def test_deleted_text_comments_and_contents_are_left_out():
    body = (
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>"
        "<text:table-of-content><text:p>Bows 1</text:p></text:table-of-content>"
        "<text:p>kept<office:annotation><text:p>who?</text:p></office:annotation></text:p>"
    )
    assert texts(parsed("text", body)) == ["kept"]


def test_title_author_and_dates_are_metadata():
    meta = (
        '<dc:title xmlns:dc="d">On Bows</dc:title><meta:initial-creator>Ada</meta:initial-creator>'
        "<meta:creation-date>2020-01-02T03:04:05</meta:creation-date>"
    )
    found = parsed("text", "<text:p>x</text:p>", meta=meta)
    assert found.title == "On Bows"
    assert found.metadata == {"author": "Ada", "created": "2020-01-02T03:04:05"}


def test_header_rows_of_a_table_name_the_columns():
    table = (
        f"<table:table><table:table-header-rows>{cells('wood', 'use')}</table:table-header-rows>"
        f"{cells('yew', 'bow')}</table:table>"
    )
    assert texts(parsed("text", table)) == ["wood: yew | use: bow"]


def test_sheets_are_sections_and_repeats_are_bounded():
    edge = (
        '<table:table-row table:number-rows-repeated="1048576"><table:table-cell '
        'table:number-columns-repeated="16384"/></table:table-row>'
    )
    twice = '<table:table-row table:number-rows-repeated="2"><table:table-cell><text:p>3</text:p>'
    sheet = (
        f'<table:table table:name="Bows">{cells("wood", "use")}{cells("yew", "bow")}'
        f"{twice}</table:table-cell></table:table-row>{edge}</table:table>"
    )
    found = parsed("spreadsheet", sheet)
    assert texts(found) == ["Bows", "wood: yew | use: bow\nwood: 3\nwood: 3"]
    assert found.media_type == "application/vnd.oasis.opendocument.spreadsheet"


def test_slides_are_pages_with_titles_and_notes():
    body = (
        '<draw:page><draw:frame presentation:class="title"><text:p>Bows</text:p></draw:frame>'
        "<text:p>Yew</text:p><presentation:notes><text:p>slowly</text:p></presentation:notes>"
        "</draw:page><draw:page><text:p>end</text:p></draw:page>"
    )
    found = parsed("presentation", body)
    assert [(b.page, b.headings) for b in found.blocks][1:] == [
        (1, ("Bows",)),
        (1, ("Bows",)),
        (2, ()),
    ]
    assert texts(found) == ["Bows", "Yew", "Notes: slowly", "end"]


def test_a_flat_file_is_read_and_other_xml_under_that_name_too():
    flat = (
        f'<office:document {office.ODF} office:mimetype="x"><office:body><office:text>'
        "<text:p>flat</text:p></office:text></office:body></office:document>"
    )
    assert texts(opendocument.parse(flat.encode())) == ["flat"]
    assert texts(opendocument.parse(b"<document><a>other</a></document>")) == ["document.a: other"]


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (files.zipped({"mimetype": "application/vnd.oasis.opendocument.text"}), "corrupt"),
        (office.odf("text", "<text:p>" * 5_000), "corrupt"),
        (office.odf("text", "</office:body>"), "corrupt"),
        (
            office.odf("text", "", META_INF__manifest="<m/>").replace(b"META_INF", b"META-INF"),
            None,
        ),
        (office.odf("text", "")[:200], "corrupt"),
    ],
)
def test_what_cannot_be_read_says_so(data, failure):
    if failure is None:
        assert opendocument.parse(data).text == ""
        return
    with pytest.raises(Unreadable) as caught:
        opendocument.parse(data)
    assert caught.value.failure == failure


def test_an_encrypted_document_says_so():
    data = files.zipped(
        {"content.xml": "<x/>", "META-INF/manifest.xml": "<m><encryption-data/></m>"}
    )
    with pytest.raises(Unreadable) as caught:
        opendocument.parse(data)
    assert caught.value.failure == "encrypted"
