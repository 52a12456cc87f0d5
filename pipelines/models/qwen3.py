"""Qwen3-Reranker and Qwen3-Embedding of any size, exactly as their model cards say.

    reranker = Qwen3Reranker("Qwen/Qwen3-Reranker-0.6B")
    reranker.score("capital of China", ["Beijing is.", "Bread is baked."])   # [2] float32, 0..1

    embedder = Qwen3Embedder("Qwen/Qwen3-Embedding-0.6B", dimensions=256)
    embedder.embed_queries(["capital of China"]) @ embedder.embed_passages(texts).T

Both run on the packed decoder: what the prompts of a query share is computed once, and nothing is
padded. Texts become tokens in `qwen3_prompt`, tokens become states in `packed_decoder`, and here
states become scores and vectors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
from torch import Tensor

from pipelines.models.checkpoint import Checkpoint, open_checkpoint
from pipelines.models.device import pick_attention, pick_device, pick_dtype
from pipelines.models.memory import token_budget as budget_of
from pipelines.models.packed_decoder import PackedDecoder
from pipelines.models.packed_row import Branch, common_length
from pipelines.models.qwen3_prompt import EmbedPrompts, Prompt, PromptTokenizer, RerankPrompts
from pipelines.ports import Pairs, PairScores, RerankProfile, Vector
from twofold.errors import ConfigurationError, ModelUnfit

MAX_TOKENS = 8_192
MIN_DIMENSIONS = 32


class Qwen3Reranker:
    """How likely the model finds it that a passage meets the query: p(yes) against p(no).

    Checkpoints as published (`Qwen3ForCausalLM`) are read at the rows "yes" and "no" of the head;
    converted ones (`Qwen3ForSequenceClassification`) at their one row, or at both of two.
    """

    def __init__(
        self,
        folder_or_name: str | Path,
        *,
        dtype: str | None = None,
        device: str | None = None,
        max_tokens: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        """Load the model.

        Args:
            folder_or_name: A folder, or a name on the Hugging Face hub.
            dtype: `float32`, `bfloat16` or `float16`; default: what the device is fast at.
            device: `cpu`, `cuda`, `cuda:1`, `mps`; default: the best there is.
            max_tokens: Longest prompt; default 8192 as on the card, at most the model's limit.
            token_budget: Most tokens of one batch; default: what the device's memory holds.

        Raises:
            ModelUnfit: There is no such checkpoint, or it is not a Qwen3 reranker.
            ConfigurationError: A value that this model or machine cannot do.
        """
        checkpoint = open_checkpoint(folder_or_name, "reranker")
        self.name = checkpoint.name
        self.profile = RerankProfile(depth=50, weight=0.9, calibrated=True, instructed=True)
        tokenizer = PromptTokenizer(checkpoint.folder, checkpoint.name)
        self.tokenizer_json = tokenizer.json
        self._prompts = RerankPrompts(tokenizer, _limit(checkpoint, max_tokens))
        head = _read_head(checkpoint, tokenizer)
        self._decoder = _decoder(checkpoint, dtype, device, token_budget, _constant(self._prompts))
        self._head = head.to(self._decoder.model.device)

    def score(
        self, query: str, passages: Sequence[str], *, instruction: str | None = None
    ) -> Vector:
        """Score the passages of one query: [n] float32 in 0..1, in input order."""
        return self.score_batch([Pairs(query, passages, instruction)])[0].scores

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        prompts = [self._prompts.of(each.query, each.passages, each.instruction) for each in batch]
        unique = [list(dict.fromkeys(prompt.tokens for prompt in each)) for each in prompts]
        states = self._decoder.last_states([Branch.of(each) for each in unique if each])
        scores = iter(self._probabilities(states))
        results = []
        for pairs, sequences in zip(prompts, unique, strict=True):
            known = {sequence: next(scores) for sequence in sequences}
            results.append(_pair_scores(pairs, known))
        return results

    def _probabilities(self, states: Tensor) -> list[float]:
        return torch.sigmoid(states @ self._head).tolist()


class Qwen3Embedder:
    """The state at the end token, cut to the wanted dimensions (MRL), of unit length."""

    instructed = True

    def __init__(
        self,
        folder_or_name: str | Path,
        dimensions: int | None = None,
        *,
        dtype: str | None = None,
        device: str | None = None,
        max_tokens: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        """Load the model.

        Args:
            folder_or_name: A folder, or a name on the Hugging Face hub.
            dimensions: Length of a vector, from 32 to the model's own; default: the latter.
            dtype: As of `Qwen3Reranker`, like the rest.
            device: Likewise.
            max_tokens: Likewise, with the end token.
            token_budget: Likewise.

        Raises:
            ModelUnfit: There is no such checkpoint, or it is not a Qwen3 embedding model.
            ConfigurationError: A value that this model or machine cannot do.
        """
        checkpoint = open_checkpoint(folder_or_name, "embedder")
        self.name = checkpoint.name
        self.dimensions = _dimensions(checkpoint, dimensions)
        self.min_dimensions = MIN_DIMENSIONS
        tokenizer = PromptTokenizer(checkpoint.folder, checkpoint.name)
        limit = _limit(checkpoint, max_tokens)
        self.max_tokens = limit - 1
        self.tokenizer_json: str | None = tokenizer.json
        self._prompts = EmbedPrompts(tokenizer, limit)
        constant = self._prompts.queries(["a", "7"], None)
        self._decoder = _decoder(
            checkpoint, dtype, device, token_budget, constant[0][: common_length(constant)]
        )

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        return self._embed(self._prompts.queries(texts, instruction))

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        return self._embed(self._prompts.passages(texts))

    def _embed(self, sequences: Sequence[tuple[int, ...]]) -> Vector:
        branches = [Branch.of(sequences)] if sequences else []
        states = self._decoder.last_states(branches)
        vectors: Vector = F.normalize(states[:, : self.dimensions], dim=-1).cpu().numpy()
        return vectors


def _decoder(
    checkpoint: Checkpoint,
    dtype: str | None,
    device: str | None,
    token_budget: int | None,
    constant: tuple[int, ...],
) -> PackedDecoder:
    place = pick_device(device)
    numbers = pick_dtype(dtype, place)
    model = checkpoint.load_backbone(numbers, place)
    return PackedDecoder(
        model,
        token_budget=token_budget or budget_of(checkpoint.config, numbers, place),
        attention=pick_attention(place, numbers),
        constant=constant,
    )


def _read_head(checkpoint: Checkpoint, tokenizer: PromptTokenizer) -> Tensor:
    """The row, [hidden size] float32, whose product with a state is the log-odds of "yes".

    softmax over the logits of no and yes is sigmoid(yes - no), and a difference of products is
    the product with a difference.
    """
    if checkpoint.architecture.endswith("ForSequenceClassification"):
        return _read_classifier(checkpoint)
    tied = checkpoint.config.tie_word_embeddings
    rows = _first_rows(
        checkpoint,
        ("model.embed_tokens.weight", "embed_tokens.weight") if tied else ("lm_head.weight",),
        [tokenizer.id_of("yes"), tokenizer.id_of("no")],
    )
    return rows[0] - rows[1]


def _read_classifier(checkpoint: Checkpoint) -> Tensor:
    count = checkpoint.config.num_labels
    if count == 1:
        return checkpoint.rows("score.weight", [0])[0]
    if count != 2:
        raise ModelUnfit(
            model=checkpoint.name,
            reason=f"it classifies into {count} labels; a reranker has one, or two: no and yes",
        )
    labels = cast("dict[int, str]", checkpoint.config.id2label)
    yes = 0 if labels[0].lower() == "yes" else 1
    rows = checkpoint.rows("score.weight", [yes, 1 - yes])
    return rows[0] - rows[1]


def _first_rows(checkpoint: Checkpoint, keys: Sequence[str], indices: list[int]) -> Tensor:
    known = next((key for key in keys if checkpoint.has_tensor(key)), keys[0])
    return checkpoint.rows(known, indices)


def _constant(prompts: RerankPrompts) -> tuple[int, ...]:
    """What every prompt with the default instruction begins with, up to the query."""
    two = [prompts.of(query, [""], None)[0].tokens for query in ("a", "7")]
    return two[0][: common_length(two)]


def _pair_scores(prompts: Sequence[Prompt], known: dict[tuple[int, ...], float]) -> PairScores:
    return PairScores(
        np.array([known[prompt.tokens] for prompt in prompts], dtype=np.float32),
        np.array([prompt.truncated for prompt in prompts], dtype=np.bool_),
    )


def _limit(checkpoint: Checkpoint, wanted: int | None) -> int:
    longest: int = checkpoint.config.max_position_embeddings
    if wanted is not None and not 128 <= wanted <= longest:
        raise ConfigurationError(
            setting=f"max_tokens {wanted}",
            reason=f"'{checkpoint.name}' takes from 128 to {longest}",
        )
    return wanted or min(MAX_TOKENS, longest)


def _dimensions(checkpoint: Checkpoint, wanted: int | None) -> int:
    longest: int = checkpoint.config.hidden_size
    if wanted is not None and not MIN_DIMENSIONS <= wanted <= longest:
        raise ConfigurationError(
            setting=f"dimensions {wanted}",
            reason=f"'{checkpoint.name}' gives from {MIN_DIMENSIONS} to {longest}",
        )
    return wanted or longest
