"""The predicted memory of a batch against what torch really held."""

import sys
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Qwen3Config, Qwen3Model

from pipelines.models.memory import (
    CPU_TOKENS,
    BatchMemory,
    _left_of_limit,
    free_bytes,
    token_budget,
)
from pipelines.models.packed_attention import SDPA
from pipelines.models.packed_decoder import PackedDecoder
from pipelines.models.packed_row import Branch
from tests.support.checkpoints import make_embedder

CPU = torch.device("cpu")
SHAPE_06B = Qwen3Config(
    hidden_size=1024,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    intermediate_size=3072,
)


class HeldBytes(TorchDispatchMode):
    """Counts the bytes of live tensor storages, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for each in torch.utils._pytree.tree_leaves(result):
            if isinstance(each, Tensor):
                self._count(each.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self._seen:
            return
        self._seen.add(address)
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._release, address, size)

    def _release(self, address: int, size: int) -> None:
        self._seen.discard(address)
        self.held -= size


@pytest.mark.parametrize(("length", "count"), [(500, 4), (40, 60)])
@pytest.mark.parametrize("shape", ["wide", "deep heads"])
def test_the_predicted_peak_is_near_the_measured_one(
    tmp_path: Path, length: int, count: int, shape: str
) -> None:
    sizes = (
        {"hidden_size": 128, "intermediate_size": 1024}
        if shape == "wide"
        else {"hidden_size": 128, "num_attention_heads": 16, "num_key_value_heads": 8}
    )
    folder = make_embedder(tmp_path / "model", **sizes)
    model = Qwen3Model.from_pretrained(folder, dtype=torch.float32).eval()
    decoder = PackedDecoder(model, token_budget=100_000, attention=SDPA)
    branch = Branch((1, 2, 3), [tuple(range(3, 3 + length)) for _ in range(count)])
    with HeldBytes() as measured:
        decoder.last_states([branch])
    predicted = BatchMemory.of(model.config, torch.float32, CPU).peak_bytes(length * count + 3)
    assert 0.8 * measured.peak < predicted < 1.6 * measured.peak


def test_the_tokens_that_fit_are_the_most_that_fit() -> None:
    memory = BatchMemory.of(SHAPE_06B, torch.bfloat16, CPU)
    for free in (10**6, 10**8, 10**10):
        tokens = memory.tokens_in(free)
        assert memory.peak_bytes(tokens) <= free < memory.peak_bytes(tokens + 1)
    assert memory.tokens_in(1) == 1


def test_the_budget_follows_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_bytes(CPU) > 0
    monkeypatch.setattr("pipelines.models.memory.free_bytes", lambda _device: 10**12)
    assert token_budget(SHAPE_06B, torch.bfloat16, CPU) == CPU_TOKENS
    monkeypatch.setattr("pipelines.models.memory.free_bytes", lambda _device: 10**8)
    assert 100 < token_budget(SHAPE_06B, torch.float32, CPU) < CPU_TOKENS


def test_a_containers_limit_counts_and_its_cached_files_do_not(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 300\nfile 600\n")
    assert _left_of_limit(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    assert _left_of_limit(tmp_path) == _left_of_limit(tmp_path / "none") == sys.maxsize


def test_a_sequence_of_32_thousand_tokens_fits_in_little_memory() -> None:
    memory = BatchMemory.of(SHAPE_06B, torch.bfloat16, CPU)
    assert memory.peak_bytes(32_768) < 1.2e9
