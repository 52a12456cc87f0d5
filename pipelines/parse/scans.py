"""A parser that reads a PDF a second time, by OCR, when it turns out to have no text."""

import importlib.util
import logging
from pathlib import Path

from pipelines.parse.sandbox import SandboxedParser
from pipelines.ports import Parsed
from twofold.errors import ConfigurationError, ParseError

log = logging.getLogger(__name__)

OCR_MEMORY_BYTES = 1_500_000_000
OCR_CPU_S = 600
OCR_WALL_S = 900.0


class ScanReader:
    """A `pipelines.ports.Parser` for files with text, and for scans in these languages.

    Args:
        languages: As tesseract names them, with `+` between two: `eng+deu`.

    Raises:
        ConfigurationError: The engine or the data of a language is not installed.
    """

    def __init__(self, languages: str) -> None:
        require_ocr(languages)
        self._parser = SandboxedParser()
        self._ocr = SandboxedParser(
            memory_bytes=OCR_MEMORY_BYTES, cpu_s=OCR_CPU_S, wall_s=OCR_WALL_S, ocr=languages
        )

    def close(self) -> None:
        """End what it runs; nothing can be parsed afterwards."""
        self._parser.close()
        self._ocr.close()

    def parse(self, path: Path, *, name: str, media_type: str | None) -> Parsed:
        """See `pipelines.ports.Parser.parse`."""
        try:
            return self._parser.parse(path, name=name, media_type=media_type)
        except ParseError as error:
            if error.failure != "needs_ocr":
                raise
        log.info("a PDF has no text and is read by OCR")
        return self._ocr.parse(path, name=name, media_type=media_type)


def require_ocr(languages: str) -> None:
    """Check that the engine and its data are there.

    Raises:
        ConfigurationError: They are not; the sentence says what to install.
    """
    if importlib.util.find_spec("tesserocr") is None:
        raise ConfigurationError(
            setting="TWOFOLD_OCR", reason="the engine is missing; install twofold[server,ocr]"
        )
    from pipelines.parse.ocr import DATA_FOLDERS, data_folder

    if data_folder(languages) is None:
        raise ConfigurationError(
            setting="TWOFOLD_OCR",
            reason=f"no data for '{languages}' in {', '.join(DATA_FOLDERS)}; install it "
            "(Debian: tesseract-ocr, and tesseract-ocr-deu for German)",
        )
