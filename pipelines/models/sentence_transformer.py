"""Any embedding model or cross-encoder that sentence-transformers can load, by folder or name.

Weights are read from safetensors alone, and code from a checkpoint is never run.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from pipelines.ports import Bools, Pairs, PairScores, RerankProfile, Vector
from twofold.errors import ConfigurationError, ModelUnfit

BATCH = 32
UNLIMITED_TOKENS = 32_768
"""For the few models that name no limit."""

# The task in the query prompts of Qwen3-Embedding, E5-Mistral, GTE-Qwen2 and their kin.
_TASK = re.compile(r"(?<=Instruct: ).*?(?=\s*\n\s*Query:)", re.DOTALL)

log = logging.getLogger(__name__)


class SentenceTransformerEmbedder:
    """An embedding model; queries and passages get the prompts that its configuration holds.

    Args:
        name: Folder, or name on the hub such as `BAAI/bge-small-en-v1.5`.

    Raises:
        ModelUnfit: It cannot be loaded.
        ConfigurationError: sentence-transformers is not installed.
    """

    def __init__(self, name: str) -> None:
        with _loading(name):
            from sentence_transformers import SentenceTransformer

            self._model = SentenceTransformer(name, model_kwargs={"use_safetensors": True})
        dimensions = self._model.get_embedding_dimension()
        if dimensions is None:
            raise ModelUnfit(model=name, reason="it does not say how long its vectors are")
        self.name = Path(name).name
        self.dimensions = dimensions
        self.max_tokens = self._longest_passage()
        self.tokenizer_json = _tokenizer_json(self._model.tokenizer)
        self._warned = False

    @property
    def instructed(self) -> bool:
        """Whether its query prompt has a place for a task."""
        return _TASK.search(self._model.prompts.get("query") or "") is not None

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        """As the port says; an instruction takes the place of the task in an Instruct prompt."""
        return self._unit(
            self._model.encode_query(
                _encodable(texts),
                prompt=self._query_prompt(instruction),
                batch_size=BATCH,
                show_progress_bar=False,
            )
        )

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        return self._unit(
            self._model.encode_document(
                _encodable(texts), batch_size=BATCH, show_progress_bar=False
            )
        )

    def _query_prompt(self, instruction: str | None) -> str | None:
        """The model's own query prompt with another task in it; None leaves it as it is."""
        if instruction is None:
            return None
        prompt = self._model.prompts.get("query") or ""
        if _TASK.search(prompt):
            return _TASK.sub(lambda _: instruction, prompt, count=1)
        if not self._warned:
            self._warned = True
            log.warning("'%s' has no place for an instruction; it is left out.", self.name)
        return None

    def _unit(self, vectors: np.ndarray) -> Vector:
        matrix = np.asarray(vectors, dtype=np.float32).reshape(-1, self.dimensions)
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        unit: Vector = matrix / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit

    def _longest_passage(self) -> int:
        limit = self._model.max_seq_length or UNLIMITED_TOKENS
        prompt = next(
            (p for key in ("document", "passage", "corpus") if (p := self._model.prompts.get(key))),
            "",
        )
        return limit - len(self._model.tokenizer(prompt)["input_ids"])


class CrossEncoderReranker:
    """A cross-encoder; its one logit becomes a score in 0..1 by a sigmoid, and by one alone.

    Args:
        name: Folder, or name on the hub such as `cross-encoder/ms-marco-MiniLM-L6-v2`.

    Raises:
        ModelUnfit: It cannot be loaded, or it classifies into several labels.
        ConfigurationError: sentence-transformers is not installed.
    """

    def __init__(self, name: str) -> None:
        with _loading(name):
            from sentence_transformers import CrossEncoder

            self._model = CrossEncoder(name, model_kwargs={"use_safetensors": True})
        if self._model.num_labels != 1:
            raise ModelUnfit(
                model=name,
                reason=f"it classifies into {self._model.num_labels} labels; a reranker has one",
            )
        config = self._model.config
        if config is not None and getattr(config, "pad_token_id", None) is None:
            # Converted decoders often lack it, and then find no last token in a batch.
            config.pad_token_id = self._model.tokenizer.pad_token_id
        self.name = Path(name).name
        self._sigmoid = torch.nn.Sigmoid()
        self._takes_instructions = self._model.supports("message")
        self.profile = RerankProfile(
            depth=20, weight=0.5, calibrated=False, instructed=self._takes_instructions
        )
        self.tokenizer_json = _tokenizer_json(self._model.tokenizer)
        self._warned = False

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        return [self._score(pairs) for pairs in batch]

    def _score(self, pairs: Pairs) -> PairScores:
        if not pairs.passages:
            return PairScores(np.empty(0, dtype=np.float32), np.empty(0, dtype=np.bool_))
        [query] = _encodable([pairs.query])
        both = [(query, passage) for passage in _encodable(pairs.passages)]
        prompt = self._prompt(pairs.instruction)
        scores = self._model.predict(
            both,
            prompt=prompt,
            batch_size=BATCH,
            activation_fn=self._sigmoid,
            show_progress_bar=False,
        )
        return PairScores(np.asarray(scores, dtype=np.float32), self._truncated(both, prompt))

    def _prompt(self, instruction: str | None) -> str | None:
        """Only models with a chat template have a place for it: the system message."""
        if instruction is not None and not self._takes_instructions:
            if not self._warned:
                self._warned = True
                log.warning("'%s' has no place for an instruction; it is left out.", self.name)
            return None
        return instruction

    def _truncated(self, both: list[tuple[str, str]], prompt: str | None) -> Bools:
        """Pairs that fill the model to its limit; a pair that just fits counts as cut."""
        limit = self._model.max_seq_length or UNLIMITED_TOKENS
        return np.array([self._tokens(pair, prompt) >= limit for pair in both], dtype=np.bool_)

    def _tokens(self, pair: tuple[str, str], prompt: str | None) -> int:
        features = self._model.preprocess([pair], prompt=prompt)
        return int(features["attention_mask"].sum())


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Turn what goes wrong while a model is loaded into one sentence."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "sentence_transformers":
            raise
        raise ConfigurationError(
            setting=f"'{name}'",
            reason="it needs sentence-transformers; pip install 'twofold[sentence-transformers]'",
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        [first, *_] = str(error).splitlines() or [type(error).__name__]
        raise ModelUnfit(
            model=name,
            reason=f"sentence-transformers cannot load it as safetensors ({first}); check the "
            "folder or the name",
        ) from error


def _encodable(texts: Sequence[str]) -> list[str]:
    """Tokenizers refuse lone surrogates; a question mark takes their place."""
    return [text.encode("utf-8", "replace").decode("utf-8") for text in texts]


def _tokenizer_json(tokenizer: object) -> str | None:
    """The Rust tokenizer without truncation and padding; None where there is none."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    plain = Tokenizer.from_str(backend.to_str())
    plain.no_truncation()
    plain.no_padding()
    return plain.to_str()
