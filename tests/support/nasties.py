"""Files made to hurt whoever reads them, each built when it is asked for.

What they may cost is bounded by the sandbox; how they end is for the test to say.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from tests.support.files import docx, pdf, zipped
from tests.support.samples import sheet

MEGABYTE = 1_000_000


def _laughs(levels: int = 10) -> str:
    """Billion laughs: each entity is ten of the one before."""
    entities = ['<!ENTITY e0 "ha">']
    entities += [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels)]
    return f"<!DOCTYPE x [{''.join(entities)}]>"


def _xml(body: str, doctype: str = "") -> bytes:
    return f'<?xml version="1.0"?>{doctype}<x>{body}</x>'.encode()


def _bomb(entry: str, head: str, filler: str, megabytes: int) -> bytes:
    """A ZIP with one entry that unpacks to hundreds of megabytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open(entry, "w") as part:
            part.write(head.encode())
            block = (filler * (MEGABYTE // len(filler))).encode()
            for _ in range(megabytes):
                part.write(block)
    return file.getvalue()


def _many_entries(count: int) -> bytes:
    return zipped({"word/document.xml": "<w/>", **{f"word/{n}.xml": "" for n in range(count)}})


def _lying_size() -> bytes:
    """A ZIP whose directory claims that an entry is almost 4 GB."""
    data = bytearray(docx("<w:p><w:r><w:t>small</w:t></w:r></w:p>"))
    place = data.find(b"PK\x01\x02")
    while place != -1:
        data[place + 24 : place + 28] = struct.pack("<I", 0xFFFFFFF0)
        place = data.find(b"PK\x01\x02", place + 4)
    return bytes(data)


def _cell(reference: str) -> str:
    row = reference.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return f'<row r="{row}"><c r="{reference}"><v>1</v></c></row>'


def _nested_mail(depth: int) -> bytes:
    inner = b"Subject: the innermost\n\nhello\n"
    for level in range(depth):
        head = f"Subject: level {level}\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
        inner = head.encode() + inner
    return inner


def _nested_parts(depth: int) -> bytes:
    opening = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth)
    )
    return f"Subject: boxes\nMIME-Version: 1.0\n{opening}\nhello\n".encode()


def _many_parts(count: int) -> bytes:
    head = 'Subject: parts\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    return (head + "--b\nContent-Type: text/plain\n\nx\n" * count + "--b--\n").encode()


def _notebook(depth: int) -> bytes:
    return b'{"nbformat":4,"cells":' + b'[{"a":' * depth + b"1" + b"}]" * depth + b"}"


def _endless_pages() -> bytes:
    """A PDF whose page tree contains itself, under a count of two thousand million."""
    return (
        pdf(["text"]).replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]").replace(b"1 /K", b"2000000000 /K")
    )


def _stream_bomb() -> bytes:
    """A PDF page whose content unpacks to 200 MB."""
    packer = zlib.compressobj(1)
    shown = b"(aaaaaaaaaaaaaaaa) Tj " * (MEGABYTE // 22)
    parts = [packer.compress(b"BT /F1 10 Tf ")]
    parts += [packer.compress(shown) for _ in range(200)]
    stream = b"".join([*parts, packer.compress(b"ET"), packer.flush()])
    plain = pdf(["x"])
    start, end = plain.index(b"<< /Length"), plain.index(b"endstream")
    head = b"<< /Filter /FlateDecode /Length %d >>\nstream\n" % len(stream)
    return plain[:start] + head + stream + b"\n" + plain[end:]


NASTIES: dict[str, Callable[[], bytes]] = {
    # Nesting: a parser that recurses runs out of stack, one that does not out of memory.
    "nested.json": lambda: b"[" * MEGABYTE,
    "nested-objects.json": lambda: b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "nested.ipynb": lambda: _notebook(50_000),
    "nested.html": lambda: b"<html>" + b"<div>" * MEGABYTE,
    "nested-lists.html": lambda: b"<ul><li>" * 100_000,
    "nested-tables.html": lambda: b"<table><tr><td>" * 50_000,
    "nested.xml": lambda: b"<a>" * MEGABYTE,
    "nested.rtf": lambda: b"{\\rtf1" + b"{" * MEGABYTE,
    "nested.tex": lambda: b"\\begin{document}" + b"\\begin{itemize}\\item " * 50_000,
    "nested-braces.tex": lambda: b"\\section{" * 100_000,
    "nested.md": lambda: b">" * 500_000 + b" deep",
    "nested-lists.md": lambda: b"".join(b" " * n + b"- x\n" for n in range(2_000)),
    "nested.docx": lambda: docx("<w:tbl><w:tr><w:tc>" * 50_000),
    "nested.eml": lambda: _nested_mail(3_000),
    "nested-parts.eml": lambda: _nested_parts(3_000),
    "nested.rst": lambda: b"".join(b"  " * (n % 3_000) + b"* x\n\n" for n in range(6_000)),
    # Entities: a little that says a lot.
    "laughs.xml": lambda: _xml("&e9;", _laughs()),
    "laughs.html": lambda: (_laughs() + "<html><p>&e9;</p></html>").encode(),
    "laughs.docx": lambda: docx("<w:p><w:r><w:t>&e9;</w:t></w:r></w:p>", prolog=_laughs()),
    "laughs.rss": lambda: (
        f'<?xml version="1.0"?>{_laughs()}<rss><channel>&e9;</channel></rss>'
    ).encode(),
    "laughs.fb2": lambda: (
        f'<?xml version="1.0"?>{_laughs()}<FictionBook>&e9;</FictionBook>'
    ).encode(),
    "quadratic.xml": lambda: _xml("&a;" * 50_000, f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>'),
    "outside.xml": lambda: _xml("&a;", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
    "parameter.xml": lambda: _xml(
        "", '<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]>'
    ),
    # Archives that unpack to more than they should.
    "bomb.docx": lambda: _bomb(
        "word/document.xml",
        "<w:document xmlns:w='w'><w:body>",
        "<w:p><w:r><w:t>aaaa</w:t></w:r></w:p>",
        30,
    ),
    "bomb-of-spaces.docx": lambda: _bomb("word/document.xml", "<w:document>", " ", 200),
    "bomb.xlsx": lambda: _bomb("xl/sharedStrings.xml", "<sst><si><t>", "a", 200),
    "bomb.pptx": lambda: _bomb("ppt/slides/slide1.xml", "<p:sld>", "<a:t>aaaa</a:t>", 30),
    "bomb.odt": lambda: _bomb("content.xml", "<office:text>", "<text:p>aa</text:p>", 30),
    "bomb.epub": lambda: _bomb("META-INF/container.xml", "<container>", "<rootfile/>", 30),
    "entries.docx": lambda: _many_entries(20_000),
    "lying.docx": _lying_size,
    # Sizes that are claimed and not there.
    "corner.xlsx": lambda: sheet("A1:XFD1048576", _cell("A1") + _cell("XFD1048576")),
    "beyond.xlsx": lambda: sheet("A1:ZZZZ99999999", _cell("A1") + _cell("ZZZZ99999999")),
    "columns.xlsx": lambda: sheet(
        "A1:A100000", "".join(_cell(f"XFD{n}") for n in range(1, 20_000))
    ),
    "pages.pdf": _endless_pages,
    "stream.pdf": _stream_bomb,
    "parts.eml": lambda: _many_parts(40_000),
    "mails.mbox": lambda: b"From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\nx\n" * 30_000,
    "events.ics": lambda: b"BEGIN:VCALENDAR\n" + b"BEGIN:VEVENT\nSUMMARY:x\n" * 200_000,
    "cues.vtt": lambda: b"WEBVTT\n\n" + b"00:00.000 --> 00:00.001\n\n" * 300_000,
    "columns.csv": lambda: b"," * 2 * MEGABYTE + b"\n1,2\n",
    "rows.csv": lambda: b"a,b\n" + b"1,2\n" * 300_000,
    "quotes.csv": lambda: b'"' + b"a,b\n" * 300_000,
    "keys.json": lambda: b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}",
    "digits.json": lambda: b"[" + b"9" * MEGABYTE + b"]",
    "attributes.html": lambda: b"<p " + b"".join(b"a%d=1 " % n for n in range(200_000)) + b">x",
    # What regular expressions and scanners stumble over.
    "brackets.md": lambda: b"[" * 300_000 + b"](" * 100_000,
    "images.md": lambda: b"![" * 300_000,
    "stars.md": lambda: b"*_" * 300_000,
    "ticks.md": lambda: b"".join(b"`" * (n % 300) + b" " for n in range(5_000)),
    "tables.md": lambda: b"|" * 300_000 + b"\n" + b"|-" * 150_000 + b"\n",
    "rules.md": lambda: b"- " * 500_000,
    "front.md": lambda: b"---\n" + b"a: &a [*a, *a]\n" * 50_000 + b"---\n# x\n",
    "less-than.html": lambda: b"<html>" + b"<" * MEGABYTE,
    "comments.html": lambda: b"<html>" + b"<!--" * 500_000,
    "comments-first.html": lambda: b"<!-- x -->" * 100_000 + b"<",
    "ampersands.html": lambda: b"<html><p>" + b"&" * MEGABYTE,
    "spaces.txt": lambda: b"a" + b" " * 5 * MEGABYTE + b"b",
    "line.txt": lambda: b"a" * 10 * MEGABYTE,
    "lines.txt": lambda: b"\n" * 10 * MEGABYTE + b"x",
    "marks.txt": lambda: b"a" + "\u0315\u0300\u05ae\u0338".encode() * 500_000,
    "directions.txt": lambda: "\u202e\u2066".encode() * MEGABYTE + b"x",
    "underlines.rst": lambda: b"=" * MEGABYTE + b"\nx\n" + b"=" * MEGABYTE + b"\n",
    "roles.rst": lambda: b":a:`" * 200_000,
    "blocks.adoc": lambda: b"====\n" * 50_000 + b"|===\n" * 50_000,
    "dollars.tex": lambda: b"$" * 100_000 + b"\\" * 100_000,
    "macros.tex": lambda: b"\\newcommand{\\a}{\\a\\a}\\begin{document}" + b"\\a" * 100_000,
    "words.rtf": lambda: b"{\\rtf1" + b"\\u-1?" * 200_000 + b"\\'" * 200_000,
    "binary.rtf": lambda: b"{\\rtf1{\\bin999999999999 x}{\\pict " + b"f" * MEGABYTE,
    "headers.eml": lambda: b"X: " + b"=?utf-8?q?" * 100_000 + b"\n\nx\n",
    "folded.eml": lambda: b"Subject: x\n" + b" x\n" * 300_000 + b"\nx\n",
    "addresses.eml": lambda: b"To: " + b'"' * 100_000 + b"<" * 100_000 + b"\n\nx\n",
    "comments.eml": lambda: b"From: " + b"(" * 200_000 + b"\nDate: " + b"(" * 200_000 + b"\n\nx\n",
    "source.py": lambda: b"def f(" * 100_000 + b"'''" * 50_001,
    "minified.js": lambda: b"a=" + b"(function(){" * 200_000,
}
