"""Attention over one packed row: many sequences, no padding, shared beginnings held once.

A row is cut into pieces. The tokens of a piece see each other causally, and before that all of
its context: the first tokens of what is kept from earlier batches, then its stem, which is a
stretch of the same row. So a piece has `m` queries that are the last `m` of its keys, which is
all that an attention function has to know:

    kept  |k k k k k k|                      computed in an earlier batch, kept per layer
    row   |s s s|a a a a|b b|c c c c c|      s: stem; a, b, c: leaves that continue it
    keys of b = kept[:n] + s + b             queries of b = b, bottom-right causal

Two functions do it, registered with `transformers.AttentionInterface` under the names below:
`twofold_sdpa` piece by piece, on any device; `twofold_varlen` in one call of the variable-length
flash attention kernel, on CUDA.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
from torch import Tensor, nn
from transformers import AttentionInterface

QUERY_ROWS = 512
"""Queries of a long piece that attend at once: bounds the mask to `QUERY_ROWS` x keys."""


class Kept(NamedTuple):
    """Keys and values of a beginning that later rows continue.

    Attributes:
        tokens: What was computed.
        keys: Per layer [tokens, key heads, head size].
        values: The same shape.
    """

    tokens: tuple[int, ...]
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


class Piece(NamedTuple):
    """A stretch of the row and where its context lies.

    Attributes:
        kept: How many of the kept tokens come before it.
        stem: Rows between those and its own; empty for a stem itself.
        own: Its rows.
    """

    kept: int
    stem: slice
    own: slice

    @property
    def keys(self) -> int:
        """How many tokens it sees, its own included."""
        return self.kept + _length(self.stem) + _length(self.own)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a row is cut, and which of its tokens ask.

    Attributes:
        pieces: In row order, disjoint.
        kept: What pieces with `kept > 0` continue.
        last_only: Only the last token of each piece asks; otherwise every token does.
    """

    pieces: Sequence[Piece]
    kept: Kept | None = None
    last_only: bool = False
    _memo: dict[object, Tensor] = field(default_factory=dict)

    def queries(self, piece: Piece) -> int:
        """How many tokens of a piece ask."""
        return 1 if self.last_only else _length(piece.own)

    def context(self, piece: Piece, row: Tensor, kept: Tensor | None) -> Tensor:
        """Keys (or values) that a piece sees: [keys, heads, size] out of the row and the kept."""
        parts = [row[piece.stem], row[piece.own]]
        if kept is not None:
            parts.insert(0, kept[: piece.kept])
        filled = [part for part in parts if len(part)]
        return filled[0] if len(filled) == 1 else torch.cat(filled)

    def mask(self, earlier: int, like: Tensor) -> Tensor:
        """Additive mask [rows, earlier + rows] of pieces with as many keys before their queries.

        Token i sees key j when j <= earlier + i, whatever the length: the mask of a shorter piece
        is the upper left corner of a longer one's.
        """
        if earlier not in self._memo:
            rows = max(
                min(_length(piece.own), QUERY_ROWS)
                for piece in self.pieces
                if piece.keys - _length(piece.own) == earlier
            )
            self._memo[earlier] = causal_mask(rows, earlier, like)
        return self._memo[earlier]

    def bounds(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Cumulative lengths of queries and keys, [pieces + 1] int32 each."""
        if "queries" not in self._memo:
            lengths = torch.tensor(
                [(self.queries(piece), piece.keys) for piece in self.pieces], dtype=torch.int32
            )
            bounds = F.pad(lengths.cumsum(0, dtype=torch.int32), (0, 0, 1, 0)).to(device)
            self._memo["queries"], self._memo["keys"] = bounds.T.contiguous()
        return self._memo["queries"], self._memo["keys"]

    def gather(self, device: torch.device) -> Tensor | None:
        """Indices of every piece's keys, piece after piece, into kept + row; None: the row itself.

        Shape [sum of keys] int64.
        """
        if all(piece.keys == _length(piece.own) for piece in self.pieces):
            return None
        if "gather" not in self._memo:
            offset = len(self.kept.tokens) if self.kept else 0
            stretches = [
                torch.arange(start, stop)
                for piece in self.pieces
                for start, stop in (
                    (0, piece.kept),
                    (offset + piece.stem.start, offset + piece.stem.stop),
                    (offset + piece.own.start, offset + piece.own.stop),
                )
            ]
            self._memo["gather"] = torch.cat(stretches).to(device)
        return self._memo["gather"]


class Attention(Protocol):
    """What the registry holds: the signature of transformers, with the layout as an extra."""

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        scaling: float,
        layout: Layout,
    ) -> tuple[Tensor, None]:
        """Attend [1, heads, n, size] to [1, key heads, rows, size]: [1, n, heads, size]."""
        ...


def causal_mask(rows: int, earlier: int, like: Tensor) -> Tensor:
    """Additive mask [rows, earlier + rows]: row i sees the keys up to `earlier + i`."""
    forbidden = torch.full((rows, earlier + rows), float("-inf"), dtype=like.dtype)
    return forbidden.triu_(earlier + 1).to(like.device)


def packed_sdpa(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - the layout says it all
    *,
    scaling: float,
    layout: Layout,
) -> tuple[Tensor, None]:
    """Attend piece by piece with `scaled_dot_product_attention`; see `Attention`."""
    kept = _kept_of(layout, module)
    output = query.new_empty(query.shape[0], query.shape[2], query.shape[1], query.shape[3])
    start = 0
    for piece in layout.pieces:
        stop = start + layout.queries(piece)
        keys = layout.context(piece, key[0].transpose(0, 1), kept and kept[0])
        values = layout.context(piece, value[0].transpose(0, 1), kept and kept[1])
        output[0, start:stop] = _attend_last(query[:, :, start:stop], keys, values, scaling, layout)
        start = stop
    return output, None


def packed_varlen(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - the layout says it all
    *,
    scaling: float,
    layout: Layout,
) -> tuple[Tensor, None]:
    """Attend with one call of variable-length flash attention; see `Attention`."""
    keys, values = key[0].transpose(0, 1), value[0].transpose(0, 1)
    if (gather := layout.gather(query.device)) is not None:
        if (kept := _kept_of(layout, module)) is not None:
            keys, values = torch.cat((kept[0], keys)), torch.cat((kept[1], values))
        keys, values = keys.index_select(0, gather), values.index_select(0, gather)
    query_bounds, key_bounds = layout.bounds(query.device)
    output = varlen_kernel()(
        query[0].transpose(0, 1),
        keys,
        values,
        query_bounds,
        key_bounds,
        max(layout.queries(piece) for piece in layout.pieces),
        max(piece.keys for piece in layout.pieces),
        scale=scaling,
    )
    return output[None], None


def varlen_kernel() -> Callable[..., Tensor]:
    """Return `torch.nn.attention.varlen.varlen_attn`, made bottom-right causal and grouped-query.

    The names of those two options changed between torch 2.10 and 2.13; the kernel did not.

    Raises:
        ImportError: This torch has none.
    """
    from torch.nn.attention.varlen import varlen_attn  # absent from older torch

    kernel: Callable[..., Tensor] = varlen_attn  # type: ignore[assignment]
    known = inspect.signature(kernel).parameters
    options: dict[str, object] = (
        {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    )
    if "enable_gqa" in known:
        options["enable_gqa"] = True
    return partial(kernel, **options)


def _attend_last(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, layout: Layout
) -> Tensor:
    """Attention of the last tokens of a sequence: [m, heads, size] from [1, heads, m, size]."""
    count, total = query.shape[2], len(keys)
    key, value = keys.transpose(0, 1)[None], values.transpose(0, 1)[None]
    if count in (1, total):  # one token sees all; a whole sequence needs no mask in memory
        return _sdpa(query, key, value, scaling, causal=count > 1)
    earlier = total - count
    blocks = []
    for start in range(0, count, QUERY_ROWS):
        stop = min(start + QUERY_ROWS, count)
        seen = earlier + stop
        mask = (
            layout.mask(earlier, query)[:stop, :seen]
            if start == 0
            else causal_mask(stop - start, earlier + start, query)
        )
        block = query[:, :, start:stop]
        blocks.append(_sdpa(block, key[:, :, :seen], value[:, :, :seen], scaling, mask=mask))
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def _sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    output = F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, scale=scaling, enable_gqa=True
    )
    return output[0].transpose(0, 1)


def _kept_of(layout: Layout, module: nn.Module) -> tuple[Tensor, Tensor] | None:
    if layout.kept is None:
        return None
    layer = module.layer_idx
    assert isinstance(layer, int)  # noqa: S101 - nn.Module types its attributes loosely
    return layout.kept.keys[layer], layout.kept.values[layer]


def _length(rows: slice) -> int:
    length: int = rows.stop - rows.start
    return length


SDPA = "twofold_sdpa"
VARLEN = "twofold_varlen"
AttentionInterface.register(SDPA, packed_sdpa)
AttentionInterface.register(VARLEN, packed_varlen)
