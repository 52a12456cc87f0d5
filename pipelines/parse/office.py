"""What the formats of Office Open XML share: relationships between parts, and properties."""

import posixpath
from typing import NamedTuple

from pipelines.parse.markup import text_of, tree
from pipelines.parse.zipped import Container

_PROPERTIES = {
    "title": "title",
    "creator": "author",
    "subject": "subject",
    "keywords": "keywords",
    "category": "category",
    "language": "language",
    "created": "created",
    "modified": "modified",
}
_OF_NO_ONE = ("PowerPoint Presentation", "Word Document", "Document", "Presentation", "Microsoft")


class Related(NamedTuple):
    """Where a relationship leads; `kind` is the last word of its type."""

    kind: str
    target: str


def properties(container: Container) -> dict[str, str]:
    """Title, author and dates, from docProps/core.xml."""
    if "docProps/core.xml" not in container.names:
        return {}
    found = {
        _PROPERTIES[each.tag]: text
        for each in tree(container.read("docProps/core.xml"))
        if each.tag in _PROPERTIES and (text := text_of(each))
    }
    if found.get("title") in _OF_NO_ONE:
        del found["title"]
    return found


def relations(container: Container, part: str) -> dict[str, Related]:
    """The relationships of a part to others of the container, by id."""
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", f"{name}.rels")
    if path not in container.names:
        return {}
    found = {}
    for each in tree(container.read(path)):
        target = each.get("Target", "")
        if each.get("TargetMode") == "External" or not target:
            continue
        place = target[1:] if target.startswith("/") else posixpath.join(folder, target)
        kind = each.get("Type", "").rpartition("/")[2]
        found[each.get("Id", "")] = Related(kind, posixpath.normpath(place))
    return found
