"""Vectors that were computed before, so that an index of 11,000 texts is filled in seconds.

A peer's encoder is wrapped where it is called for many texts: what is known is looked up, the rest
is computed as ever and kept. Three of the peers call the same `SentenceTransformer.encode` with the
same weights, so they share what they have. Never in use while anything is timed.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def remembering(owner: type, path: Path) -> Iterator[None]:
    """Within the block, `owner.encode(texts)` looks into the file before it computes.

    Args:
        owner: Whose `encode` takes texts and gives an array, [n, dimensions] float32.
        path: SQLite file; several processes may have it open.
    """
    encode = owner.encode  # type: ignore[attr-defined]
    known = Vectors(path)

    def looked_up(self: Any, texts: Any, *more: Any, **options: Any) -> Any:
        if isinstance(texts, str):
            return encode(self, texts, *more, **options)
        return known.of(
            owner.__name__, list(texts), lambda new: encode(self, new, *more, **options)
        )

    owner.encode = looked_up  # type: ignore[attr-defined]
    try:
        yield
    finally:
        owner.encode = encode  # type: ignore[attr-defined]
        known.close()


class Vectors:
    """Vectors by encoder and text."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, timeout=60.0, isolation_level=None)
        self._file.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")

    def of(
        self, encoder: str, texts: Sequence[str], compute: Callable[[list[str]], np.ndarray]
    ) -> np.ndarray:
        """One row for each text."""
        keys = [hashlib.sha256(f"{encoder}\0{text}".encode()).digest() for text in texts]
        found = {key: vector for key in set(keys) if (vector := self._get(key)) is not None}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if new:
            vectors = np.asarray(compute(list(new.values())), np.float32)
            fresh = dict(zip(new, vectors, strict=True))
            self._file.executemany(
                "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                [(key, vector.tobytes()) for key, vector in fresh.items()],
            )
            found |= fresh
        return np.stack([found[key] for key in keys])

    def _get(self, key: bytes) -> np.ndarray | None:
        row = self._file.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return np.frombuffer(row[0], np.float32) if row else None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
