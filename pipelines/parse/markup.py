"""XML without its dangers: no entities, bounded depth, and names without their namespaces.

Streamed through expat, or as a tree for what is small. The strict and the transitional namespaces
of ISO/IEC 29500 are then the same, and so are the many prefixes of feeds and journals.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from html.entities import html5
from typing import TypeAlias
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from pipelines.parse.encoding import decode
from pipelines.parse.extract import Unreadable

MAX_DEPTH = 300
MAX_ELEMENTS = 2_000_000

Attributes: TypeAlias = dict[str, str]

_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.-]+)")
_NAMED_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,30});")
_OF_XML = ("amp", "lt", "gt", "quot", "apos")


def stream(
    pieces: Iterable[bytes | str],
    start: Callable[[str, Attributes], object],
    end: Callable[[str], object],
    text: Callable[[str], object] | None = None,
) -> None:
    """Feed XML to handlers that see local names; an attribute `r:id` of OOXML keeps its prefix.

    Raises:
        Unreadable: It is not well-formed, nests too deep, has too many elements, or defines
            entities.
    """
    depth = count = 0

    def enter(tag: str, attributes: Attributes) -> None:
        nonlocal depth, count
        depth += 1
        count += 1
        if depth > MAX_DEPTH:
            raise _refusal("nests too deep to be read; save it in a simpler form")
        if count > MAX_ELEMENTS:
            raise Unreadable("too_large", "The document has too many parts; split it.")
        start(_local(tag), {_attribute(key): value for key, value in attributes.items()})

    def leave(tag: str) -> None:
        nonlocal depth
        depth -= 1
        end(_local(tag))

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = enter
    parser.EndElementHandler = leave
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = _refuse_entities
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError):  # an encoding that nobody knows
        raise _refusal("is damaged inside; open it, save it anew and upload that") from None


def tree(pieces: Iterable[bytes | str]) -> Element:
    """The whole as elements with local names."""
    builder = TreeBuilder()
    stream(pieces, builder.start, builder.end, builder.data)
    return builder.close()


def tree_of_file(data: bytes) -> Element:
    """The tree of a file in any encoding; the entities of HTML are known to it."""
    declared = _ENCODING.match(data.lstrip()[:300])
    source = decode(data, declared[1].decode("ascii") if declared else None)
    source = _DECLARATION.sub("", source.lstrip("\ufeff"), count=1).lstrip()
    if "&" in source and "<!ENTITY" not in source:
        source = _with_html_entities(source)
    return tree([source])


def text_of(element: Element | None, separator: str = "") -> str:
    """All text in an element, in single spaces."""
    return "" if element is None else " ".join(separator.join(element.itertext()).split())


def descend(element: Element, *names: str) -> Iterator[Element]:
    """The elements of these names nearest below, in order; those inside one are its own affair."""
    for child in element:
        if child.tag in names:
            yield child
        else:
            yield from descend(child, *names)


def _with_html_entities(source: str) -> str:
    def character(match: re.Match[str]) -> str:
        known = None if match[1] in _OF_XML else html5.get(f"{match[1]};")
        return match[0] if known is None or known in "<&" else known

    return _NAMED_ENTITY.sub(character, source)


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _attribute(name: str) -> str:
    space, _, local = name.rpartition(" ")
    return f"r:{local}" if space.endswith("/relationships") else local


def _refusal(what: str) -> Unreadable:
    return Unreadable("corrupt", f"The document {what}.")


def _refuse_entities(
    _name: str,
    _is_parameter: int,
    value: str | None,
    _base: str | None,
    _system: str | None,
    _public: str | None,
    _notation: str | None,
) -> None:
    """An external entity is skipped by expat; one with a value could multiply without end."""
    if value is not None:
        raise _refusal("defines XML entities, which could multiply without end; save it anew")
