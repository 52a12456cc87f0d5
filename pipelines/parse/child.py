"""The one-shot child of `sandbox.py`: a file on descriptor 0, one JSON document on descriptor 1.

Run as a script by an isolated interpreter. It takes its order as one JSON argument, imports only
the parser that the file needs, gives up everything else (`confine.py`) and only then lets that
parser see the file. It imports no pydantic, numpy or httpx: its start is paid by every document.
"""

import importlib
import json
import os
import sys


def main() -> None:
    """Parse what is on descriptor 0 and exit."""
    order = json.loads(sys.argv[1])
    sys.path[:] = order["path"]
    from pipelines.parse import confine

    confine.limit(**order["limits"])
    reply = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not write into the answer
    try:
        encoded = _encoded(_answer(order))
    except MemoryError:
        encoded = _encoded({"failure": "parser_memory", "message": ""})
    view = memoryview(encoded)
    while view:
        view = view[os.write(reply, view) :]
    os._exit(0)


def _encoded(answer: dict[str, object]) -> bytes:
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _answer(order: dict[str, str | None]) -> dict[str, object]:
    from pipelines.parse import confine, encoding
    from pipelines.parse.detect import detect
    from pipelines.parse.extract import Unreadable

    try:
        data = _read()
        found = detect(data, suffix=order["suffix"] or "", media_type=order["media_type"])
        parser = importlib.import_module(found.parser)
        if not found.binary:
            encoding.prepare(data)
        confine.seal()
        text, blocks, media_type, title, metadata = parser.parse(data)
    except Unreadable as unreadable:
        return {"failure": unreadable.failure, "message": unreadable.message}
    except MemoryError:
        raise
    except RecursionError:
        return {
            "failure": "corrupt",
            "message": "The file nests too deep to be read; flatten it and upload it again.",
        }
    except Exception as fault:  # a fault in a parser is the log's business, not the caller's
        return {"failure": "parser_crashed", "message": _trace(fault)}
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


if __name__ == "__main__":
    main()
