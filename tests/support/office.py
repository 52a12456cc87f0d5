"""Office files with the few parts that a test is about."""

import struct
from collections.abc import Mapping, Sequence

from tests.support.compound import compound
from tests.support.files import zipped

P = "http://schemas.openxmlformats.org/presentationml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
ODF = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("draw", "drawing"),
        ("meta", "meta"),
        ("presentation", "presentation"),
    )
)


def shape(text: str, *, kind: str = "") -> str:
    """A shape with a paragraph for each line."""
    mark = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp>{mark}<p:txBody>{lines}</p:txBody></p:sp>"


def pptx(
    *slides: str,
    relations: Mapping[int, Sequence[tuple[str, str, str]]] | None = None,
    parts: Mapping[str, str] | None = None,
) -> bytes:
    """A PPTX with these shape trees, shown in the opposite order of their numbers.

    Args:
        slides: Shapes of each slide, in the order in which they are shown.
        relations: By slide from 0: id, kind and target of relationships.
        parts: Further files.
    """
    count = len(slides)
    ids = "".join(f'<p:sldId id="{256 + n}" r:id="rId{n}"/>' for n in range(count))
    files = {
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{P}" xmlns:r="{R}"><p:sldIdLst>{ids}'
        "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": rels(
            *((f"rId{n}", "slide", f"slides/slide{count - n}.xml") for n in range(count))
        ),
    }
    for n, shapes in enumerate(slides):
        name = f"slide{count - n}.xml"
        files[f"ppt/slides/{name}"] = (
            f'<p:sld xmlns:p="{P}" xmlns:a="{A}" xmlns:r="{R}"><p:cSld><p:spTree>{shapes}'
            "</p:spTree></p:cSld></p:sld>"
        )
        if relations and n in relations:
            files[f"ppt/slides/_rels/{name}.rels"] = rels(*relations[n])
    return zipped({**files, **(parts or {})})


def rels(*relations: tuple[str, str, str]) -> str:
    """A part of relationships: id, kind and target."""
    inner = "".join(
        f'<Relationship Id="{name}" Type="{R}/{kind}" Target="{target}"/>'
        for name, kind, target in relations
    )
    return f'<Relationships xmlns="{PACKAGE}">{inner}</Relationships>'


def xlsx(**sheets: str) -> bytes:
    """An XLSX with the XML of the rows of each sheet."""
    names = list(sheets)
    listed = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(names, 1)
    )
    return zipped(
        {
            "_rels/.rels": rels(("rId1", "officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets>{listed}</sheets>'
            "</workbook>",
            "xl/_rels/workbook.xml.rels": rels(
                *(
                    (f"rId{n}", "worksheet", f"worksheets/sheet{n}.xml")
                    for n in range(1, len(names) + 1)
                )
            ),
            **{
                f"xl/worksheets/sheet{n}.xml": f'<worksheet xmlns="{S}"><sheetData>{sheets[name]}'
                "</sheetData></worksheet>"
                for n, name in enumerate(names, 1)
            },
        }
    )


def row(number: int, *values: str | float, first: str = "A") -> str:
    """A row of a sheet from the column `first` on; an empty text leaves its cell out."""
    cells = ""
    for offset, value in enumerate(values):
        place = f"{chr(ord(first) + offset)}{number}"
        if isinstance(value, str):
            if value:
                cells += f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'
        else:
            cells += f'<c r="{place}"><v>{value}</v></c>'
    return f'<row r="{number}">{cells}</row>'


def odf(kind: str, body: str, *, meta: str = "", **parts: str) -> bytes:
    """An OpenDocument file of a kind (`text` ...) around the XML of its body."""
    content = (
        f"<office:document-content {ODF}><office:body><office:{kind}>{body}</office:{kind}>"
        "</office:body></office:document-content>"
    )
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": content,
            "meta.xml": f"<office:document-meta {ODF}><office:meta>{meta}</office:meta>"
            "</office:document-meta>",
            **{name.replace("__", "/") + ".xml": text for name, text in parts.items()},
        }
    )


def msg(streams: Mapping[str, str | bytes], *, filetime: int = 0) -> bytes:
    """An Outlook message: property numbers (or whole paths) with their values."""
    files: dict[str, bytes] = {
        "__properties_version1.0": bytes(32) + struct.pack("<IIQ", 0x00390040, 6, filetime)
    }
    for name, value in streams.items():
        path = name if "__" in name else f"__substg1.0_{name}001F"
        files[path] = value.encode("utf-16-le") if isinstance(value, str) else value
    return compound(files)


def doc(text: str, *, styles: Sequence[int] = (), flags: int = 0, version: int = 0xC1) -> bytes:
    r"""A Word 97 document of `\r` and `\x07` paragraphs, with the built-in style of each."""
    raw = text.encode("utf-16-le")
    at = 2048
    document = bytearray(at) + raw
    struct.pack_into("<HH", document, 0, 0xA5EC, version)
    struct.pack_into("<H", document, 0x0A, flags)
    struct.pack_into("<I", document, 0x4C, len(text))
    clx = b"\x02" + struct.pack("<IIIHIH", 16, 0, len(text), 0, at, 0)
    table = bytearray(clx)
    struct.pack_into("<II", document, 0x01A2, 0, len(clx))
    ends = [at + 2 * (n + 1) for n, mark in enumerate(text) if mark in "\r\x07"]
    document += bytes(-len(document) % 512)
    page = bytearray(512)
    limits = [at, *ends]
    struct.pack_into(f"<{len(limits)}I", page, 0, *limits)
    for n in range(len(ends)):
        style = styles[n] if n < len(styles) else 0
        offset = 480 - 4 * n
        page[4 * len(limits) + 13 * n] = offset // 2
        struct.pack_into("<BBH", page, offset, 0, 1, style)
    page[511] = len(ends)
    struct.pack_into("<II", document, 0x0102, len(table), 12)
    table += struct.pack("<III", at, ends[-1] if ends else at, len(document) // 512)
    document += page
    return compound({"WordDocument": bytes(document), "0Table": bytes(table)})


def record(kind: int, data: bytes, *, instance: int = 0, container: bool = False) -> bytes:
    """A record of PowerPoint 97."""
    return struct.pack("<HHI", instance << 4 | (0xF if container else 0), kind, len(data)) + data


def ppt(*slides: Sequence[tuple[int, str]]) -> bytes:
    """A PowerPoint 97 file with the kind and text of each placeholder of each slide."""
    outline = b""
    for texts in slides:
        outline += record(0x03F3, bytes(20))
        for kind, text in texts:
            outline += record(0x0F9F, struct.pack("<I", kind))
            outline += record(0x0FA0, text.encode("utf-16-le"))
    document = record(0x03E8, record(0x0FF0, outline, container=True), container=True)
    return compound({"PowerPoint Document": document, "Current User": b""})


def xls(*rows: Sequence[str], locked: bool = False) -> bytes:
    """An Excel 97 workbook with one sheet of texts."""

    def biff(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    begin = biff(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0))
    lock = biff(0x2F, bytes(6)) if locked else b""
    name = b"Sheet1"
    bound = 4 + 8 + len(name)
    globals_length = len(begin) + len(lock) + bound + 4
    sheet = biff(0x85, struct.pack("<IBBBB", globals_length, 0, 0, len(name), 0) + name)
    cells = b"".join(
        biff(0x0204, struct.pack("<HHHHB", r, c, 0, len(value), 0) + value.encode("latin-1"))
        for r, values in enumerate(rows)
        for c, value in enumerate(values)
    )
    sheet_begin = biff(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0))
    workbook = begin + lock + sheet + biff(0x0A, b"") + sheet_begin + cells + biff(0x0A, b"")
    return compound({"Workbook": workbook})
