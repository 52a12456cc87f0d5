"""A process that writes into a store until it is killed: `python -m tests.support.crashing_writer`.

It prints a line before and after every step, as a client would note what it asked and what was
acknowledged: `begin` and `done`, the document, its version, and how many chunks.
"""

import asyncio
import random
import sys
from pathlib import Path

from pipelines.store.edge import EdgeStore
from tests.support.stored import COLLECTION, ready, row, stage

TENANT = "mine"
DOCUMENTS = 6


def texts_of(document_id: str, version: int, chunks: int) -> list[str]:
    """Texts that say which version they belong to; some stay the same over all versions."""
    return [
        f"{document_id} kept {number}" if number % 3 == 0 else f"{document_id} v{version} {number}"
        for number in range(chunks)
    ]


async def write(folder: Path, seed: int, versions: dict[str, int]) -> None:
    """Upload new versions of a few documents, delete one now and then; never ends."""
    draw = random.Random(seed)
    store = EdgeStore.open(folder)
    await store.ensure_collection(TENANT, COLLECTION)
    while True:
        document_id = f"d{draw.randrange(DOCUMENTS)}"
        versions[document_id] = versions.get(document_id, 0) + 1
        chunks = draw.randrange(1, 12)
        document = row(document_id, version=versions[document_id])
        say("begin", "put", document.id, document.version, chunks)
        await store.put_documents(TENANT, [document])
        say("done", "put", document.id, document.version, chunks)
        await stage(store, TENANT, document, texts_of(document_id, document.version, chunks))
        await store.touch_document(TENANT, document.model_copy(update={"progress": 0.9}))
        say("begin", "publish", document.id, document.version, chunks)
        await store.publish(TENANT, ready(document, chunks))
        say("done", "publish", document.id, document.version, chunks)
        if draw.random() < 0.2:
            say("begin", "delete", document.id, document.version, 0)
            await store.delete_document(TENANT, COLLECTION.name, document_id)
            say("done", "delete", document.id, document.version, 0)


def say(*words: object) -> None:
    print(*words, flush=True)


if __name__ == "__main__":
    known = dict(pair.split("=") for pair in sys.argv[3:])
    asyncio.run(
        write(Path(sys.argv[1]), int(sys.argv[2]), {key: int(each) for key, each in known.items()})
    )
