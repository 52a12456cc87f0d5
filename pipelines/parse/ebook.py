"""EPUB 2 and 3: the chapters of the spine in reading order, each read as a page is."""

import posixpath
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from pipelines.parse import encoding, webpage
from pipelines.parse.extract import Builder, Extract, Unreadable
from pipelines.parse.markup import text_of, tree
from pipelines.parse.zipped import Container

MEDIA_TYPE = "application/epub+zip"

_CONTAINER = "META-INF/container.xml"
_FONT_OBFUSCATION = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_METADATA = {
    "creator": "author",
    "language": "language",
    "publisher": "publisher",
    "date": "date",
    "subject": "subject",
    "description": "description",
    "identifier": "identifier",
}


def parse(data: bytes) -> Extract:
    """Read the chapters; the table of contents is theirs in their headings."""
    container = Container(data)
    package_name = _package(container)
    package = tree(container.read(package_name))
    _refuse_protected(container)
    builder = Builder()
    for name in _spine(package, posixpath.dirname(package_name)):
        if name in container.names:
            data = container.whole(name)
            _add_chapter(builder, data.decode(encoding.wide_encoding(data) or "utf-8", "replace"))
    about = package.find("metadata")
    found: dict[str, str] = {}
    for each in [] if about is None else about:
        if each.tag in _METADATA and (text := text_of(each)):
            key = _METADATA[each.tag]
            found[key] = f"{found[key]}; {text}" if key in ("author",) and key in found else text
    title = None if about is None else text_of(about.find("title"))
    return builder.extract(MEDIA_TYPE, title=title, metadata=found)


def _package(container: Container) -> str:
    if _CONTAINER in container.names:
        for each in tree(container.read(_CONTAINER)).iter("rootfile"):
            if (path := each.get("full-path", "")) in container.names:
                return path
    found = sorted(name for name in container.names if name.endswith(".opf"))
    if not found:
        raise Unreadable("corrupt", "The EPUB has no list of its chapters; save it anew.")
    return found[0]


def _refuse_protected(container: Container) -> None:
    """A book with digital rights management has its chapters encrypted, not only its fonts."""
    name = "META-INF/encryption.xml"
    if name not in container.names:
        return
    methods = (each.get("Algorithm", "") for each in tree(container.read(name)).iter())
    if any(method and method not in _FONT_OBFUSCATION for method in methods):
        raise Unreadable(
            "encrypted", "The book is copy-protected; upload it in a form without protection."
        )


def _spine(package: Element, folder: str) -> list[str]:
    manifest: dict[str, str] = {}
    contents = ""
    for item in package.iter("item"):
        place = posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        manifest[item.get("id", "")] = place
        if "nav" in item.get("properties", "").split():
            contents = place
    order = (manifest.get(each.get("idref", ""), "") for each in package.iter("itemref"))
    return [place for place in order if place and place != contents]


def _add_chapter(builder: Builder, source: str) -> None:
    builder.outline.move(())
    webpage.add(builder, source)
