"""DOCX: paragraphs, headings in any language, lists, tables, and no way in for XML bombs."""

import io
import zipfile

import pytest

from pipelines.parse import word, zipped
from pipelines.parse.extract import Unreadable
from tests.support import files
from tests.support.files import STRICT_W, W

STYLES = f"""<w:styles xmlns:w="{W}">
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Kapitel"><w:name w:val="Kapitel"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:styleId="Gliederung"><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
<w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
<w:style w:styleId="Kreis"><w:name w:val="Circle"/><w:basedOn w:val="Kreis"/></w:style>
</w:styles>"""


def p(text: str, style: str = "", properties: str = "") -> str:
    style = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{style}{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def table(*rows: list[str], header: bool = False) -> str:
    mark = "<w:trPr><w:tblHeader/></w:trPr>" if header else ""
    return (
        "<w:tbl>"
        + "".join(
            f"<w:tr>{mark if index == 0 else ''}"
            + "".join(f"<w:tc>{cell if '<' in cell else p(cell)}</w:tc>" for cell in row)
            + "</w:tr>"
            for index, row in enumerate(rows)
        )
        + "</w:tbl>"
    )


def blocks(data: bytes):
    found = word.parse(data)
    return [(each.kind, each.headings, found.text[each.start : each.end]) for each in found.blocks]


def test_headings_are_known_by_outline_level_in_any_language():
    body = p("Bögen", "berschrift1") + p("Holz", "Gliederung") + p("Eibe.") + p("Neu", "Kapitel")
    assert blocks(files.docx(body, word__styles=STYLES)) == [
        ("heading", ("Bögen",), "Bögen"),
        ("heading", ("Bögen", "Holz"), "Holz"),
        ("text", ("Bögen", "Holz"), "Eibe."),
        ("heading", ("Neu",), "Neu"),
    ]


def test_a_paragraph_may_carry_its_own_outline_level():
    body = p("Bows", properties='<w:outlineLvl w:val="0"/>') + p("body", "Kreis")
    assert blocks(files.docx(body, word__styles=STYLES))[1] == ("text", ("Bows",), "body")


def test_the_title_style_gives_the_title():
    found = word.parse(files.docx(p("On Bows", "Titel") + p("x"), word__styles=STYLES))
    assert found.title == "On Bows"


def test_properties_give_title_and_author():
    core = (
        '<c xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>On bows</dc:title><dc:creator>Ada</dc:creator></c>"
    )
    found = word.parse(files.docx(p("x"), docProps__core=core))
    assert (found.title, found.metadata) == ("On bows", {"author": "Ada"})


def test_tables_survive_in_their_place_row_by_row():
    body = p("before") + table(["wood", "use"], ["yew", "bow"]) + p("after")
    assert blocks(files.docx(body)) == [
        ("text", (), "before"),
        ("table", (), "wood | use\nyew | bow"),
        ("text", (), "after"),
    ]


def test_a_declared_header_goes_with_every_row():
    body = table(["wood", "use"], ["yew", "bow"], ["ash", "arrow"], header=True)
    assert blocks(files.docx(body)) == [
        ("table", (), "wood: yew | use: bow\nwood: ash | use: arrow")
    ]


def test_a_table_in_a_table_stays_in_its_cell():
    body = table(["outer", table(["inner", "cell"])])
    assert blocks(files.docx(body)) == [("table", (), "outer | inner | cell")]


def test_items_of_a_list_are_of_that_kind():
    assert blocks(files.docx(p("yew", properties="<w:numPr/>")))[0][0] == "list"


def test_deleted_moved_and_repeated_text_is_left_out():
    body = (
        "<w:p><w:r><w:t>kept</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom>"
        "<mc:AlternateContent><mc:Choice><w:r><w:t> once</w:t></w:r></mc:Choice>"
        "<mc:Fallback><w:r><w:t>twice</w:t></w:r></mc:Fallback></mc:AlternateContent>"
        "<w:r><w:tab/><w:t>and</w:t><w:br/><w:t>on</w:t></w:r></w:p>"
    )
    assert word.parse(files.docx(body)).text == "kept once\tand\non"


def test_a_text_box_is_a_paragraph_of_its_own():
    box = f"<w:r><w:txbxContent>{p('boxed')}</w:txbxContent></w:r>"
    body = f"<w:p><w:r><w:t>around</w:t></w:r>{box}</w:p>"
    assert word.parse(files.docx(body)).text == "boxed\n\naround"


def test_footnotes_follow_the_body():
    notes = f'<w:footnotes xmlns:w="{W}"><w:footnote>{p("the note")}</w:footnote></w:footnotes>'
    assert word.parse(files.docx(p("body"), word__footnotes=notes)).text == "body\n\nthe note"


def test_the_strict_namespaces_are_read_as_well():
    assert word.parse(files.docx(p("strict"), namespace=STRICT_W)).text == "strict"


def test_an_external_entity_is_not_fetched():
    prolog = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    assert word.parse(files.docx(p("here: &e;"), prolog=prolog)).text == "here:"


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (files.docx(p("&a;"), prolog='<!DOCTYPE x [<!ENTITY a "boom">]>'), "corrupt"),
        (files.docx("<w:p>" * 5_000), "corrupt"),
        (files.docx("</w:body>"), "corrupt"),
        (files.zipped({"word/other.xml": "<x/>"}), "corrupt"),
        (files.docx(p("x"))[:300], "corrupt"),
    ],
)
def test_what_cannot_be_read_says_why(data, failure):
    with pytest.raises(Unreadable) as caught:
        word.parse(data)
    assert caught.value.failure == failure


def test_a_part_that_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(zipped, "MAX_PART", 1_000_000)
    with pytest.raises(Unreadable, match="unpacks to more than") as caught:
        word.parse(files.docx(p("x" * 2_000_000)))
    assert caught.value.failure == "too_large"


def test_an_encrypted_part_says_so():
    data = bytearray(files.docx(p("x")))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        offset = archive.getinfo("word/document.xml").header_offset
    data[offset + 6] |= 1
    directory = data.rindex(b"word/document.xml") - 46
    data[directory + 8] |= 1
    with pytest.raises(Unreadable) as caught:
        word.parse(bytes(data))
    assert caught.value.failure == "encrypted"
