"""XML of no known kind: prose where it reads like prose, else records of `name: value` lines."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from pipelines.parse.extract import Builder, Extract
from pipelines.parse.markup import text_of, tree_of_file

MEDIA_TYPE = "application/xml"

TITLES = ("title", "head", "heading", "name", "label", "caption")
"""Children that name the element that they are in."""

MAX_TITLE = 200
PROSE = 80
"""A text of so many characters is a paragraph and not a value."""


def parse(data: bytes) -> Extract:
    """Read every text and attribute value that says something."""
    return of_tree(tree_of_file(data))


def of_tree(root: Element) -> Extract:
    """Make an extract of a tree."""
    builder = Builder()
    _add(builder, root, 1)
    title = _title_of(root)
    return builder.extract(MEDIA_TYPE, title=None if title is None else text_of(title))


def _add(builder: Builder, element: Element, level: int) -> None:
    """Add an element: as one record or paragraph, or part by part under its title."""
    if _is_mixed(element):
        builder.add(text_of(element))
    elif _is_record(element):
        builder.add("\n".join(_lines(element)))
    else:
        above = builder.outline.path
        title = _title_of(element)
        if title is not None:
            builder.heading(level, text_of(title))
        # Simple values that stand together are one record.
        values: list[str] = [f"{name}: {value}" for name, value in _attributes(element)]
        for child in element:
            if child is title:
                continue
            if len(child) == 0 and not _is_prose(child):
                values += _lines(child)
                continue
            builder.add("\n".join(values))
            values = []
            _add(builder, child, level + 1)
        builder.add("\n".join(values))
        if title is not None:
            builder.outline.move(above)


def _title_of(element: Element) -> Element | None:
    for child in element:
        if child.tag in TITLES and len(child) == 0 and 0 < len(child.text or "") <= MAX_TITLE:
            return child
    return None


def _is_prose(element: Element) -> bool:
    return len(element.text or "") > PROSE


def _is_mixed(element: Element) -> bool:
    """Whether text and elements alternate, as in a paragraph with emphasis."""
    if len(element) == 0:
        return _is_prose(element)
    texts = (element.text, *(child.tail for child in element))
    return any(text is not None and not text.isspace() for text in texts)


def _is_record(element: Element) -> bool:
    """Whether it holds values, or groups of values, and nothing that is longer."""
    return all(
        not _is_mixed(child) and all(len(inner) == 0 and not _is_prose(inner) for inner in child)
        for child in element
    )


def _lines(element: Element, path: str = "") -> Iterator[str]:
    name = f"{path}.{element.tag}" if path else str(element.tag)
    for key, value in _attributes(element):
        yield f"{name}.{key}: {value}"
    if len(element) == 0 and (text := text_of(element)):
        yield f"{name}: {text}"
    for child in element:
        yield from _lines(child, name if path else str(element.tag))


def _attributes(element: Element) -> Iterator[tuple[str, str]]:
    """What attributes say, without addresses of schemas and the like."""
    for key, value in element.attrib.items():
        if value.strip() and key not in ("schemaLocation", "noNamespaceSchemaLocation", "style"):
            yield key, " ".join(value.split())
