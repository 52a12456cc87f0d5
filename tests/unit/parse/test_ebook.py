"""EPUB and FB2: chapters in reading order, whoever wrote them."""

import pytest

from pipelines.parse import ebook, fictionbook
from pipelines.parse.extract import Unreadable
from tests.support import files
from tests.support.parsing import blocks, texts

CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns:dc="d"><metadata><dc:title>On Bows</dc:title>
<dc:creator>Ada</dc:creator><dc:creator>Bob</dc:creator><dc:language>en</dc:language></metadata>
<manifest><item id="nav" href="nav.xhtml" properties="nav"/><item id="a" href="a%20b.xhtml"/>
<item id="b" href="text/../b.xhtml"/></manifest>
<spine><itemref idref="nav"/><itemref idref="b"/><itemref idref="a"/><itemref idref="no"/></spine>
</package>"""


def xhtml(body: str) -> str:
    return (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head>'
        f"<body>{body}</body></html>"
    )


def epub(**changes: str) -> bytes:
    names = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": PACKAGE,
        "OPS/nav.xhtml": xhtml("<p>contents</p>"),
        "OPS/a b.xhtml": xhtml("<h1>Ash</h1><p>of ash</p>"),
        "OPS/b.xhtml": xhtml("<section><header><h1>Yew</h1></header><a/><p>of yew</p></section>"),
    }
    return files.zipped({**names, **{k.replace("__", "/"): v for k, v in changes.items()}})


def test_chapters_come_in_the_order_of_the_spine():
    found = ebook.parse(epub())
    assert blocks(found) == [
        ("heading", ("Yew",), "Yew"),
        ("text", ("Yew",), "of yew"),
        ("heading", ("Ash",), "Ash"),
        ("text", ("Ash",), "of ash"),
    ]
    assert (found.title, found.metadata) == ("On Bows", {"author": "Ada; Bob", "language": "en"})


def test_a_book_without_a_container_is_found_by_its_package():
    data = files.zipped({"x/b.opf": PACKAGE, "x/b.xhtml": xhtml("<p>found</p>")})
    assert texts(ebook.parse(data)) == ["found"]


def test_a_protected_book_says_so_and_hidden_fonts_do_not_count():
    def encryption(method: str) -> str:
        return f'<encryption><EncryptionMethod Algorithm="{method}"/></encryption>'

    fonts = {"META-INF/encryption.xml": encryption("http://www.idpf.org/2008/embedding")}
    assert ebook.parse(epub(**fonts)).text
    with pytest.raises(Unreadable) as caught:
        ebook.parse(epub(**{"META-INF/encryption.xml": encryption("http://www.w3.org/aes256")}))
    assert caught.value.failure == "encrypted"


@pytest.mark.parametrize(
    "data", [files.zipped({"a": ""}), epub()[:300], epub(**{"OPS/book.opf": "<package>"})]
)
def test_what_cannot_be_read_says_so(data):
    with pytest.raises(Unreadable) as caught:
        ebook.parse(data)
    assert caught.value.failure == "corrupt"


FB2 = """<?xml version="1.0" encoding="windows-1251"?><FictionBook xmlns="http://x"><description>
<title-info><author><first-name>Лев</first-name><last-name>Толстой</last-name></author>
<book-title>Лук</book-title><annotation><p>О луке.</p></annotation><lang>ru</lang></title-info>
</description><body><section><title><p>Глава 1</p></title><p>Тис лучше.</p><poem><stanza><v>раз</v>
<v>два</v></stanza></poem></section></body><binary id="x">AAAA</binary></FictionBook>"""


@pytest.mark.parametrize(
    "data", [FB2.encode("cp1251"), files.zipped({"book.fb2": FB2.encode("cp1251")})]
)
def test_a_fictionbook_has_its_sections_and_verses(data):
    found = fictionbook.parse(data)
    assert blocks(found) == [
        ("text", (), "О луке."),
        ("heading", ("Глава 1",), "Глава 1"),
        ("text", ("Глава 1",), "Тис лучше."),
        ("text", ("Глава 1",), "раз\nдва"),
    ]
    assert (found.title, found.metadata) == ("Лук", {"author": "Лев Толстой", "language": "ru"})
