"""One layer of Qwen3 over a packed row, with the modules and weights of transformers."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.models.qwen3.modeling_qwen3 import (
    Qwen3Attention,
    Qwen3DecoderLayer,
    Qwen3MLP,
    Qwen3RMSNorm,
)

from pipelines.models.packed_attention import Attention, Layout
from pipelines.models.pointwise import Pointwise, Rotation

CPU_ROWS = 1_024
"""Rows at once on a processor: intermediate results stay in its cache and in warm memory."""
GPU_ROWS = 32_768
"""Rows at once elsewhere: bounds the wide states of the feed-forward part."""


def block_rows(device: torch.device) -> int:
    """Rows that go through the matrix products of a layer at once."""
    return CPU_ROWS if device.type == "cpu" else GPU_ROWS


class LayerOutput(NamedTuple):
    """What a layer leaves.

    Attributes:
        hidden: [rows that ask, hidden size].
        keys: [rows, key heads, head size], rotated.
        values: The same shape.
    """

    hidden: Tensor
    keys: Tensor
    values: Tensor


class PackedLayer:
    """Runs any layer of a model over a row, block of rows by block of rows.

    The loop of transformers is not used, because it computes every position of the last layer and
    passes over memory several times for a norm or a rotation; its attention registry is.
    """

    def __init__(self, attend: Attention, pointwise: Pointwise, rows: int) -> None:
        self._attend = attend
        self._pointwise = pointwise
        self._rows = rows

    def __call__(
        self,
        layer: Qwen3DecoderLayer,
        hidden: Tensor,
        rotation: Rotation,
        layout: Layout,
        asking: Tensor | None = None,
    ) -> LayerOutput:
        """Run a layer; overwrites `hidden`.

        Args:
            layer: Whose weights.
            hidden: [rows, hidden size].
            rotation: Cosines and sines, [rows, 1, head size] each.
            layout: Which rows see which, and whether only the last of a piece asks.
            asking: Rows that a state is wanted of, as `layout` has them; None: all.
        """
        attention = layer.self_attn
        keys = hidden.new_empty(len(hidden), *_head_shape(attention.k_proj, attention))
        values = torch.empty_like(keys)
        asked = 0 if asking is not None else len(hidden)
        queries = hidden.new_empty(asked, *_head_shape(attention.q_proj, attention))
        for rows in self._blocks(hidden):
            normed = self.norm(hidden[rows], layer.input_layernorm)
            turn = rotation[0][rows], rotation[1][rows]
            keys[rows] = self._keys(attention, normed, turn)
            values[rows] = _heads(attention.v_proj(normed), attention)
            if asking is None:
                queries[rows] = self._queries(attention, normed, turn)
        if asking is not None:
            hidden = hidden[asking]
            normed = self.norm(hidden, layer.input_layernorm)
            turn = rotation[0][asking], rotation[1][asking]
            queries = self._queries(attention, normed, turn)
        attended = self._attended(attention, queries, keys, values, layout)
        for rows in self._blocks(hidden):
            hidden[rows] += attention.o_proj(attended[rows])
            normed = self.norm(hidden[rows], layer.post_attention_layernorm)
            hidden[rows] += self._feed_forward(layer.mlp, normed)
        return LayerOutput(hidden, keys, values)

    def norm(self, states: Tensor, norm: Qwen3RMSNorm) -> Tensor:
        """Apply a norm of the model."""
        return self._pointwise.rms_norm(states, norm.weight, norm.variance_epsilon)

    def _queries(self, attention: Qwen3Attention, normed: Tensor, turn: Rotation) -> Tensor:
        queries = _heads(attention.q_proj(normed), attention)
        return self._pointwise.rotate(self.norm(queries, attention.q_norm), turn)

    def _keys(self, attention: Qwen3Attention, normed: Tensor, turn: Rotation) -> Tensor:
        keys = _heads(attention.k_proj(normed), attention)
        return self._pointwise.rotate(self.norm(keys, attention.k_norm), turn)

    def _attended(
        self,
        attention: Qwen3Attention,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        layout: Layout,
    ) -> Tensor:
        """[rows that ask, heads x head size]."""
        output, _ = self._attend(
            attention,
            queries.transpose(0, 1)[None],
            keys.transpose(0, 1)[None],
            values.transpose(0, 1)[None],
            None,
            scaling=attention.scaling,
            layout=layout,
        )
        return output[0].flatten(1)

    def _feed_forward(self, mlp: Qwen3MLP, normed: Tensor) -> Tensor:
        opened: Tensor = self._pointwise.gate(mlp.gate_proj(normed), mlp.up_proj(normed))
        wide: Tensor = mlp.down_proj(opened)
        return wide

    def _blocks(self, hidden: Tensor) -> Iterator[slice]:
        for start in range(0, len(hidden), self._rows):
            yield slice(start, start + self._rows)


def _heads(projected: Tensor, attention: Qwen3Attention) -> Tensor:
    return projected.view(len(projected), -1, attention.head_dim)


def _head_shape(projection: nn.Linear, attention: Qwen3Attention) -> tuple[int, int]:
    return projection.out_features // attention.head_dim, attention.head_dim
