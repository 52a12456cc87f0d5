"""How much memory a batch takes, and so how many tokens a batch may have on this device."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import Qwen3Config

from pipelines.models.packed_layer import block_rows

CPU_TOKENS = 16_384
"""Beyond this a batch on a processor gains no speed and only takes memory."""
CUDA_TOKENS = 65_536
"""The same on a GPU: all its multiprocessors have been busy for long."""
SHARE = 0.8
"""Of the free memory; the rest is for the allocator's gaps and for other processes."""


@dataclass(frozen=True, slots=True)
class BatchMemory:
    """Predicted peak of what one batch allocates beyond the weights.

    With h the hidden size, q and k the widths of all query and of all key heads, i the inner size,
    d the head size and b bytes a number, T rows in blocks of R hold at their peak the larger of

        attention:     b T (h + 2q + 4k)              states; queries and output; keys and values,
                                                      gathered once more on CUDA
        feed-forward:  b T (h + q + 2k) + b R (h + 2i)  states, output, keys, values; a block's
                                                      normed states, gate and up

    plus b T 2d for the rotation and 16 T for ids and positions. Weights and the kept beginning
    (2 b k a token and layer) come on top and do not depend on T. A beginning that is much longer
    than what continues it is gathered once for each; that is not predicted, and a batch that
    then does not fit is halved.
    """

    hidden: int
    queries: int
    keys: int
    inner: int
    head: int
    width: int
    rows: int

    @classmethod
    def of(cls, config: Qwen3Config, dtype: torch.dtype, device: torch.device) -> "BatchMemory":
        """The sizes of a model in this number format on this device."""
        head = head_size(config)
        return cls(
            hidden=config.hidden_size,
            queries=config.num_attention_heads * head,
            keys=(config.num_key_value_heads or config.num_attention_heads) * head,
            inner=config.intermediate_size,
            head=head,
            width=dtype.itemsize,
            rows=block_rows(device),
        )

    def peak_bytes(self, tokens: int) -> int:
        """Predicted peak of a batch of so many tokens."""
        block = min(tokens, self.rows)
        attention = tokens * (self.hidden + 2 * self.queries + 4 * self.keys)
        inputs = tokens * (self.hidden + self.queries + 2 * self.keys)
        feed_forward = inputs + block * (self.hidden + 2 * self.inner)
        rotation = 2 * tokens * self.head
        return self.width * (max(attention, feed_forward) + rotation) + 16 * tokens

    def tokens_in(self, free_bytes: int) -> int:
        """The most tokens whose predicted peak fits; at least 1."""
        low, high = 1, 1 << 24
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (
                (middle, high) if self.peak_bytes(middle) <= free_bytes else (low, middle - 1)
            )
        return low


def token_budget(config: Qwen3Config, dtype: torch.dtype, device: torch.device) -> int:
    """Most tokens of a batch: what is fast on such a device, if its free memory holds that."""
    fast = CUDA_TOKENS if device.type == "cuda" else CPU_TOKENS
    return min(
        fast, BatchMemory.of(config, dtype, device).tokens_in(int(SHARE * free_bytes(device)))
    )


def head_size(config: Qwen3Config) -> int:
    """Numbers in one attention head."""
    return config.head_dim or config.hidden_size // config.num_attention_heads


def free_bytes(device: torch.device) -> int:
    """Memory that is free on the device now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(_available_bytes(), _left_of_limit())


def _available_bytes() -> int:
    """What the system can give without swapping; half of all where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _left_of_limit(group: Path = Path("/sys/fs/cgroup")) -> int:
    """What a container's limit leaves; cached files, mapped weights among them, can be dropped."""
    try:
        limit = (group / "memory.max").read_text("ascii").strip()
        used = int((group / "memory.current").read_text("ascii"))
        stat = (group / "memory.stat").read_text("ascii").splitlines()
    except OSError:
        return sys.maxsize
    if limit == "max":
        return sys.maxsize
    cached = int(dict(line.split() for line in stat)["file"])
    return max(int(limit) - used + cached, 0)
