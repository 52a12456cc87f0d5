"""The token states of passages, kept small and within a bound of memory."""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipelines.ports import Vector

Int8: TypeAlias = NDArray[np.int8]

ENTRY_BYTES = 400
"""What an entry takes beside its numbers."""


class States(NamedTuple):
    """The token states of a text as unit vectors, in one byte a number.

    Attributes:
        numbers: [tokens, dimensions]; a state is the direction of its row.
        truncated: Whether the text goes on.
    """

    numbers: Int8
    truncated: bool

    @classmethod
    def pack(cls, states: Vector, *, truncated: bool) -> "States":
        """Keep the directions of [tokens, dimensions] float32, each to about 1 part in 250."""
        largest = np.abs(states).max(axis=1, keepdims=True)
        return cls(np.rint(states * (127 / largest)).astype(np.int8), truncated)

    @property
    def size(self) -> int:
        """Bytes that it takes in a cache."""
        return self.numbers.nbytes + ENTRY_BYTES


class StateCache:
    """The states used last, by a key, as many as fit into `limit` bytes; for any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[bytes, States] = OrderedDict()
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._size

    def get(self, key: bytes) -> States | None:
        """What is under the key, if it is still there; it counts as used now."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def put(self, key: bytes, states: States) -> None:
        """Keep them, and let go of what was not used for longest; too large ones are not kept."""
        with self._lock:
            self._discard(key)
            if states.size > self._limit:
                return
            self._entries[key] = states
            self._size += states.size
            while self._size > self._limit:
                self._discard(next(iter(self._entries)))

    def _discard(self, key: bytes) -> None:
        if (states := self._entries.pop(key, None)) is not None:
            self._size -= states.size
