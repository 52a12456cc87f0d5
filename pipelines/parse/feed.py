"""RSS and Atom: an entry is a section under its title, its HTML read as a page is."""

from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import Element

from pipelines.parse import webpage, xmldata
from pipelines.parse.extract import Builder, Extract
from pipelines.parse.markup import text_of, tree_of_file

MEDIA_TYPE = "application/rss+xml"

_ENTRIES = ("item", "entry")
_CONTENTS = ("encoded", "content", "description", "summary")
_DATES = ("pubDate", "published", "updated", "date")


def parse(data: bytes) -> Extract:
    """Read the entries in the order of the feed."""
    root = tree_of_file(data)
    entries = [each for each in root.iter() if each.tag in _ENTRIES]
    channel = root.find("channel")
    about = root if channel is None else channel
    if not entries and about.find("title") is None:
        return xmldata.of_tree(root)
    builder = Builder()
    subtitle = text_of(about.find("description")) or text_of(about.find("subtitle"))
    webpage.add(builder, subtitle)
    for entry in entries:
        _add(builder, entry)
    return builder.extract(
        MEDIA_TYPE,
        title=text_of(about.find("title")),
        metadata={"language": text_of(about.find("language")), "modified": _date(about)},
    )


def _add(builder: Builder, entry: Element) -> None:
    builder.outline.move(())
    builder.heading(1, text_of(entry.find("title")))
    author = text_of(entry.find("creator")) or text_of(entry.find("author"))
    builder.add(" | ".join(filter(None, (_date(entry), author))))
    contents = (entry.find(name) for name in _CONTENTS)
    # An element that holds markup itself (XHTML in Atom) is read as text.
    longest = max((_source(each) for each in contents if each is not None), key=len, default="")
    webpage.add(builder, longest)


def _source(content: Element) -> str:
    return text_of(content, " ") if len(content) else (content.text or "")


def _date(element: Element) -> str:
    text = next((text for name in _DATES if (text := text_of(element.find(name)))), "")
    try:
        return parsedate_to_datetime(text).isoformat()
    except (ValueError, TypeError, IndexError):
        return text
