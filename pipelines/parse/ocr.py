"""Scanned PDFs by tesseract, as a library inside the sealed child: pixels in, paragraphs out.

Optional (`twofold[ocr]` and tesseract's language data). The engine is loaded before the child is
sealed and reads nothing but the memory of this process afterwards, so a scan costs what any other
hostile file may cost: one child.
"""

import os
import re
from pathlib import Path

import pypdfium2 as pdfium  # type: ignore[import-untyped]

from pipelines.parse import pdf
from pipelines.parse.extract import Builder, Extract, Unreadable

MAX_PAGES = 300
MAX_PIXELS = 40_000_000
"""Most pixels of a page; one that is larger is looked at more coarsely."""

RESOLUTION = 200
"""Pixels to an inch: what tesseract needs for print of the usual size, in half a second a page."""

LEAST_CONFIDENCE = 55
"""Mean confidence, of 100, below which a page is guessed and not read: a wrong language, say."""

DATA_FOLDERS = (
    "/usr/share/tesseract-ocr/*/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)

_HYPHEN = re.compile(r"(\w)[-‐]\n(?=\w)")


def data_folder(languages: str) -> Path | None:
    """The folder that has the data of all languages (`eng+deu`), or None."""
    for pattern in DATA_FOLDERS:
        for folder in sorted(Path("/").glob(pattern[1:]), reverse=True):
            if all((folder / f"{each}.traineddata").is_file() for each in languages.split("+")):
                return folder
    return None


class Reader:
    """Reads PDFs by their looks; has the `parse` of a parser module.

    Args:
        languages: As tesseract names them, with `+` between two.
    """

    def __init__(self, languages: str) -> None:
        os.environ["OMP_THREAD_LIMIT"] = "1"  # a sealed child starts no thread
        import tesserocr  # type: ignore[import-not-found,import-untyped,unused-ignore]

        self._languages = languages
        self._engine = tesserocr.PyTessBaseAPI(path=str(data_folder(languages)), lang=languages)
        self._engine.SetVariable("debug_file", "")  # what it reports is lost, not put in a file

    def parse(self, data: bytes) -> Extract:
        """Read every page that can be shown."""
        document = pdf.open_document(data)
        if len(document) > MAX_PAGES:
            raise Unreadable(
                "too_large", f"The scan has more than {MAX_PAGES} pages; split it and upload those."
            )
        builder = Builder()
        for index in range(len(document)):
            try:
                text = self._read(document[index])
            except pdfium.PdfiumError:
                continue
            for paragraph in _HYPHEN.sub(r"\1", text).split("\n\n"):
                builder.add(" ".join(paragraph.split()), page=index + 1)
        about = {"ocr": self._languages} | pdf.properties(document)
        found = builder.extract(pdf.MEDIA_TYPE, title=about.pop("title", None), metadata=about)
        if not found.blocks:
            raise Unreadable(
                "needs_ocr",
                f"OCR makes no sense of the scan in the languages '{self._languages}'; scan it "
                "again more clearly, or have the operator add its language to TWOFOLD_OCR.",
            )
        return found

    def _read(self, page: pdfium.PdfPage) -> str:
        width, height = page.get_size()
        scale = min(RESOLUTION / 72, (MAX_PIXELS / max(1.0, width * height)) ** 0.5)
        shown = page.render(scale=scale, grayscale=True)
        self._engine.SetImageBytes(bytes(shown.buffer), shown.width, shown.height, 1, shown.stride)
        self._engine.SetSourceResolution(int(72 * scale))
        text: str = self._engine.GetUTF8Text()
        page.close()
        return text if self._engine.MeanTextConf() >= LEAST_CONFIDENCE else ""
