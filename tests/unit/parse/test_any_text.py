"""Whatever the text, every parser gives blocks that lie in it, in order, and chunks that are it."""

import importlib

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pipelines.chunk import Chunker
from pipelines.parse.extract import Unreadable
from pipelines.parse.formats import FORMATS
from pipelines.ports import Block, Parsed
from tests.support.parsing import blocks
from tests.support.stored import row

# Parsers of what no signature, container or binary structure announces.
PARSERS = sorted({each.parser for each in FORMATS if not each.binary})

PIECES = (
    *(
        "# ",
        "## x",
        "=== ",
        "===\n",
        "---\n",
        "----",
        "|===\n",
        "| a | b |\n",
        "|---|\n",
        "- ",
        "* ",
    ),
    *("1. ", "```\n", "::\n", ".. code::\n", "\\section{", "\\begin{verbatim}", "\\end{verbatim}"),
    *(
        "{",
        "}",
        "$",
        "\\item ",
        "%",
        "<p>",
        "</p>",
        "<table><tr><td>",
        "<a>",
        "</a>",
        "&amp;",
        "<!--",
    ),
    *('{"a": [1, ', "]}", ",", ";", "\t", '"', "def f():\n", "class A {\n", "}\n", "[section]\n"),
    *("From a@b Mon\n", "Subject: ", "Content-Type: text/html\n", "\n\n", "BEGIN:VEVENT\n"),
    *("END:VEVENT\n", "SUMMARY:", "00:00:01.000 --> 00:00:02.000\n", "WEBVTT\n", "\u00ad", "\r\n"),
    *(
        "弓",
        "قوس",
        "é",
        "e\u0301",
        "\U0001f3f9",
        "\x07",
        "word ",
        "another word. ",
        "    ",
        "\u2028",
    ),
)
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=40, deadline=None)
@given(source=texts)
def test_blocks_lie_in_the_text_and_chunks_are_ranges_of_it(parser, source):
    try:
        found = importlib.import_module(parser).parse(source.encode())
    except Unreadable as refusal:
        event(refusal.failure)
        return
    blocks(found)
    parsed = Parsed(found.text, tuple(Block(*each) for each in found.blocks), found.media_type)
    for each in Chunker(None, 16).chunks("tenant", row(), parsed):
        assert parsed.text[each.start : each.end] == each.text
        assert not each.text.isspace()
