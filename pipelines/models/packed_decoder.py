"""A Qwen3 decoder that runs token sequences packed in one row and returns their last states.

Three savings over padded batches, all exact: no padding; the tokens with which the sequences of a
branch begin run once; in the last layer only keys and values run for all tokens, the rest for the
last token of each sequence. Modules and weights are those of transformers; the loop over them is
written here, because theirs computes every position of the last layer, holds padding masks, and
spends five memory passes on a norm or a rotation.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple, TypeAlias, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
from torch import Tensor
from transformers import Qwen3Model
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.qwen3.modeling_qwen3 import (
    Qwen3Attention,
    Qwen3DecoderLayer,
    Qwen3MLP,
    Qwen3RMSNorm,
)

from pipelines.models.packed_attention import Attention, Kept, Layout, Piece

logger = logging.getLogger(__name__)

Tokens: TypeAlias = tuple[int, ...]
Rotation: TypeAlias = tuple[Tensor, Tensor]

MLP_ROWS = 8192
"""Rows that go through the wide part of a layer at once."""


class Branch(NamedTuple):
    """Sequences that begin alike: `stem + leaf` for each leaf.

    Attributes:
        stem: What they share; may be empty.
        leaves: How each continues; none is empty.
    """

    stem: Tokens
    leaves: Sequence[Tokens]

    @classmethod
    def of(cls, sequences: Sequence[Tokens]) -> "Branch":
        """Split sequences after their longest common beginning."""
        shared = min(common_length(sequences), min(map(len, sequences)) - 1)
        return cls(sequences[0][:shared], [each[shared:] for each in sequences])


def common_length(sequences: Sequence[Tokens]) -> int:
    """How many first tokens all of the sequences share."""
    first, last = min(sequences), max(sequences)  # in order, all others lie between these two
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    )


class PackedDecoder:
    """Last hidden states of packed sequences.

    Attributes:
        model: The decoder of transformers, without a head.
        constant: Tokens with which most sequences begin; computed once, at first use.
        token_budget: Most tokens of one batch; a longer sequence runs by itself. Halved, for good,
            whenever the device runs out of memory.
    """

    def __init__(
        self, model: Qwen3Model, *, token_budget: int, attention: str, constant: Tokens = ()
    ) -> None:
        self.model = model
        self.constant = constant
        self.token_budget = token_budget
        self._attend: Attention = ALL_ATTENTION_FUNCTIONS[attention]
        self._kept_constant: Kept | None = None

    @torch.inference_mode()
    def last_states(self, branches: Sequence[Branch]) -> Tensor:
        """Final hidden state, after the last norm, of the last token of every sequence.

        Returns:
            [leaves of all branches, hidden size] float32, in input order, on the model's device.
        """
        if self._kept_constant is None and self.constant:
            self._kept_constant = self._prefill(self.constant, None)
        states = [self._run(kept, batch) for kept, batch in self._batches(branches)]
        return torch.cat(states) if states else torch.empty(0, self.model.config.hidden_size)

    def _batches(self, branches: Sequence[Branch]) -> Iterator[tuple[Kept | None, list[Branch]]]:
        """Whole branches while they fit; of one that never fits, the stem is computed once."""
        constant = self._kept_constant
        batch: list[Branch] = []
        room = self.token_budget
        for branch in branches:
            size = _new_tokens(branch, constant)
            if size > room and batch:
                yield constant, batch
                batch, room = [], self.token_budget
            if size > room and len(branch.leaves) > 1:
                kept = self._prefill(branch.stem, constant) if branch.stem else constant
                for leaves in _cut(branch.leaves, self.token_budget):
                    yield kept, [Branch(branch.stem, leaves)]
                continue
            batch.append(branch)
            room -= size
        if batch:
            yield constant, batch

    def _run(self, kept: Kept | None, branches: list[Branch]) -> Tensor:
        """One batch, or its halves when the device has no room for it."""
        try:
            return self._forward(_pack(kept, branches))
        except torch.OutOfMemoryError:
            halves = _halve(branches)
            if not halves:
                raise
        self.token_budget = max(self.token_budget // 2, 1)
        logger.warning("out of device memory; batches now hold %d tokens", self.token_budget)
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return torch.cat([self._run(kept, half) for half in halves])

    def _forward(self, row: "_Row") -> Tensor:
        hidden, rotation = self._embed(row)
        *layers, last = self._layers()
        for layer in layers:
            hidden = self._layer(layer, hidden, rotation, row.layout)
        ends = torch.tensor(row.ends, device=hidden.device)
        hidden = self._layer(last, hidden, rotation, row.at_ends, asking=ends)
        return _rms_norm(hidden, self.model.norm).float()

    def _prefill(self, tokens: Tokens, earlier: Kept | None) -> Kept:
        """Keys and values of a beginning in every layer, continuing what is already kept."""
        shared = _shared(tokens, earlier)
        if earlier is not None and shared == len(tokens):
            return earlier
        layout = Layout([Piece(shared, slice(0, 0), slice(0, len(tokens) - shared))], earlier)
        hidden, rotation = self._embed(
            _Row(list(tokens[shared:]), [*range(shared, len(tokens))], layout)
        )
        computed: list[tuple[Tensor, Tensor]] = []
        for layer in self._layers():
            hidden = self._layer(layer, hidden, rotation, layout, sink=computed)
        if earlier is not None:
            computed = [
                (torch.cat((keys[:shared], new_keys)), torch.cat((values[:shared], new_values)))
                for keys, values, (new_keys, new_values) in zip(
                    earlier.keys, earlier.values, computed, strict=True
                )
            ]
        keys, values = zip(*computed, strict=True)
        return Kept(tokens, keys, values)

    def _layers(self) -> list[Qwen3DecoderLayer]:
        return cast("list[Qwen3DecoderLayer]", list(self.model.layers))

    def _embed(self, row: "_Row") -> tuple[Tensor, Rotation]:
        device = self.model.device
        hidden = self.model.embed_tokens(torch.tensor(row.tokens, device=device))
        positions = torch.tensor(row.positions, device=device)
        cosine, sine = self.model.rotary_emb(hidden[None], positions[None])
        return hidden, (cosine[0, :, None], sine[0, :, None])

    def _layer(
        self,
        layer: Qwen3DecoderLayer,
        hidden: Tensor,
        rotation: Rotation,
        layout: Layout,
        *,
        asking: Tensor | None = None,
        sink: list[tuple[Tensor, Tensor]] | None = None,
    ) -> Tensor:
        """One decoder layer: [rows, hidden size] to the same, or to the `asking` rows alone."""
        attention = layer.self_attn
        normed = _rms_norm(hidden, layer.input_layernorm)
        keys, values = _keys_values(attention, normed, rotation)
        if sink is not None:
            sink.append((keys, values))
        if asking is not None:
            hidden, normed = hidden[asking], normed[asking]
            rotation = rotation[0][asking], rotation[1][asking]
        queries = _heads(attention.q_proj(normed), attention)
        queries = _rotate(_rms_norm(queries, attention.q_norm), rotation)
        attended, _ = self._attend(
            attention,
            queries.transpose(0, 1)[None],
            keys.transpose(0, 1)[None],
            values.transpose(0, 1)[None],
            None,
            scaling=attention.scaling,
            layout=layout,
        )
        hidden = hidden + attention.o_proj(attended.flatten(2)[0])
        return hidden + _feed_forward(layer.mlp, _rms_norm(hidden, layer.post_attention_layernorm))


class _Row(NamedTuple):
    """What one forward pass computes."""

    tokens: list[int]
    positions: list[int]
    layout: Layout
    ends: Sequence[int] = ()

    @property
    def at_ends(self) -> Layout:
        """The layout of the last layer: the last token of each leaf asks."""
        last = set(self.ends)
        leaves = [piece for piece in self.layout.pieces if piece.own.stop - 1 in last]
        return Layout(leaves, self.layout.kept, last_only=True)


def _pack(kept: Kept | None, branches: Sequence[Branch]) -> _Row:
    """Lay branches one after the other: stem, leaf, leaf, ..."""
    tokens: list[int] = []
    positions: list[int] = []
    pieces: list[Piece] = []
    ends: list[int] = []

    def lay(new: Tokens, earlier: int) -> slice:
        start = len(tokens)
        tokens.extend(new)
        positions.extend(range(earlier, earlier + len(new)))
        return slice(start, len(tokens))

    for branch in branches:
        shared = _shared(branch.stem, kept)
        stem = lay(branch.stem[shared:], shared)
        if stem.stop > stem.start:
            pieces.append(Piece(shared, slice(stem.start, stem.start), stem))
        for leaf in branch.leaves:
            own = lay(leaf, len(branch.stem))
            pieces.append(Piece(shared, stem, own))
            ends.append(own.stop - 1)
    return _Row(tokens, positions, Layout(pieces, kept), ends)


def _shared(tokens: Tokens, kept: Kept | None) -> int:
    return common_length([tokens, kept.tokens]) if kept else 0


def _new_tokens(branch: Branch, kept: Kept | None) -> int:
    return len(branch.stem) - _shared(branch.stem, kept) + sum(map(len, branch.leaves))


def _cut(leaves: Sequence[Tokens], budget: int) -> Iterator[list[Tokens]]:
    """Groups of leaves, in order, of at most `budget` tokens; a longer leaf comes alone."""
    group: list[Tokens] = []
    room = budget
    for leaf in leaves:
        if len(leaf) > room and group:
            yield group
            group, room = [], budget
        group.append(leaf)
        room -= len(leaf)
    yield group


def _halve(branches: Sequence[Branch]) -> list[list[Branch]]:
    """Two halves of a batch; none where a single sequence is left."""
    if len(branches) > 1:
        middle = len(branches) // 2
        return [list(branches[:middle]), list(branches[middle:])]
    stem, leaves = branches[0]
    if len(leaves) == 1:
        return []
    middle = len(leaves) // 2
    return [[Branch(stem, leaves[:middle])], [Branch(stem, leaves[middle:])]]


def _keys_values(
    attention: Qwen3Attention, normed: Tensor, rotation: Rotation
) -> tuple[Tensor, Tensor]:
    """Keys and values of all rows, [rows, key heads, head size] each."""
    keys = _rms_norm(_heads(attention.k_proj(normed), attention), attention.k_norm)
    return _rotate(keys, rotation), _heads(attention.v_proj(normed), attention)


def _heads(projected: Tensor, attention: Qwen3Attention) -> Tensor:
    return projected.view(len(projected), -1, attention.head_dim)


def _rms_norm(states: Tensor, norm: Qwen3RMSNorm) -> Tensor:
    return F.rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _rotate(heads: Tensor, rotation: Rotation) -> Tensor:
    """Rotary position embedding (Su et al., 2021) in the half-split form of Qwen3."""
    cosine, sine = rotation
    half = heads.shape[-1] // 2
    rotated = heads * cosine
    rotated[..., :half].addcmul_(heads[..., half:], sine[..., :half], value=-1)
    rotated[..., half:].addcmul_(heads[..., :half], sine[..., half:])
    return rotated


def _feed_forward(mlp: Qwen3MLP, normed: Tensor) -> Tensor:
    """SwiGLU over stretches of rows, so that a long sequence holds its wide states bit by bit."""
    return torch.cat([mlp(rows) for rows in torch.split(normed, MLP_ROWS)])
