"""Small files of binary formats, written by hand so that a test can make them wrong."""

import io
import zipfile
from collections.abc import Mapping, Sequence

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT_W = "http://purl.oclc.org/ooxml/wordprocessingml/main"


def pdf(*pages: Sequence[str], bookmarks: Sequence[tuple[str, int]] = (), info: str = "") -> bytes:
    """A PDF with one line of Helvetica per string, and bookmarks as (title, page from 0)."""
    count = len(pages)
    first_bookmark = 4 + 2 * count
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(count))
    objects = {
        1: "<< /Type /Catalog /Pages 2 0 R"
        + (f" /Outlines {first_bookmark} 0 R" if bookmarks else "")
        + " >>",
        2: f"<< /Type /Pages /Count {count} /Kids [{kids}] >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    for index, lines in enumerate(pages):
        shown = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
        stream = f"BT /F1 10 Tf 40 800 Td {shown}ET"
        objects[4 + 2 * index] = (
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * index} 0 R >>"
        )
        objects[5 + 2 * index] = f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream"
    for index, (title, page) in enumerate(bookmarks, start=1):
        following = f"/Next {first_bookmark + index + 1} 0 R" if index < len(bookmarks) else ""
        objects[first_bookmark + index] = (
            f"<< /Title ({title}) /Parent {first_bookmark} 0 R {following} "
            f"/Dest [{4 + 2 * page} 0 R /Fit] >>"
        )
    if bookmarks:
        last = first_bookmark + len(bookmarks)
        objects[first_bookmark] = (
            f"<< /Type /Outlines /First {first_bookmark + 1} 0 R /Last {last} 0 R "
            f"/Count {len(bookmarks)} >>"
        )
    about = max(objects) + 1
    objects[about] = f"<< {info} >>"
    return _assemble(objects, about)


def _assemble(objects: Mapping[int, str], about: int) -> bytes:
    file = io.BytesIO()
    file.write(b"%PDF-1.4\n")
    places = {}
    for number, body in sorted(objects.items()):
        places[number] = file.tell()
        file.write(f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1"))
    table = file.tell()
    file.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    for number in sorted(objects):
        file.write(f"{places[number]:010} 00000 n \n".encode())
    file.write(
        f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info {about} 0 R >>\n"
        f"startxref\n{table}\n%%EOF\n".encode()
    )
    return file.getvalue()


def docx(body: str, *, namespace: str = W, prolog: str = "", **parts: str) -> bytes:
    """A DOCX around the XML of its body; `parts` are further files, `__` for the slash."""
    document = (
        f'<?xml version="1.0"?>{prolog}<w:document xmlns:w="{namespace}" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<w:body>{body}</w:body></w:document>"
    )
    names = {f"{name.replace('__', '/')}.xml": content for name, content in parts.items()}
    return zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": document, **names})


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # Without the time of day, so that every process makes the same bytes.
            entry = zipfile.ZipInfo(name)
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return file.getvalue()
