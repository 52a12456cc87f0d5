"""reStructuredText, AsciiDoc and LaTeX: sections, code, tables and lists of each."""

import pytest

from pipelines.parse import asciidoc, latex, restructured
from tests.support.parsing import blocks, texts

RST = """======
Bows
======

:Author: Ada
:Date: 2020-01-01

Intro over
lines::

    literal

Wood
====

* yew
* ash
  more ash

.. code-block:: python

   x = 1

   y = 2

.. a comment
   of lines

=====  =====
A      B
=====  =====
1      2
=====  =====

Deeper
------
text right below

Next
====
"""
ADOC = """= On Bows
Ada Lovelace <ada@example.org>
:keywords: bows, wood

A preamble.

== Wood

* yew
* ash

[source,python]
----
x = 1

== not a heading
----

.The woods
|===
|wood |use

|yew |bow
|===

// a comment
////
more of it
////
NOTE: dry it.
"""
TEX = r"""% not shown
\documentclass{article}
\newcommand{\x}{y}
\title{On \emph{Bows}}
\author{Ada \and Bob}
\begin{document}
\maketitle
\section{Wood}\label{wood}
Yew is 100\% best~\cite{a,b}. Caf\'e, na\"ive. % gone
It costs $x^2 \leq 3$.

\begin{itemize}
\item first
\item[second] of them
\end{itemize}
\begin{equation}
a = b \label{kept}
\end{equation}
\begin{tabular}{lr}
\hline
wood & use \\
yew & bow \\
\end{tabular}
\begin{verbatim}
code \here
\end{verbatim}
\end{document}
not shown either
"""


def test_restructured_text_has_its_sections_and_blocks():
    found = restructured.parse(RST.encode())
    assert (found.title, found.metadata) == ("Bows", {"author": "Ada", "date": "2020-01-01"})
    assert blocks(found)[2:] == [
        ("text", ("Bows",), "Intro over\nlines::"),
        ("code", ("Bows",), "    literal"),
        ("heading", ("Bows", "Wood"), "Wood\n===="),
        ("list", ("Bows", "Wood"), "* yew"),
        ("list", ("Bows", "Wood"), "* ash\n  more ash"),
        ("code", ("Bows", "Wood"), ".. code-block:: python\n\n   x = 1\n\n   y = 2"),
        ("table", ("Bows", "Wood"), RST[RST.index("=====  =") : RST.index("\n\nDeeper")]),
        ("heading", ("Bows", "Wood", "Deeper"), "Deeper\n------"),
        ("text", ("Bows", "Wood", "Deeper"), "text right below"),
        ("heading", ("Bows", "Next"), "Next\n===="),
    ]


def test_asciidoc_has_its_sections_and_blocks():
    found = asciidoc.parse(ADOC.encode())
    assert found.title == "On Bows"
    assert found.metadata == {"author": "Ada Lovelace", "keywords": "bows, wood"}
    assert [each for each in blocks(found) if each[0] != "text"] == [
        ("heading", ("On Bows",), "= On Bows"),
        ("heading", ("On Bows", "Wood"), "== Wood"),
        ("list", ("On Bows", "Wood"), "* yew"),
        ("list", ("On Bows", "Wood"), "* ash"),
        ("code", ("On Bows", "Wood"), "[source,python]\n----\nx = 1\n\n== not a heading\n----"),
        ("table", ("On Bows", "Wood"), "|wood |use\n\n|yew |bow\n|==="),
    ]
    assert texts(found, "text")[-1] == "NOTE: dry it."
    assert "a comment" not in "".join(texts(found))


def test_latex_is_read_as_its_reader_would_see_it():
    found = latex.parse(TEX.encode())
    assert (found.title, found.metadata) == ("On Bows", {"author": "Ada; Bob"})
    assert blocks(found) == [
        ("heading", ("On Bows",), "On Bows"),
        ("heading", ("On Bows", "Wood"), "Wood"),
        ("text", ("On Bows", "Wood"), "Yew is 100% best. Café, naïve. It costs $x^2 \\leq 3$."),
        ("list", ("On Bows", "Wood"), "first"),
        ("list", ("On Bows", "Wood"), "second"),
        ("list", ("On Bows", "Wood"), "of them"),
        ("code", ("On Bows", "Wood"), "a = b \\label{kept}"),
        ("table", ("On Bows", "Wood"), "wood | use\nyew | bow"),
        ("code", ("On Bows", "Wood"), "code \\here"),
    ]


def test_a_part_of_a_latex_document_is_read_without_a_preamble():
    assert texts(latex.parse(rb"\section{Wood} Yew.")) == ["Wood", "Yew."]


@pytest.mark.parametrize("parser", [restructured, asciidoc, latex])
@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"====", b"|===", b"----\nx", b".. x::", b"\\begin{verbatim}", b"\\title{"],
)
def test_scraps_do_no_harm(parser, data):
    blocks(parser.parse(data))


@pytest.mark.parametrize("parser", [restructured, asciidoc, latex])
@pytest.mark.parametrize(
    "unit",
    ["=" * 9 + "\n", "{", "\\begin{a}", "|===\n|a\n", "* a\n", "[a]\n", "+--+\n", "$", "\\'"],
)
def test_the_same_again_and_again_takes_no_time_to_speak_of(parser, unit):
    blocks(parser.parse(unit.encode() * 20_000))
