"""A small honest file of every format that can be written by hand, by the suffix of its name."""

import io
import json
import zipfile

from tests.support.files import docx, pdf, zipped

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_P = "http://schemas.openxmlformats.org/presentationml/2006/main"
_ODF = "urn:oasis:names:tc:opendocument:xmlns:"


def _package(main: str, **parts: str) -> bytes:
    """An office package whose main part is `main`; `__` in names of parts is the slash."""
    files = {f"{name.replace('__', '/')}.xml": content for name, content in parts.items()}
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{_TYPES}">'
            '<Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{_RELS}"><Relationship Id="r1" '
            f'Type="{_OFFICE}/officeDocument" Target="{main}"/></Relationships>',
            **files,
        }
    )


def workbook(*rows: tuple[str, ...], dimension: str = "A1:C9") -> bytes:
    """An XLSX with one sheet of texts that stand in the cells themselves."""
    lines = "".join(
        f'<row r="{y}">'
        + "".join(
            f'<c r="{chr(65 + x)}{y}" t="inlineStr"><is><t>{cell}</t></is></c>'
            for x, cell in enumerate(row)
        )
        + "</row>"
        for y, row in enumerate(rows, 1)
    )
    return sheet(dimension, lines)


def sheet(dimension: str, rows: str) -> bytes:
    """An XLSX with one sheet, given as the XML of its rows."""
    packed = _package(
        "xl/workbook.xml",
        xl__workbook=f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Staves" sheetId="1" r:id="r1"/></sheets></workbook>',
        xl__worksheets__sheet1=f'<worksheet xmlns="{_MAIN}"><dimension ref="{dimension}"/>'
        f"<sheetData>{rows}</sheetData></worksheet>",
    )
    relations = (
        f'<Relationships xmlns="{_RELS}"><Relationship Id="r1" '
        f'Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    )
    return _with(packed, {"xl/_rels/workbook.xml.rels": relations})


def _slides() -> bytes:
    shape = (
        f'<p:sp xmlns:p="{_P}" xmlns:a="{_A}"><p:txBody><a:p><a:r><a:t>%s</a:t></a:r></a:p>'
        "</p:txBody></p:sp>"
    )
    packed = _package(
        "ppt/presentation.xml",
        ppt__presentation=f'<p:presentation xmlns:p="{_P}" xmlns:r="{_OFFICE}"><p:sldIdLst>'
        '<p:sldId id="256" r:id="r1"/></p:sldIdLst></p:presentation>',
        ppt__slides__slide1=f'<p:sld xmlns:p="{_P}"><p:cSld><p:spTree>'
        f"{shape % 'Tillering'}{shape % 'Bend the bow a little further each day.'}"
        "</p:spTree></p:cSld></p:sld>",
    )
    relations = (
        f'<Relationships xmlns="{_RELS}"><Relationship Id="r1" Type="{_OFFICE}/slide" '
        'Target="slides/slide1.xml"/></Relationships>'
    )
    return _with(packed, {"ppt/_rels/presentation.xml.rels": relations})


def _with(packed: bytes, more: dict[str, str]) -> bytes:
    file = io.BytesIO(packed)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in more.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def _open_document(kind: str, body: str) -> bytes:
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f'<office:document-content xmlns:office="{_ODF}office:1.0" '
            f'xmlns:text="{_ODF}text:1.0" xmlns:table="{_ODF}table:1.0"><office:body>'
            f"{body}</office:body></office:document-content>",
        }
    )


_ODT = _open_document(
    "text",
    '<office:text><text:h text:outline-level="1">Yew</text:h><text:p>A stave of yew.</text:p>'
    "<text:list><text:list-item><text:p>Season it.</text:p></text:list-item></text:list>"
    "</office:text>",
)
_ODS = _open_document(
    "spreadsheet",
    '<office:spreadsheet><table:table table:name="Woods"><table:table-row><table:table-cell>'
    '<text:p>Yew</text:p></table:table-cell><table:table-cell table:number-columns-repeated="3">'
    "<text:p>12</text:p></table:table-cell></table:table-row></table:table></office:spreadsheet>",
)
_ODP = _open_document(
    "presentation", "<office:presentation><text:p>A slide of yew.</text:p></office:presentation>"
)
_EPUB = zipped(
    {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": "<container "
        'xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="c.opf" media-type="application/oebps-package+xml"/>'
        "</rootfiles></container>",
        "c.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Bows</dc:title></metadata><manifest>'
        '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest><spine>'
        '<itemref idref="a"/></spine></package>',
        "a.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>Yew</h1><p>Cut in winter.'
        "</p></body></html>",
    }
)
_MAIL = (
    b"From: Ann <ann@example.org>\nTo: Bob <bob@example.org>\nSubject: =?utf-8?q?Yew_=E2=82=AC?=\n"
    b"Date: Mon, 05 Jan 2026 10:00:00 +0000\nMIME-Version: 1.0\n"
    b'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain; charset=utf-8\n'
    b"Content-Transfer-Encoding: quoted-printable\n\nThe stave is dry.=20\n--b\n"
    b"Content-Type: text/html\n\n<p>The <b>stave</b></p>\n--b\nContent-Type: text/plain\n"
    b'Content-Disposition: attachment; filename="a.txt"\nContent-Transfer-Encoding: base64\n\n'
    b"WWV3\n--b--\n"
)

SAMPLES: dict[str, bytes] = {
    ".txt": "Zwölf Staves of yew.\n\nThey dry for a year; é ü ß.\n".encode(),
    ".md": b"---\ntitle: Bows\n---\n# Yew\n\nA *stave* [dries](x.md).\n\n- one\n- two\n\n"
    b"| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n```\n",
    ".rst": b"Yew\n===\n\nA stave.\n\n- one\n- two\n\n.. code-block:: python\n\n   x = 1\n\n"
    b"==  ==\na   b\n==  ==\n1   2\n==  ==\n",
    ".adoc": b"= Yew\n\n== Drying\n\nA stave.\n\n* one\n\n|===\n|a |b\n|1 |2\n|===\n\n"
    b"----\nx = 1\n----\n",
    ".tex": b"\\documentclass{article}\\title{Yew}\\begin{document}\\maketitle\\section{Drying} A "
    b"\\emph{stave}. $a^2$ \\begin{itemize}\\item one\\end{itemize}\\begin{tabular}{ll}a & b\\\\"
    b"\\end{tabular}% no\n\\end{document}",
    ".html": b"<!doctype html><html><head><title>Yew</title></head><body><nav>x</nav><h1>Yew</h1>"
    b"<p>A <b>stave</b> &eacute;.</p><ul><li>one</li></ul><table><tr><th>a</th></tr><tr><td>1</td>"
    b"</tr></table><pre>x = 1</pre></body></html>",
    ".xml": b'<?xml version="1.0"?><staves><stave wood="yew">dry</stave><!-- c --></staves>',
    ".rss": b'<?xml version="1.0"?><rss version="2.0"><channel><title>Bows</title><item><title>Yew'
    b"</title><description>&lt;p&gt;dry&lt;/p&gt;</description></item></channel></rss>",
    ".fb2": b'<?xml version="1.0"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
    b"<body><section><title><p>Yew</p></title><p>A stave.</p></section></body></FictionBook>",
    ".csv": b'wood,weight\nyew,"12,5"\nash,10\n',
    ".tsv": b"wood\tweight\nyew\t12\n",
    ".json": b'{"title": "Yew", "staves": [{"wood": "yew", "dry": true, "kg": 1.5e0}, null]}',
    ".jsonl": b'{"wood": "yew"}\n{"wood": "ash"}\n',
    ".ipynb": json.dumps(
        {
            "nbformat": 4,
            "metadata": {"kernelspec": {"language": "python"}},
            "cells": [
                {"cell_type": "markdown", "source": ["# Yew\n", "A stave."]},
                {"cell_type": "code", "source": "x = 1", "outputs": [{"text": ["1"]}]},
            ],
        }
    ).encode(),
    ".py": b'"""Bows."""\n\n\ndef draw(bow: str) -> int:\n    # pull\n    return len(bow)\n',
    ".vtt": b"WEBVTT\n\nNOTE x\n\n1\n00:01.000 --> 00:02.000 align:start\n"
    b"<v Ann>The stave is dry.\n",
    ".srt": b"1\n00:00:01,000 --> 00:00:02,000\nThe <i>stave</i> is dry.\n\n2\n00:00:03,000 --> "
    b"00:00:04,000\nString it.\n",
    ".ics": b"BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nSUMMARY:Til\n lering\n"
    b"DTSTART:20260105T100000Z\nDESCRIPTION:Bring\\, wax\nEND:VEVENT\nEND:VCALENDAR\n",
    ".eml": _MAIL,
    ".mbox": b"From ann@example.org Mon Jan  5 10:00:00 2026\n" + _MAIL + b"\n"
    b"From bob@example.org Mon Jan  5 11:00:00 2026\nSubject: again\n\nDry?\n",
    ".rtf": b"{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}}{\\info{\\title Yew}}\\f0 A stave\\par "
    b"\\u8364? \\'e9\\trowd a\\cell b\\cell\\row}",
    ".pdf": pdf(
        ["Yew", "A stave of yew dries for a year."],
        ["Page two"],
        bookmarks=[("Yew", 0)],
        info="/Title (Yew)",
    ),
    ".docx": docx(
        '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Yew</w:t></w:r></w:p><w:p><w:r>'
        "<w:t>A stave.</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p>"
        "</w:tc></w:tr></w:tbl>"
    ),
    ".xlsx": workbook(("wood", "weight"), ("yew", "12"), ("ash", "10")),
    ".pptx": _slides(),
    ".odt": _ODT,
    ".ods": _ODS,
    ".odp": _ODP,
    ".epub": _EPUB,
}
