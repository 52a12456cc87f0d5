"""Calendars (ICS) and contacts (vCard): an event or a card is a section under its name."""

import quopri
import re
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.parse import encoding
from pipelines.parse.extract import Builder, Extract

CALENDAR, CARD = "text/calendar", "text/vcard"

_UNFOLD = re.compile(r"\r?\n[ \t]")
_LINE = re.compile(r"(?:[\w-]+\.)?([\w-]+)((?:;(?:\"[^\"]*\"|[^\":;])*)*):(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)")
_MOMENT = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d)(?::?(\d\d))?(Z?))?")
_PARAMETER = re.compile(r";(\w[\w-]*)=(\"[^\"]*\"|[^;]*)")
_ENTRIES = ("VEVENT", "VTODO", "VJOURNAL", "VCARD")
_SKIPPED = ("VALARM", "VTIMEZONE", "STANDARD", "DAYLIGHT", "VFREEBUSY")

_SHOWN = {
    "DTSTART": "Start",
    "DTEND": "End",
    "DUE": "Due",
    "RRULE": "Repeats",
    "LOCATION": "Location",
    "ORGANIZER": "Organizer",
    "ATTENDEE": "Attendee",
    "STATUS": "Status",
    "CATEGORIES": "Categories",
    "ORG": "Organisation",
    "TITLE": "Title",
    "ROLE": "Role",
    "TEL": "Phone",
    "EMAIL": "E-mail",
    "ADR": "Address",
    "URL": "URL",
    "BDAY": "Birthday",
}
_MOMENTS = ("DTSTART", "DTEND", "DUE", "BDAY")
_PEOPLE = ("ORGANIZER", "ATTENDEE")
_STRUCTURED = ("ORG", "ADR", "N")


class _Property(NamedTuple):
    name: str
    parameters: dict[str, str]
    value: str


def parse(data: bytes) -> Extract:
    """Read events, tasks, notes and cards in the order of the file."""
    source = encoding.decode(data)
    builder = Builder()
    title = ""
    dates: list[str] = []
    count = 0
    depth: list[str] = []
    skipped = 0  # of those in depth
    entry: list[_Property] = []
    for each in _properties(source):
        kind = each.value.strip().upper()
        if each.name == "BEGIN":
            depth.append(kind)
            skipped += kind in _SKIPPED
            if kind in _ENTRIES:
                entry = []
        elif each.name == "END":
            if kind in _ENTRIES and entry:
                _add(builder, entry)
                dates += [_moment(p) for p in entry if p.name == "DTSTART"]
                count += 1
                entry = []
            if depth:
                skipped -= depth.pop() in _SKIPPED
        elif each.name == "X-WR-CALNAME":
            title = _plain(each.value)
        elif not skipped:
            entry.append(each)
    media_type = CARD if "BEGIN:VCARD" in source[:2_000].upper() else CALENDAR
    metadata = {"date": dates[0].partition(" ")[0]} if count == 1 and dates else {}
    return builder.extract(media_type, title=title, metadata=metadata)


def _properties(source: str) -> Iterator[_Property]:
    source = source.replace("=\r\n", "=\n").replace("\r\n", "\n")
    lines = _UNFOLD.sub("", source).split("\n")
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        match = _LINE.match(line)
        if match is None:
            continue
        parameters = {key.upper(): value.strip('"') for key, value in _PARAMETER.findall(match[2])}
        value = match[3]
        if "QUOTED-PRINTABLE" in match[2].upper():  # vCard 2.1 folds these by a = at the end
            while value.endswith("=") and position < len(lines):
                value = value[:-1] + lines[position]
                position += 1
            raw = quopri.decodestring(value.encode("utf-8"))
            value = encoding.decode(raw, parameters.get("CHARSET")) if raw else ""
        yield _Property(match[1].upper(), parameters, value)


def _add(builder: Builder, entry: list[_Property]) -> None:
    builder.outline.move(())
    first: dict[str, str] = {}
    for each in entry:
        first.setdefault(each.name, each.value)
    name = next((first[key] for key in ("SUMMARY", "FN", "N", "EMAIL") if first.get(key)), "")
    builder.heading(1, _plain(name, structured="FN" not in first and name == first.get("N")))
    lines = [f"{_SHOWN[each.name]}: {_shown(each)}" for each in entry if each.name in _SHOWN]
    builder.add("\n".join(line for line in lines if not line.endswith(": ")))
    for key in ("DESCRIPTION", "COMMENT", "NOTE"):
        for paragraph in _plain(first.get(key, "")).split("\n\n"):
            builder.add(paragraph)


def _shown(entry: _Property) -> str:
    if entry.name in _MOMENTS:
        return _moment(entry)
    if entry.name in _PEOPLE:
        address = re.sub("(?i)^mailto:", "", entry.value)
        name = entry.parameters.get("CN", "")
        return f"{name} <{address}>" if name and name != address else address
    return _plain(entry.value, structured=entry.name in _STRUCTURED)


def _moment(entry: _Property) -> str:
    """A date, or a time in ISO 8601 with its zone as the file says it."""
    match = _MOMENT.match(entry.value)
    if match is None:
        return _plain(entry.value)
    year, month, day, hour, minute, second, utc = match.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    zone = entry.parameters.get("TZID", "")
    moment = f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{'+00:00' if utc else ''}"
    return f"{moment} {zone}".strip()


def _plain(value: str, *, structured: bool = False) -> str:
    if structured:
        parts = re.split(r"(?<!\\);", value)
        value = ", ".join(filter(None, (part.strip() for part in parts)))
    return _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], value).strip()
