"""Journal articles in JATS (NLM, PubMed Central), and DocBook, whose sections are the same."""

from xml.etree.ElementTree import Element

from pipelines.parse import rows, xmldata
from pipelines.parse.extract import Builder, Extract
from pipelines.parse.markup import text_of, tree_of_file

MEDIA_TYPE = "application/xml"

_SECTIONS = frozenset(
    (
        "sec",
        "section",
        "sect1",
        "sect2",
        "sect3",
        "sect4",
        "chapter",
        "app",
        "appendix",
        "boxed-text",
    )
)
_PARAGRAPHS = frozenset(("p", "para", "simpara", "disp-quote", "disp-formula", "verse-group"))
_CODE = frozenset(("code", "preformat", "programlisting", "screen", "literallayout"))
_LISTS = frozenset(("list", "def-list", "itemizedlist", "orderedlist", "variablelist", "ref-list"))
_ITEMS = frozenset(("list-item", "def-item", "listitem", "varlistentry", "ref"))
_TABLES = frozenset(("table", "informaltable"))


def parse(data: bytes) -> Extract:
    """Read front matter into metadata, then abstract, body, back matter and floats."""
    root = tree_of_file(data)
    article = root.find("article") if root.tag != "article" else root
    if article is None or (article.find(".//p") is None and article.find(".//para") is None):
        return xmldata.of_tree(root)
    builder = Builder()
    front = article.find("front")
    meta = None if front is None else front.find("article-meta")
    title = _title(article, meta)
    if title:
        builder.heading(1, title)
    for abstract in [] if meta is None else meta.iter("abstract"):
        builder.outline.move([title])
        builder.heading(2, text_of(abstract.find("title")) or "Abstract")
        _walk(builder, abstract, 2)
    builder.outline.move([title])
    for child in article:
        if child.tag not in ("front", "title", "info", "articleinfo", "processing-meta"):
            _walk_child(builder, child, 1)
    return builder.extract(MEDIA_TYPE, title=title, metadata=_metadata(front, meta))


def _title(article: Element, meta: Element | None) -> str:
    places = [article.find("title"), article.find("info/title"), article.find("articleinfo/title")]
    if meta is not None:
        places.insert(0, meta.find("title-group/article-title"))
    return next((text for place in places if (text := text_of(place))), "")


def _metadata(front: Element | None, meta: Element | None) -> dict[str, str]:
    if front is None or meta is None:
        return {}
    found = {
        "author": "; ".join(
            filter(None, (_name(each) for each in meta.iter("contrib") if _is_author(each)))
        ),
        "keywords": ", ".join(filter(None, (text_of(each) for each in meta.iter("kwd")))),
        "journal": text_of(next(front.iter("journal-title"), None)),
        "publisher": text_of(next(front.iter("publisher-name"), None)),
    }
    for each in meta.iter("article-id"):
        if (kind := each.get("pub-id-type")) in ("doi", "pmid", "pmc", "pmcid"):
            found[kind] = text_of(each)
    for each in meta.iter("pub-date"):
        found.setdefault("date", _date(each))
    return found


def _is_author(contributor: Element) -> bool:
    return contributor.get("contrib-type", "author") == "author"


def _name(contributor: Element) -> str:
    name = contributor.find(".//name")
    if name is None:
        return text_of(contributor.find(".//collab"))
    return f"{text_of(name.find('given-names'))} {text_of(name.find('surname'))}".strip()


def _date(element: Element) -> str:
    parts = [text_of(element.find(part)) for part in ("year", "month", "day")]
    numbers = [part.zfill(2) for part in parts if part.isdigit()]
    return "-".join(numbers)


def _walk(builder: Builder, element: Element, level: int) -> None:
    for child in element:
        _walk_child(builder, child, level)


def _walk_child(builder: Builder, child: Element, level: int) -> None:
    tag = child.tag
    if tag in ("title", "label", "object-id", "sec-meta"):
        return
    if tag in _SECTIONS or tag in ("ack", "app-group", "fn-group", "glossary"):
        above = builder.outline.path
        builder.heading(level + 1, text_of(child.find("title")))
        _walk(builder, child, level + 1)
        builder.outline.move(above)
    elif tag in _TABLES:
        _add_table(builder, child)
    elif tag in _CODE:
        builder.add("".join(child.itertext()), "code")
    elif tag in _ITEMS:
        builder.add(text_of(child, " " if tag == "ref" else ""), "list")
    elif tag in _PARAGRAPHS and not any(each.tag in _TABLES | _LISTS for each in child.iter()):
        builder.add(text_of(child))
    elif len(child):
        if child.tag in _PARAGRAPHS:
            builder.add(text_of_own(child))
        _walk(builder, child, level)
    else:
        builder.add(text_of(child))


def text_of_own(paragraph: Element) -> str:
    """The text of a paragraph without the lists and tables in it, which follow as blocks."""
    pieces = [paragraph.text or ""]
    for child in paragraph:
        if child.tag not in _TABLES | _LISTS | {"table-wrap", "fig"}:
            pieces.append(text_of(child))
        pieces.append(child.tail or "")
    return " ".join("".join(pieces).split())


def _add_table(builder: Builder, table: Element) -> None:
    lines = [
        [text_of(cell, " ") for cell in row if cell.tag in ("td", "th", "entry")]
        for row in (*table.iter("tr"), *table.iter("row"))
    ]
    head = table.find(".//thead")
    named = head is not None and len(head) == 1 and len(lines) > 1
    header, body = (lines[0], lines[1:]) if named else ([], lines)
    builder.add(rows.render(body, header), "table", first_line_leads=not named)
