"""The three steps of a Qwen3 layer that are no matrix products: norm, rotation, gate.

Written to pass over memory as seldom as plain torch allows, because between fast matrix products
these passes are what is left. On CUDA they are compiled into one kernel each where that works.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
from torch import Tensor

logger = logging.getLogger(__name__)

Rotation: TypeAlias = tuple[Tensor, Tensor]


def rms_norm(states: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root mean square norm (Zhang and Sennrich, 2019) over the last axis."""
    if states.dtype != torch.float32 or states.device.type != "cpu":
        return F.rms_norm(states, weight.shape, weight, epsilon)
    # On a processor the line above takes twice the time: it squares into a tensor of full size.
    length: Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
    scale = length.square_().div_(states.shape[-1]).add_(epsilon).rsqrt_()
    return (states * scale).mul_(weight)


def rotate(heads: Tensor, rotation: Rotation) -> Tensor:
    """Rotary position embedding (Su et al., 2021), in halves: [rows, heads, size] to the same."""
    cosine, sine = rotation
    half = heads.shape[-1] // 2
    rotated = heads * cosine
    rotated[..., :half].addcmul_(heads[..., half:], sine[..., :half], value=-1)
    rotated[..., half:].addcmul_(heads[..., :half], sine[..., half:])
    return rotated


def gate(opening: Tensor, content: Tensor) -> Tensor:
    """SwiGLU without its products (Shazeer, 2020); overwrites `opening`."""
    return F.silu(opening, inplace=True).mul_(content)


class Pointwise(NamedTuple):
    """The three, plain or compiled."""

    rms_norm: Callable[[Tensor, Tensor, float], Tensor] = rms_norm
    rotate: Callable[[Tensor, Rotation], Tensor] = rotate
    gate: Callable[[Tensor, Tensor], Tensor] = gate


def pointwise_for(device: torch.device) -> Pointwise:
    """Compiled for CUDA if its compiler works here, else plain."""
    if device.type != "cuda":
        return Pointwise()
    compiled = Pointwise(*(torch.compile(each, dynamic=True) for each in Pointwise()))
    try:
        _try_out(compiled, device)
    except Exception as error:  # a compiler can fail in any way, and all of them mean: do without
        logger.warning("norms and rotations are not compiled: %s", type(error).__name__)
        return Pointwise()
    return compiled


@torch.inference_mode()
def _try_out(functions: Pointwise, device: torch.device) -> None:
    heads = torch.ones(6, 4, 16, dtype=torch.bfloat16, device=device)
    angles = torch.ones(6, 1, 16, dtype=torch.bfloat16, device=device)
    functions.rotate(functions.rms_norm(heads, heads[0, 0], 1e-6), (angles, angles))
    functions.gate(heads[:, 0], heads[:, 1])
