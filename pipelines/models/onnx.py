"""Qwen3-Reranker as an ONNX graph, run by onnxruntime.

`python -m pipelines.models.onnx_export CHECKPOINT FOLDER` makes such a folder; graphs from
elsewhere are read too, if they take `input_ids`, `attention_mask` and `position_ids` and give the
logits of every position or of the last one.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.models.qwen3_prompt import Prompt, PromptTokenizer, RerankPrompts
from pipelines.ports import Pairs, PairScores, RerankProfile, Vector
from twofold.errors import ConfigurationError, ModelUnfit

MAX_TOKENS = 8_192
TOKEN_BUDGET = 16_384
"""Positions of one batch, padding included."""
INPUTS = frozenset({"input_ids", "attention_mask", "position_ids"})
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
GRAPHS = ("model.onnx", "onnx/model.onnx")


class OnnxReranker:
    """p(yes) against p(no) at the last token of the model card's prompt.

    Args:
        folder: Holds `model.onnx` (or `onnx/model.onnx`) and the tokenizer.
        max_tokens: Longest prompt, as on the model card.
        token_budget: Most positions of one batch; bounds the memory of a run.
        threads: Of one run; None: all cores.

    Raises:
        ModelUnfit: The folder holds no graph of this kind.
        ConfigurationError: onnxruntime is not installed.
    """

    profile = RerankProfile(depth=50, weight=0.9, calibrated=True, instructed=True)

    def __init__(
        self,
        folder: str | Path,
        *,
        max_tokens: int = MAX_TOKENS,
        token_budget: int = TOKEN_BUDGET,
        threads: int | None = None,
    ) -> None:
        place = Path(folder).expanduser()
        self.name = place.name
        self._budget = token_budget
        self._run = _Graph(_find(place), self.name, threads)
        tokenizer = PromptTokenizer(place, self.name)
        self.tokenizer_json = tokenizer.json
        self._prompts = RerankPrompts(tokenizer, max_tokens)
        self._no_yes = [tokenizer.id_of("no"), tokenizer.id_of("yes")]

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        prompts = [
            self._prompts.of(pairs.query, pairs.passages, pairs.instruction) for pairs in batch
        ]
        scores = iter(self._probabilities([prompt for each in prompts for prompt in each]))
        return [
            PairScores(
                np.fromiter(islice(scores, len(each)), dtype=np.float32),
                np.array([prompt.truncated for prompt in each], dtype=np.bool_),
            )
            for each in prompts
        ]

    def _probabilities(self, prompts: Sequence[Prompt]) -> Vector:
        """[n] float32; neighbours in length share a batch, so that little is padded."""
        scores = np.empty(len(prompts), dtype=np.float32)
        for rows in _batches([len(prompt.tokens) for prompt in prompts], self._budget):
            logits = self._run([prompts[row].tokens for row in rows])
            no_yes = logits if logits.shape[1] == 2 else logits[:, self._no_yes]
            # softmax over the two is the sigmoid of their difference, here without overflow.
            scores[rows] = np.exp(-np.logaddexp(0, no_yes[:, 0] - no_yes[:, 1]))
        return scores


class _Graph:
    """A session of onnxruntime: token ids to the logits of the last position."""

    def __init__(self, path: Path, name: str, threads: int | None) -> None:
        try:
            import onnxruntime  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                setting=f"'onnx:{path.parent}'",
                reason="it needs onnxruntime; pip install 'twofold[onnx]'",
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        available = onnxruntime.get_available_providers()
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=[each for each in PROVIDERS if each in available]
            )
        except Exception as error:  # onnxruntime's errors share no base but this
            raise ModelUnfit(model=name, reason=f"{path} is no graph to run: {error}") from error
        self._inputs = {each.name for each in self._session.get_inputs()}
        if not {"input_ids", "attention_mask"} <= self._inputs <= INPUTS:
            raise ModelUnfit(
                model=name,
                reason=f"{path} takes {', '.join(sorted(self._inputs))}; a reranker's graph takes "
                f"{', '.join(sorted(INPUTS))} (`python -m pipelines.models.onnx_export` makes one)",
            )

    def __call__(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """[n, 2 or vocabulary] logits; padded on the left, so that the last position is real."""
        longest = max(map(len, sequences))
        tokens = np.zeros((len(sequences), longest), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, sequence in enumerate(sequences):
            tokens[row, longest - len(sequence) :] = sequence
            mask[row, longest - len(sequence) :] = 1
        feeds = {
            "input_ids": tokens,
            "attention_mask": mask,
            "position_ids": np.maximum(mask.cumsum(axis=1) - 1, 0),
        }
        output = self._session.run(
            None, {name: array for name, array in feeds.items() if name in self._inputs}
        )[0]
        logits = np.asarray(output, dtype=np.float32)
        return logits[:, -1] if logits.ndim == 3 else logits


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Rows in batches of like length, each within the budget; a longer row goes alone."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _find(folder: Path) -> Path:
    for name in GRAPHS:
        if (folder / name).is_file():
            return folder / name
    raise ModelUnfit(
        model=folder.name,
        reason=f"{folder} holds no {' and no '.join(GRAPHS)}; "
        "`python -m pipelines.models.onnx_export CHECKPOINT FOLDER` makes one",
    )
