"""XML: journals, feeds and anything else; entities and depth have their bounds."""

import pytest

from pipelines.parse import feed, journal, markup, xmldata
from pipelines.parse.extract import Unreadable
from tests.support.parsing import blocks, texts

JATS = b"""<article><front><journal-meta><journal-title>Wood</journal-title></journal-meta>
<article-meta><article-id pub-id-type="doi">10.1/x</article-id><title-group><article-title>On
<italic>Bows</italic></article-title></title-group><contrib-group><contrib contrib-type="author">
<name><surname>Lovelace</surname><given-names>Ada</given-names></name></contrib><contrib
contrib-type="editor"><name><surname>No</surname></name></contrib></contrib-group><pub-date>
<day>2</day><month>1</month><year>2020</year></pub-date><abstract><p>Short.</p></abstract>
<kwd-group><kwd>yew</kwd><kwd>ash</kwd></kwd-group></article-meta></front><body><sec><title>Wood
</title><p>Yew<xref>1</xref> is best.</p><sec><title>Drying</title><p>Slowly: <list><list-item>
<p>in the loft</p></list-item></list></p><table-wrap><label>Table 1</label><caption><p>Woods</p>
</caption><table><thead><tr><th>wood</th><th>use</th></tr></thead><tbody><tr><td>yew</td><td>bow
</td></tr></tbody></table></table-wrap></sec></sec></body><back><ref-list><title>References</title>
<ref><mixed-citation>A book.</mixed-citation></ref></ref-list></back></article>"""


def test_a_journal_article_has_its_abstract_sections_tables_and_references():
    found = journal.parse(JATS)
    assert blocks(found) == [
        ("heading", ("On Bows",), "On Bows"),
        ("heading", ("On Bows", "Abstract"), "Abstract"),
        ("text", ("On Bows", "Abstract"), "Short."),
        ("heading", ("On Bows", "Wood"), "Wood"),
        ("text", ("On Bows", "Wood"), "Yew1 is best."),
        ("heading", ("On Bows", "Wood", "Drying"), "Drying"),
        ("text", ("On Bows", "Wood", "Drying"), "Slowly:"),
        ("list", ("On Bows", "Wood", "Drying"), "in the loft"),
        ("text", ("On Bows", "Wood", "Drying"), "Woods"),
        ("table", ("On Bows", "Wood", "Drying"), "wood: yew | use: bow"),
        ("list", ("On Bows",), "A book."),
    ]
    assert found.metadata == {
        "author": "Ada Lovelace",
        "keywords": "yew, ash",
        "journal": "Wood",
        "doi": "10.1/x",
        "date": "2020-01-02",
    }


def test_docbook_sections_are_read_alike_and_another_article_as_data():
    section = b"<section><title>Wood</title><para>Yew.</para></section>"
    book = b"<article><title>Bows</title>" + section + b"</article>"
    assert texts(journal.parse(book)) == ["Bows", "Wood", "Yew."]
    assert texts(journal.parse(b"<article><price>3</price></article>")) == ["article.price: 3"]


def test_the_entries_of_a_feed_are_sections_and_their_html_is_read():
    rss = b"""<rss><channel><title>News</title><description>Of bows</description><item><title>Yew
    </title><pubDate>Mon, 06 Jan 2020 10:00:00 +0100</pubDate><description>&lt;p&gt;Best
    &lt;b&gt;wood&lt;/b&gt;&lt;/p&gt;&lt;script&gt;no&lt;/script&gt;</description></item></channel></rss>"""
    found = feed.parse(rss)
    assert found.title == "News"
    assert blocks(found) == [
        ("text", (), "Of bows"),
        ("heading", ("Yew",), "Yew"),
        ("text", ("Yew",), "2020-01-06T10:00:00+01:00"),
        ("text", ("Yew",), "Best wood"),
    ]


def test_atom_is_a_feed_as_well():
    atom = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><entry><title>Yew</title>
    <author><name>Ada</name></author><updated>2020-01-06T10:00:00Z</updated><content type="xhtml">
    <div>Best <b>wood</b></div></content></entry></feed>"""
    assert texts(feed.parse(atom)) == ["Yew", "2020-01-06T10:00:00Z | Ada", "Best wood"]


def test_records_keep_their_names_and_prose_is_prose():
    data = b"""<catalog><bow id="7"><name>Longbow</name><wood>yew</wood><size unit="mm">1800</size>
    <text>The <i>longbow</i> is as tall as its archer.</text></bow></catalog>"""
    assert blocks(xmldata.parse(data)) == [
        ("heading", ("Longbow",), "Longbow"),
        ("text", ("Longbow",), "id: 7\nwood: yew\nsize.unit: mm\nsize: 1800"),
        ("text", ("Longbow",), "The longbow is as tall as its archer."),
    ]


def test_any_encoding_that_is_declared_or_seen():
    text = '<?xml version="1.0" encoding="{}"?><a><b>弓と矢を作る</b></a>'
    for encoding in ("utf-8", "utf-16", "shift_jis", "gb18030", "euc-jp"):
        assert "弓と矢を作る" in xmldata.parse(text.format(encoding).encode(encoding)).text


def test_the_entities_of_html_are_known():
    assert texts(xmldata.parse(b"<a><b>yew&nbsp;&amp;&eacute; &lt;</b></a>")) == ["a.b: yew &é <"]


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE a [<!ENTITY b "boom">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><a>&c;</a>',
        b"<a>" * 10_000,
        b"<a><b></a>",
        b"<a>&unknown;</a>",
        b"<a",
    ],
)
def test_what_cannot_be_read_says_so(data):
    with pytest.raises(Unreadable) as caught:
        xmldata.parse(data)
    assert caught.value.failure == "corrupt"


def test_an_external_entity_is_not_fetched():
    data = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a><c>here: &b;</c></a>'
    assert texts(xmldata.parse(data)) == ["a.c: here:"]


def test_elements_without_end_are_refused(monkeypatch):
    monkeypatch.setattr(markup, "MAX_ELEMENTS", 100)
    with pytest.raises(Unreadable) as caught:
        xmldata.parse(b"<a>" + b"<b/>" * 200 + b"</a>")
    assert caught.value.failure == "too_large"
