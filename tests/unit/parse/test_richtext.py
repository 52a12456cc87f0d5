"""RTF: text in any code page, headings by style, tables, and nothing that readers do not see."""

import pytest

from pipelines.parse import richtext
from tests.support.parsing import blocks, texts

HEAD = rb"{\rtf1\ansi\ansicpg1252\deff0"


def test_headings_lists_tables_and_properties():
    data = (
        HEAD + rb"{\stylesheet{\s0 Normal;}{\s1 heading 1;}}{\info{\title On Bows}{\author Ada}}"
        rb"\pard\s1 Wood\par\pard Yew.\par{\listtext\'b7\tab}\ls1 first\par"
        rb"\pard\intbl wood\cell use\cell\row\pard\intbl yew\cell bow\cell\row\pard after\par}"
    )
    found = richtext.parse(data)
    assert (found.title, found.metadata) == ("On Bows", {"author": "Ada"})
    assert blocks(found) == [
        ("heading", ("Wood",), "Wood"),
        ("text", ("Wood",), "Yew."),
        ("list", ("Wood",), "first"),
        ("table", ("Wood",), "wood | use\nyew | bow"),
        ("text", ("Wood",), "after"),
    ]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (rb"caf\'e9", "café"),
        (rb"\u24339?\u-10179?\u-9030?", "弓💺"),
        (rb"\uc2\u24339\'8b\'7d bow", "弓 bow"),
        (rb"{\f1 \'cb\'f3\'ea} \'93q\'94", "Лук “q”"),
        (rb"{\f2 \'8b\'7c}", "弓"),
        (rb"a\~b\_c\-d\{\}\\", "a b-cd{}\\"),
        (rb"\ldblquote a\rdblquote\emdash b\line c", "“a”—b\nc"),
        (rb"{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "link"),
        (rb"seen{\v hidden}{\deleted gone}{\*\unknown gone}{\pict 00ff}", "seen"),
        (rb"a\bin3 }{}b", "ab"),
    ],
)
def test_text_reads_as_it_is_shown(source, shown):
    fonts = rb"{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}{\f2\fcharset128 C;}}"
    assert texts(richtext.parse(HEAD + fonts + source + b"}")) == [shown]


@pytest.mark.parametrize(
    "data",
    [
        b"{\\rtf",
        b"{\\rtf1 x",
        b"{\\rtf1 }}}}x",
        b"{" * 100_000,
        b"{\\rtf1\\u99999999999 x}",
        b"\\'",
    ],
)
def test_scraps_do_no_harm(data):
    blocks(richtext.parse(data))


def test_a_million_groups_take_no_time_to_speak_of():
    assert richtext.parse(HEAD + b"{\\b a}" * 100_000 + b"}").text == "a" * 100_000
