"""FictionBook (FB2): sections with titles, poems and notes, straight or in a ZIP archive."""

from xml.etree.ElementTree import Element

from pipelines.parse.extract import Builder, Extract
from pipelines.parse.markup import text_of, tree_of_file
from pipelines.parse.zipped import Container

MEDIA_TYPE = "application/x-fictionbook+xml"


def parse(data: bytes) -> Extract:
    """Read the annotation, then every body."""
    if data.startswith(b"PK"):
        container = Container(data)
        data = container.whole(min(container.names))
    root = tree_of_file(data)
    builder = Builder()
    about = root.find("description/title-info")
    if about is not None and (annotation := about.find("annotation")) is not None:
        _walk(builder, annotation, 1)
    for body in root.iter("body"):
        builder.outline.move(())
        _walk(builder, body, 1)
    if about is None:
        return builder.extract(MEDIA_TYPE)
    return builder.extract(
        MEDIA_TYPE,
        title=text_of(about.find("book-title")),
        metadata={
            "author": "; ".join(filter(None, (_name(each) for each in about.iter("author")))),
            "language": text_of(about.find("lang")),
            "date": text_of(about.find("date")),
            "keywords": text_of(about.find("keywords")),
        },
    )


def _name(author: Element) -> str:
    parts = (text_of(author.find(part)) for part in ("first-name", "middle-name", "last-name"))
    return " ".join(filter(None, parts)) or text_of(author.find("nickname"))


def _walk(builder: Builder, element: Element, level: int) -> None:
    for child in element:
        match child.tag:
            case "title":
                builder.heading(level, text_of(child, " "))
            case "section":
                above = builder.outline.path
                _walk(builder, child, level + 1)
                builder.outline.move(above)
            case "poem" | "stanza" | "cite" | "epigraph" | "annotation" if any(
                each.tag in ("section", "p") for each in child
            ):
                _walk(builder, child, level)
            case "stanza":
                builder.add("\n".join(text_of(verse) for verse in child))
            case "poem" | "cite" | "epigraph":
                _walk(builder, child, level)
            case "image" | "binary":
                pass
            case _:
                builder.add(text_of(child))
