"""The one-shot child of `zygote.py`: a file on descriptor 0, one JSON document on descriptor 1.

It imports only the parser that the file needs, gives up everything else (`confine.py`) and only
then lets that parser see the file. It imports no pydantic, numpy or httpx: its start is paid by
every document.
"""

import importlib
import json
import os
from collections.abc import Mapping
from typing import Any

from pipelines.parse import confine, encoding
from pipelines.parse.detect import detect
from pipelines.parse.extract import Extract, Unreadable
from pipelines.parse.formats import FORMATS, PDF


def main(order: Mapping[str, str | None], limits: confine.Limits) -> None:
    """Parse what is on descriptor 0 and exit.

    Args:
        order: `suffix` of the file's name and the `media_type` that its owner claims; with
            `ocr`, the languages, a PDF is read by its looks.
        limits: What it may take.
    """
    confine.limit(limits)
    reply = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not write into the answer
    parser = ""
    try:
        data = _read()
        found = detect(data, suffix=order["suffix"] or "", media_type=order["media_type"])
        parser = found.parser
        module = _reader(parser, order["ocr"])
        prepare = getattr(module, "prepare", None if found.binary else encoding.prepare)
        if prepare is not None:
            prepare(data)
        confine.seal()
        encoded = _encoded(_success(module.parse(data)))
    except Unreadable as unreadable:
        encoded = _failure(unreadable.failure, unreadable.message)
    except MemoryError:
        encoded = _failure("parser_memory", "")
    except RecursionError:
        encoded = _failure(
            "corrupt", "The file nests too deep to be read; flatten it and upload it again."
        )
    except Exception as fault:  # a fault in a parser is the log's business, not the caller's
        encoded = _failure("parser_crashed", _trace(fault))
    view = memoryview(encoded)
    while view:
        view = view[os.write(reply, view) :]
    os._exit(exit_code(parser))


def _reader(parser: str, ocr_languages: str | None) -> Any:
    """The module that reads a format, or for a scan what stands in its place."""
    if ocr_languages is None or parser != PDF.parser:
        return importlib.import_module(parser)
    from pipelines.parse.ocr import Reader

    return Reader(ocr_languages)


def exit_code(parser: str) -> int:
    """Which parser a child took, said on its way out, so that the zygote can have it ready."""
    return next((n for n, each in enumerate(FORMATS, 1) if each.parser == parser), 0)


def parser_of(code: int) -> str | None:
    """The inverse of `exit_code`, which a child that was taken over may have answered anyhow."""
    return FORMATS[code - 1].parser if 0 < code <= len(FORMATS) else None


def _success(extract: Extract) -> dict[str, object]:
    text, blocks, media_type, title, metadata = extract
    paths = {
        path: index for index, path in enumerate(dict.fromkeys(each.headings for each in blocks))
    }
    return {
        "text": text,
        "paths": list(paths),
        "blocks": [[b.start, b.end, b.kind, paths[b.headings], b.page, b.lead] for b in blocks],
        "media_type": media_type,
        "title": title,
        "metadata": metadata,
    }


def _failure(code: str, message: str) -> bytes:
    return _encoded({"failure": code, "message": message.encode(errors="replace").decode()})


def _encoded(answer: dict[str, object]) -> bytes:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _trace(fault: BaseException) -> str:
    """Where it happened, in one line; the traceback module would want to open files."""
    trace = fault.__traceback__
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rpartition(os.sep)[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(fault).__name__}: {fault} ({' > '.join(places)})"[:2_000]


def _read() -> bytes:
    with os.fdopen(0, "rb", closefd=False) as file:
        return file.read()
