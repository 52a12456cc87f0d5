"""A BERT encoder without padding: the sequences of a batch lie in one packed row of tokens.

Linear layers and norms see the row [tokens, hidden] and never a padding token. Attention runs over
each run of equally long neighbours at once, which in length-sorted batches are long and cost no
copy: n sequences of m tokens are a view [n, heads, m, head size] of their stretch of the row.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019: post-norm, learned
positions, exact GELU. Written out rather than taken from transformers because that takes seconds
to import and pads.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
from safetensors.torch import load_file
from torch import Tensor


class Run(NamedTuple):
    """Neighbouring sequences of one length."""

    sequences: int
    length: int

    @property
    def tokens(self) -> int:
        return self.sequences * self.length


class PackedBert:
    """The encoder of a BERT checkpoint in safetensors, for inference.

    Attributes:
        hidden: Length of a token's state.
    """

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = {
            name: tensor.to(dtype)
            for name, tensor in load_file(folder / "model.safetensors").items()
            if tensor.is_floating_point()
        }
        self.hidden: int = config["hidden_size"]
        self._words = weights["embeddings.word_embeddings.weight"]
        # Every token is of segment 0, so its vector belongs to the positions once and for all.
        self._positions = (
            weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _Norm(weights, "embeddings.LayerNorm", config["layer_norm_eps"])
        self._blocks = [
            _Block(weights, f"encoder.layer.{number}", config)
            for number in range(config["num_hidden_layers"])
        ]

    @torch.inference_mode()
    def __call__(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Encode token ids; fastest where sequences of equal length are neighbours.

        Returns:
            States [tokens, hidden] float32, one sequence after the other.
        """
        lengths = [len(sequence) for sequence in sequences]
        ids = torch.tensor([token for sequence in sequences for token in sequence])
        places = torch.cat([torch.arange(length) for length in lengths])
        row = self._norm(F.embedding(ids, self._words) + F.embedding(places, self._positions))
        runs = [Run(len(list(same)), length) for length, same in groupby(lengths)]
        for block in self._blocks:
            row = block(row, runs)
        return row.float()


class _Linear:
    def __init__(self, weights: dict[str, Tensor], *names: str) -> None:
        """One layer, or several over the same input side by side."""
        self._weight = torch.cat([weights[f"{name}.weight"] for name in names])
        self._bias = torch.cat([weights[f"{name}.bias"] for name in names])

    def __call__(self, row: Tensor) -> Tensor:
        return F.linear(row, self._weight, self._bias)


class _Norm:
    def __init__(self, weights: dict[str, Tensor], name: str, eps: float) -> None:
        self._weight = weights[f"{name}.weight"]
        self._bias = weights[f"{name}.bias"]
        self._eps = eps

    def __call__(self, row: Tensor) -> Tensor:
        return F.layer_norm(row, row.shape[-1:], self._weight, self._bias, self._eps)


class _Block:
    """One layer of the encoder: attention, then feed-forward, each added and normalised."""

    def __init__(
        self, weights: dict[str, Tensor], name: str, config: dict[str, int | float]
    ) -> None:
        this = f"{name}.attention.self"
        eps = float(config["layer_norm_eps"])
        self._heads = int(config["num_attention_heads"])
        self._qkv = _Linear(weights, f"{this}.query", f"{this}.key", f"{this}.value")
        self._out = _Linear(weights, f"{name}.attention.output.dense")
        self._attention_norm = _Norm(weights, f"{name}.attention.output.LayerNorm", eps)
        self._up = _Linear(weights, f"{name}.intermediate.dense")
        self._down = _Linear(weights, f"{name}.output.dense")
        self._output_norm = _Norm(weights, f"{name}.output.LayerNorm", eps)

    def __call__(self, row: Tensor, runs: Sequence[Run]) -> Tensor:
        row = self._attention_norm(row + self._out(self._attend(self._qkv(row), runs)))
        return self._output_norm(row + self._down(F.gelu(self._up(row))))

    def _attend(self, qkv: Tensor, runs: Sequence[Run]) -> Tensor:
        if len(runs) == 1:
            return self._attend_run(qkv, runs[0])
        stretches = torch.split(qkv, [run.tokens for run in runs])
        return torch.cat([self._attend_run(*each) for each in zip(stretches, runs, strict=True)])

    def _attend_run(self, qkv: Tensor, run: Run) -> Tensor:
        shape = (run.sequences, run.length, 3, self._heads, -1)
        query, key, value = qkv.view(shape).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        return attended.transpose(1, 2).reshape(run.tokens, -1)


def batches_by_length(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices of sequences in batches, shortest first, of at most `budget` tokens each.

    A sequence that is longer than the budget is a batch of its own.
    """
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[index] > budget:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += lengths[index]
    if batch:
        yield batch
