"""Which device and which number format a model runs in, by what the machine is good at."""

import logging

import torch

from pipelines.models.packed_attention import SDPA, VARLEN, varlen_kernel
from pipelines.models.processor import prefers_bf16
from twofold.errors import ConfigurationError

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(wanted: str | None) -> torch.device:
    """The device asked for, else the best there is: cuda, mps, cpu.

    Raises:
        ConfigurationError: This machine has no such device.
    """
    if wanted is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigurationError(
            setting=f"device '{wanted}'", reason="this machine has none; leave it out, or use 'cpu'"
        ) from error


def pick_dtype(wanted: str | None, device: torch.device) -> torch.dtype:
    """The number format asked for, else bf16 where the device computes it fast, else fp32.

    fp16 is refused on a processor: its range is too small for the activations of Qwen3.

    Raises:
        ConfigurationError: There is no such format, or none that is sound on this device.
    """
    if wanted is None:
        return torch.bfloat16 if _fast_bf16(device) else torch.float32
    if wanted not in DTYPES or (wanted == "float16" and device.type == "cpu"):
        sound = [name for name in DTYPES if name != "float16" or device.type != "cpu"]
        raise ConfigurationError(
            setting=f"dtype '{wanted}'", reason=f"on {device.type} use one of {', '.join(sound)}"
        )
    return DTYPES[wanted]


def pick_attention(device: torch.device, dtype: torch.dtype) -> str:
    """Name of the registered attention that is fastest there."""
    if device.type != "cuda":
        return SDPA
    reason = "it wants bf16 or fp16" if dtype == torch.float32 else _varlen_fault(device)
    if reason is None:
        return VARLEN
    logger.warning("variable-length attention is not used: %s; slower attention serves", reason)
    return SDPA


def _varlen_fault(device: torch.device) -> str | None:
    """Why the variable-length kernel does not run here, by trying it; None when it does."""
    try:
        tokens = torch.ones(4, 2, 64, dtype=torch.bfloat16, device=device)
        bounds = torch.tensor([0, 1, 4], dtype=torch.int32, device=device)
        varlen_kernel()(tokens, tokens, tokens, bounds, bounds, 3, 3, scale=0.125)
    except Exception as error:  # another torch, GPU or build refuses in a way of its own
        return f"{type(error).__name__} ({str(error).splitlines()[0] if str(error) else device})"
    return None


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and prefers_bf16()
