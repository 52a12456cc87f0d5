"""What number format this processor is fast at, by measurement."""

import logging
import time
from functools import cache
from statistics import median

import torch

logger = logging.getLogger(__name__)

WORTHWHILE = 1.3
"""How much faster bf16 products must be before a processor gives up the precision of fp32."""


@cache
def prefers_bf16() -> bool:
    """Whether products in bf16 are faster on this processor, by measurement (about 0.1 s).

    Flags do not tell: with AMX bf16 is several times as fast as fp32, while AVX512-BF16 without
    AMX ran at 0.6 times its speed on a Sapphire Rapids.
    """
    known = torch.cpu.get_capabilities()
    if not (known.get("avx512_bf16") or known.get("amx_bf16") or known.get("bf16")):
        return False
    speedup = _seconds_of_product(torch.float32) / _seconds_of_product(torch.bfloat16)
    logger.info("bf16 products run at %.1f times the speed of fp32 here", speedup)
    return speedup >= WORTHWHILE


def _seconds_of_product(dtype: torch.dtype) -> float:
    rows, weights = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)

    def once() -> float:
        started = time.perf_counter()
        torch.nn.functional.linear(rows, weights)
        return time.perf_counter() - started

    once()
    return median(once() for _ in range(5))
