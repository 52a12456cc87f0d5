"""HTML: what a reader came for, its outline, its tables, and nothing of the machinery."""

import pytest

from pipelines.parse import webpage
from pipelines.parse.extract import Unreadable


def parse(body: str, head: str = ""):
    return webpage.parse(f"<!doctype html><head>{head}</head><body>{body}</body>".encode())


def blocks(body: str):
    found = parse(body)
    return [(each.kind, each.headings, found.text[each.start : each.end]) for each in found.blocks]


def test_headings_become_paths():
    assert blocks("<h1>Bows</h1><p>Of wood.<h2>Yew</h2>Best<div>of all</div><h2>Ash</h2>") == [
        ("heading", ("Bows",), "Bows"),
        ("text", ("Bows",), "Of wood."),
        ("heading", ("Bows", "Yew"), "Yew"),
        ("text", ("Bows", "Yew"), "Best"),
        ("text", ("Bows", "Yew"), "of all"),
        ("heading", ("Bows", "Ash"), "Ash"),
    ]


@pytest.mark.parametrize(
    "machinery",
    [
        "<script>var a = 'gone'</script>",
        "<style>.gone {}</style>",
        "<nav>gone</nav>",
        "<footer>gone</footer>",
        "<aside>gone</aside>",
        "<template>gone</template>",
        "<noscript>gone</noscript>",
        "<button>gone</button>",
        "<!-- gone -->",
        "<div hidden>gone</div>",
        "<div role=navigation>gone</div>",
        "<p aria-hidden=true>gone</p>",
        "<div id=cookie-banner>gone</div>",
        "<ul>" + "<li><a href=x>gone</a></li>" * 12 + "</ul>",
    ],
)
def test_machinery_is_left_out(machinery):
    assert parse(f"<p>kept</p>{machinery}<p>kept too</p>").text == "kept\n\nkept too"


def test_a_list_of_links_with_words_about_them_is_kept():
    items = "<li><a href=x>Yew</a> is the best of the woods that grow here.</li>" * 12
    assert parse(f"<ul>{items}</ul>").text.count("Yew is the best") == 12


def test_the_main_element_is_the_page_unless_it_is_next_to_nothing():
    around = "<div>around it</div>"
    assert parse(f"{around}<main><p>the main thing</p></main>").text == "the main thing"
    assert "around it" in parse(f"{around * 20}<main>x</main>").text


def test_text_flows_as_it_is_shown():
    assert blocks("<p>one <b>two</b>\n  three<br>four&nbsp;&amp; <i>fi</i>ve</p>") == [
        ("text", (), "one two three\nfour & five")
    ]


def test_preformatted_text_keeps_its_lines():
    assert blocks("<pre>def f():\n    return 1\n</pre>") == [("code", (), "def f():\n    return 1")]


def test_items_are_of_that_kind():
    assert blocks("<ul><li>yew<li>ash<ul><li>white</ul></ul>") == [
        ("list", (), "yew"),
        ("list", (), "ash"),
        ("list", (), "white"),
    ]


def test_rows_of_a_table_keep_their_header():
    table = (
        "<table><caption>Woods</caption><tr><th>wood<th>use<tr><td>yew<td>bow"
        "<tr><td>ash<td>arrow</table>"
    )
    assert blocks(table) == [("table", (), "Woods\nwood: yew | use: bow\nwood: ash | use: arrow")]


def test_a_table_that_is_layout_is_read_as_text():
    table = "<table><tr><td><h1>Bows</h1><p>Of wood.</p></td><td>aside</td></tr></table>"
    assert [kind for kind, _, _ in blocks(table)] == ["heading", "text", "text"]


def test_title_and_metadata_are_found():
    found = parse("<h1>Bows</h1>", "<title> On\nbows </title><meta name=author content=Ada>")
    assert (found.title, found.metadata) == ("On bows", {"author": "Ada"})
    assert parse("<h1>Bows</h1>").title == "Bows"


@pytest.mark.parametrize("encoding", ["windows-1251", "koi8-r", "utf-16", "utf-8"])
def test_the_declared_encoding_is_used(encoding):
    page = f"<html><meta charset={encoding}><p>Лук сохнет один год</p></html>"
    assert webpage.parse(page.encode(encoding)).text == "Лук сохнет один год"


@pytest.mark.parametrize("declared", ["Shift_JIS", "x-sjis-of-our-own", "utf-9"])
def test_a_declaration_may_be_loose_or_wrong(declared):
    page = f"<meta charset={declared}><p>弓は竹や木で作られた武器であり矢を射るために使われる①</p>"
    assert "竹や木で" in webpage.parse(page.encode("cp932")).text


@pytest.mark.parametrize(
    "bomb",
    [
        "<div>" * 100_000,
        "<b " + " ".join(f"a{n}=1" for n in range(50_000)) + ">",
        "<b" + " a" * 50_000,
    ],
)
def test_bombs_are_refused_before_the_parser_sees_them(bomb):
    with pytest.raises(Unreadable) as caught:
        webpage.parse(bomb.encode())
    assert caught.value.failure == "corrupt"


def test_a_picture_in_the_page_is_no_bomb():
    path = " ".join(map(str, range(50_000)))
    assert parse(f"<svg><path d='{path}'/></svg><img alt=x src='data:{path}'>kept").text == "kept"


def test_unclosed_paragraphs_and_items_are_no_bomb():
    assert parse("<p>yew" * 20_000).text.count("yew") == 20_000


def test_moderate_depth_is_walked_without_recursion():
    assert parse("<div>" * 3_000 + "deep").text == "deep"
