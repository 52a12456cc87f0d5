"""Subtitles, calendars, contacts and notebooks."""

import json

import pytest

from pipelines.parse import contentlines, notebook, subtitles
from pipelines.parse.extract import Unreadable
from tests.support.parsing import blocks, texts

VTT = """WEBVTT

NOTE not shown

STYLE
::cue { color: red }

1
00:00:01.000 --> 00:00:02.000 align:start
<v Ada>Yew is <b>best</b>,

00:00:02.500 --> 00:00:03.000
&amp; ash is good.

00:00:04.000 --> 00:00:05.000
<v Bob>Is it?

01:10:00.000 --> 01:10:02.000
later
"""


def test_cues_are_joined_until_another_speaks_or_a_pause():
    assert texts(subtitles.parse(VTT.encode())) == [
        "[00:00:01] Ada: Yew is best, & ash is good.",
        "[00:00:04] Bob: Is it?",
        "[01:10:00] later",
    ]


def test_srt_with_names_and_repeated_lines():
    srt = (
        "1\n00:00:01,000 --> 00:00:02,000\nADA: Yew\n\n2\n00:00:02,000 --> 00:00:03,000\n"
        "ADA: Yew\n{\\an8}is best\n"
    )
    assert texts(subtitles.parse(srt.encode())) == ["[00:00:01] ADA: Yew is best"]


def test_a_long_speech_is_divided_after_sentences():
    cues = "\n\n".join(
        f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\nSentence number {n} is about bows."
        for n in range(1, 50)
    )
    found = texts(subtitles.parse(cues.encode()))
    assert 3 <= len(found) <= 8
    assert all(each.endswith(".") for each in found)


EVENT = """BEGIN:VCALENDAR\r
X-WR-CALNAME:Team\r
BEGIN:VTIMEZONE\r
TZID:Europe/Berlin\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
SUMMARY:Tillering\\, slowly\r
DTSTART;TZID=Europe/Berlin:20240115T090000\r
DTEND:20240115T100000Z\r
ATTENDEE;CN="Lovelace, Ada";ROLE=X:mailto:ada@example.org\r
DESCRIPTION:Bring a\r
  knife.\\n\\nAnd wood.\r
BEGIN:VALARM\r
DESCRIPTION:not shown\r
END:VALARM\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_an_event_is_a_section_with_its_times_and_people():
    found = contentlines.parse(EVENT.encode())
    assert (found.title, found.metadata) == ("Team", {"date": "2024-01-15T09:00:00"})
    assert blocks(found) == [
        ("heading", ("Tillering, slowly",), "Tillering, slowly"),
        (
            "text",
            ("Tillering, slowly",),
            "Start: 2024-01-15T09:00:00 Europe/Berlin\nEnd: 2024-01-15T10:00:00+00:00\n"
            "Attendee: Lovelace, Ada <ada@example.org>",
        ),
        ("text", ("Tillering, slowly",), "Bring a knife."),
        ("text", ("Tillering, slowly",), "And wood."),
    ]


def test_a_card_of_any_version_is_a_section():
    old = (
        "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=\n"
        "=B6rg\nTEL;WORK:123\nEND:VCARD\n"
    )
    new = (
        "BEGIN:VCARD\nVERSION:4.0\nFN:Ada\nitem1.EMAIL:ada@example.org\nORG:Bows;Wood\nEND:VCARD\n"
    )
    assert texts(contentlines.parse((old + new).encode())) == [
        "Müller, Jörg",
        "Phone: 123",
        "Ada",
        "E-mail: ada@example.org\nOrganisation: Bows, Wood",
    ]


@pytest.mark.parametrize(
    "data", [b"BEGIN:VCALENDAR", b"END:VEVENT\nEND:X\n", b":\n;:\n=\n", b"A:b=\n"]
)
def test_scraps_of_calendars_do_no_harm(data):
    blocks(contentlines.parse(data))


def cells(*found: dict) -> bytes:
    return json.dumps({"cells": found, "nbformat": 4, "metadata": {}}).encode()


def test_a_notebook_reads_as_the_markdown_that_it_would_be():
    found = notebook.parse(
        cells(
            {"cell_type": "markdown", "source": ["# Bows\n", "Of *yew*."]},
            {
                "cell_type": "code",
                "source": "print(x)",
                "outputs": [
                    {"output_type": "stream", "text": ["\x1b[31m1\x1b[0m\n"]},
                    {"output_type": "display_data", "data": {"image/png": "AAAA"}},
                    {"output_type": "error", "ename": "E", "evalue": "no"},
                ],
            },
        )
    )
    assert found.title == "Bows"
    assert blocks(found) == [
        ("heading", ("Bows",), "# Bows"),
        ("text", ("Bows",), "Of *yew*."),
        ("code", ("Bows",), "```python\nprint(x)\n```"),
        ("code", ("Bows",), "```\n1\n```"),
        ("code", ("Bows",), "```\nE: no\n```"),
    ]


def test_fences_in_a_cell_do_not_end_it():
    found = notebook.parse(
        cells({"cell_type": "code", "source": "x = '''\n```\n# no heading\n'''"})
    )
    assert [kind for kind, *_ in blocks(found)] == ["code"]


def test_an_old_notebook_and_json_that_is_none():
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": "x"}]}]}
    assert texts(notebook.parse(json.dumps(old).encode())) == ["```python\nx\n```"]
    assert texts(notebook.parse(b'{"a": 1}')) == ["a: 1"]
    with pytest.raises(Unreadable):
        notebook.parse(b'{"cells": [')
