"""A Qwen3 decoder that runs token sequences packed in one row and returns their last states.

Three savings over padded batches, all exact: no padding; the tokens with which the sequences of a
branch begin run once; in the last layer only keys and values run for all tokens, the rest for the
last token of each sequence.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor
from transformers import Qwen3Model
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer

from pipelines.models.packed_attention import Attention, Kept
from pipelines.models.packed_layer import PackedLayer, block_rows
from pipelines.models.packed_row import Branch, Row, Tokens, halves, kept_length, pack, pack_stem
from pipelines.models.pointwise import Rotation, pointwise_for

logger = logging.getLogger(__name__)


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
        attend: Attention = ALL_ATTENTION_FUNCTIONS[attention]
        self._layer = PackedLayer(attend, pointwise_for(model.device), block_rows(model.device))
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
            size = branch.new_tokens(constant)
            if size > room and batch:
                yield constant, batch
                batch, room = [], self.token_budget
            if size > room and len(branch.leaves) > 1:
                kept = self._prefill(branch.stem, constant)
                for part in branch.cut(self.token_budget):
                    yield kept, [part]
                continue
            batch.append(branch)
            room -= size
        if batch:
            yield constant, batch

    def _run(self, kept: Kept | None, branches: list[Branch]) -> Tensor:
        """One batch, or its halves when the device has no room for it."""
        try:
            return self._forward(pack(kept, branches))
        except torch.OutOfMemoryError:
            smaller = halves(branches)
            if not smaller:
                raise
        self.token_budget = max(self.token_budget // 2, 1)
        logger.warning("out of device memory; batches now hold %d tokens", self.token_budget)
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return torch.cat([self._run(kept, half) for half in smaller])

    def _forward(self, row: Row) -> Tensor:
        hidden, rotation = self._embed(row)
        *layers, last = self._layers()
        for layer in layers:
            hidden = self._layer(layer, hidden, rotation, row.layout).hidden
        ends = torch.tensor(row.ends, device=hidden.device)
        hidden = self._layer(last, hidden, rotation, row.at_ends, ends).hidden
        return self._layer.norm(hidden, self.model.norm).float()

    def _prefill(self, stem: Tokens, earlier: Kept | None) -> Kept | None:
        """Keys and values of a beginning in every layer, continuing what is already kept."""
        shared = kept_length(stem, earlier)
        if shared == len(stem):
            return earlier
        row = pack_stem(earlier, stem)
        hidden, rotation = self._embed(row)
        keys, values = [], []
        for index, layer in enumerate(self._layers()):
            output = self._layer(layer, hidden, rotation, row.layout)
            hidden = output.hidden
            keys.append(_continued(earlier and earlier.keys[index][:shared], output.keys))
            values.append(_continued(earlier and earlier.values[index][:shared], output.values))
        return Kept(stem, tuple(keys), tuple(values))

    def _layers(self) -> list[Qwen3DecoderLayer]:
        return cast("list[Qwen3DecoderLayer]", list(self.model.layers))

    def _embed(self, row: Row) -> tuple[Tensor, Rotation]:
        device = self.model.device
        hidden = self.model.embed_tokens(torch.tensor(row.tokens, device=device))
        positions = torch.tensor(row.positions, device=device)
        cosine, sine = self.model.rotary_emb(hidden[None], positions[None])
        return hidden, (cosine[0, :, None], sine[0, :, None])


def _continued(earlier: Tensor | None, new: Tensor) -> Tensor:
    return new if earlier is None else torch.cat((earlier, new))
