"""HTML: what a reader came for, without menus, scripts and banners."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipelines.parse import rows
from pipelines.parse.encoding import decode
from pipelines.parse.extract import Builder, Extract, Unreadable, words

MEDIA_TYPE = "text/html"

MAX_DEPTH = 5_000
MAX_ATTRIBUTES = 5_000
MENU_LINKS = 10
MENU_ITEM = 30
"""A list of at least so many links, on average no longer than so many characters, is a menu."""

MAIN_SHARE = 0.2
"""Least share of the page's text that its `main` element must hold to be taken for the page."""

_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?([\w-]+)""", re.I
)
_LONG_TAG = re.compile(r"<[a-zA-Z][^<>]{20000,}")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_SPACES = re.compile(r"[ \t\r\n\f]+")
_SPACES_AT_BREAK = re.compile(r"[ \n]*\n[ \n]*")
_SPACE_RUN = re.compile(r"  +")
# In XHTML an empty element may close itself; in HTML it would take in all that follows.
_SELF_CLOSED = re.compile(
    r"<(title|script|style|textarea|iframe|a|div|span|p|i|b|em|strong|td|h[1-6])\b([^<>]*)/>"
)
_FURNITURE = re.compile(
    r"(?:^|[\s_-])(?:nav(?:bar|igation)?|menu|breadcrumbs?|sidebar|toc|share|sharing|social|related|"
    r"pagination|pager|skip-?links?|advert\w*|newsletter|promo)(?:$|[\s_-])",
    re.IGNORECASE,
)
LINK_SHARE = 0.5
"""Share of a part's text that is links from which on its name is believed: it is navigation."""

_BANNER = re.compile(r"cookie|consent|gdpr", re.IGNORECASE)


# Void, or closed by what follows: they do not deepen the tree.
_FLAT = words(
    "area base br col embed hr img input link meta source track wbr "
    "p li dt dd option optgroup tr td th thead tbody tfoot colgroup rp rt"
)
_SKIPPED = words(
    "script style noscript template head nav footer aside button select textarea svg "
    "iframe object canvas dialog audio video map"
)
_OF_SECTIONS = words("header footer")
_NAMED = words("div section ul ol table p span form")
_SKIPPED_ROLES = words("navigation banner contentinfo search dialog alertdialog menu")
_BLOCKS = words(
    "address article blockquote body caption center dd details div dl dt fieldset figcaption "
    "figure form header hgroup hr html li main menu ol p section summary table tbody td tfoot th "
    "thead tr ul"
)
_ITEMS = words("li dd dt")
_METADATA = {
    "author": "author",
    "article:author": "author",
    "dc.creator": "author",
    "description": "description",
    "og:description": "description",
    "keywords": "keywords",
    "date": "date",
    "dc.date": "date",
    "article:published_time": "date",
}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def parse(data: bytes) -> Extract:
    """Read a page; its headings become paths, tables are read row by row."""
    match = _CHARSET.search(data[:4096])
    source = decode(data, match[1].decode("ascii") if match else None)
    return from_source(source)


def from_source(source: str) -> Extract:
    """Read a page that is already decoded."""
    builder = Builder()
    tree = add(builder, source)
    return builder.extract(MEDIA_TYPE, title=_title(tree), metadata=_metadata(tree))


def add(builder: Builder, source: str) -> LexborHTMLParser:
    """Add the text of a page, or of a piece of one, to what is there; returns its tree."""
    if "http://www.w3.org/1999/xhtml" in source[:2_000]:
        source = _SELF_CLOSED.sub(r"<\1\2></\1>", source)
    _refuse_bombs(source)
    tree = LexborHTMLParser(source)
    root = _main(tree)
    if root is not None:
        _Page(builder).walk(root)
    return tree


def _refuse_bombs(source: str) -> None:
    """Refuse what takes the HTML parser quadratic time: great depth and attributes without end."""
    depth = 0
    for match in _TAG.finditer(source):
        if match[2].lower() not in _FLAT:
            depth = max(0, depth + (-1 if match[1] else 1))
        if depth > MAX_DEPTH:
            raise Unreadable(
                "corrupt", "The page nests too deep to be read; save it in a simpler form."
            )
    for tag in _LONG_TAG.finditer(source):
        if len(_QUOTED.sub(" ", tag[0]).split()) > MAX_ATTRIBUTES:
            raise Unreadable(
                "corrupt", "An element of the page has too many attributes; save the page anew."
            )


def _title(tree: LexborHTMLParser) -> str | None:
    for selector in ("head > title", "h1"):
        node = tree.css_first(selector)
        if node is not None and (text := _SPACES.sub(" ", node.text()).strip()):
            return text
    return None


def _metadata(tree: LexborHTMLParser) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        attributes = node.attributes
        name = (attributes.get("name") or attributes.get("property") or "").lower()
        if name in _METADATA and (content := attributes.get("content")):
            found.setdefault(_METADATA[name], content)
    root = tree.css_first("html")
    if root is not None and (language := root.attributes.get("lang")):
        found["language"] = language
    return found


def _main(tree: LexborHTMLParser) -> LexborNode | None:
    body = tree.body
    main = tree.css_first("main, [role=main]")
    if body is None or main is None:
        return body or tree.root
    return main if len(main.text()) >= MAIN_SHARE * len(body.text()) else body


class _Page:
    """Walks the tree without recursion and collects blocks."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._inline: list[str] = []
        self._items = 0  # items of lists that are open here

    def walk(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        while node is not None:
            if self._enter(node):
                if node.child is not None:
                    node = node.child
                    continue
                self._leave(node)
            # Identity by mem_id: == would compare the whole HTML of both.
            while node is not None and node.mem_id != root.mem_id and node.next is None:
                node = node.parent
                if node is not None:
                    self._leave(node)
            if node is None or node.mem_id == root.mem_id:
                return
            node = node.next

    def _enter(self, node: LexborNode) -> bool:
        """Take in a node; says whether its children are still to be walked."""
        tag = node.tag
        if node.is_text_node:
            self._inline.append(_SPACES.sub(" ", node.text_content or ""))
            return False
        if not node.is_element_node or _skipped(node):
            return False
        if tag == "br":
            self._inline.append("\n")
            return False
        if tag in _BLOCKS or tag in _HEADINGS or tag == "pre":
            self._flush()
        if tag in _HEADINGS:
            self._builder.heading(_HEADINGS[tag], node.text(separator=" "))
            return False
        if tag == "pre":
            self._builder.add(node.text(), "code")
            return False
        if tag == "table" and _is_data(node):
            self._builder.add(_table(node), "table")
            return False
        if tag in _ITEMS:
            self._items += 1
        return True

    def _leave(self, node: LexborNode) -> None:
        if node.tag in _BLOCKS:
            self._flush()
        if node.tag in _ITEMS:
            self._items -= 1

    def _flush(self) -> None:
        text = _SPACES_AT_BREAK.sub("\n", _SPACE_RUN.sub(" ", "".join(self._inline)))
        self._inline.clear()
        self._builder.add(text, "list" if self._items else "text")


def _skipped(node: LexborNode) -> bool:
    tag = node.tag
    if tag in _OF_SECTIONS and _in_section(node):
        return False
    if tag in _SKIPPED or (tag in ("ul", "ol") and _is_menu(node)):
        return True
    attributes = node.attributes
    if not attributes:
        return False
    if (
        attributes.get("role") in _SKIPPED_ROLES
        or "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
    ):
        return True
    name = f"{attributes.get('id') or ''} {attributes.get('class') or ''}"
    return tag in _NAMED and (
        _BANNER.search(name) is not None
        or (_FURNITURE.search(name) is not None and _is_mostly_links(node))
    )


def _in_section(node: LexborNode) -> bool:
    """Whether it is the header or footer of an article or section, not of the page."""
    above = node.parent
    while above is not None and above.tag != "body":
        if above.tag in ("article", "section", "main"):
            return True
        above = above.parent
    return False


def _is_mostly_links(node: LexborNode) -> bool:
    linked = sum(len(link.text(strip=True)) for link in node.css("a"))
    return linked >= LINK_SHARE * len("".join(node.text().split()))


def _is_menu(node: LexborNode) -> bool:
    """Whether a list is nothing but many short links: languages, contents, categories."""
    linked = [len(link.text(strip=True)) for link in node.css("a")]
    if len(linked) < MENU_LINKS or sum(linked) > MENU_ITEM * len(linked):
        return False
    return sum(linked) > 0.9 * len("".join(node.text().split()))


def _is_data(table: LexborNode) -> bool:
    """Whether it is a table and not a means of layout."""
    if table.css_first("table table, h1, h2, h3, pre, ul, ol") is not None:
        return False
    return any(len(cells) > 1 for cells in _rows(table))


def _rows(table: LexborNode) -> Iterator[list[LexborNode]]:
    for row in table.css("tr"):
        yield [cell for cell in row.iter() if cell.tag in ("td", "th")]


def _table(table: LexborNode) -> str:
    caption = table.css_first("caption")
    header: list[str] = []
    body: list[list[str]] = []
    for cells in _rows(table):
        values = [cell.text(separator=" ") for cell in cells]
        if not (body or header) and len(cells) > 1 and all(cell.tag == "th" for cell in cells):
            header = values
        else:
            body.append(values)
    lines = [rows.render([[caption.text()]]) if caption is not None else ""]
    return "\n".join(filter(None, [*lines, rows.render(body, header)]))
