"""What a machine without the best of everything falls back to, and that it says so once."""

import logging

import pytest
import torch

from pipelines.models import device as devices
from pipelines.models.device import pick_attention, pick_device, pick_dtype
from pipelines.models.packed_attention import SDPA
from pipelines.models.pointwise import Pointwise, pointwise_for

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("fast", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_processor_uses_bf16_where_that_is_fast(
    monkeypatch: pytest.MonkeyPatch, fast: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(devices, "prefers_bf16", lambda: fast)
    assert pick_dtype(None, CPU) == expected
    assert pick_dtype("float32", CPU) == torch.float32


def test_the_device_asked_for_is_used() -> None:
    assert pick_device("cpu") == CPU


def test_a_processor_attends_piece_by_piece() -> None:
    assert pick_attention(CPU, torch.bfloat16) == SDPA


@pytest.mark.skipif(torch.cuda.is_available(), reason="wants a machine where CUDA fails")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_without_the_kernel_attention_falls_back_with_one_line(
    caplog: pytest.LogCaptureFixture, dtype: torch.dtype
) -> None:
    with caplog.at_level(logging.WARNING):
        assert pick_attention(CUDA, dtype) == SDPA
    assert len(caplog.records) == 1
    assert "variable-length attention is not used" in caplog.text


def test_without_a_compiler_norms_and_rotations_run_plain_with_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_function: object, **_options: object) -> object:
        def call(*_args: object) -> None:
            raise RuntimeError("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(torch, "ones", lambda *shape, **_options: torch.zeros(shape))
    with caplog.at_level(logging.WARNING):
        assert pointwise_for(CUDA) == Pointwise()
    assert len(caplog.records) == 1
    assert "not compiled: RuntimeError" in caplog.text
