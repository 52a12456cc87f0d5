"""Texts in the tokens of a model: counted, cut and shown, for those who speak in tokens."""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from tokenizers import Encoding, Tokenizer

from pipelines.ports import Tokenizing
from pipelines.tokens import CHARACTERS_PER_TOKEN, MAX_CHARACTERS_PER_TOKEN, load_tokenizer

Side: TypeAlias = Literal["left", "right"]
"""Where a text that is too long loses its tokens."""


class Token(NamedTuple):
    """A token and the code points of the text that it stands for.

    Attributes:
        special: Whether the model adds it by itself; then it stands for nothing in the text.
    """

    id: int
    text: str
    special: bool
    start: int
    end: int


class ExactTokens:
    """By the model's own tokenizer.

    Args:
        tokenizer_json: In the format of the `tokenizers` library.
        model: Whose it is.

    Attributes:
        counted_by: What its numbers mean, in words.
    """

    exact = True

    def __init__(self, tokenizer_json: str, model: str) -> None:
        self._json = tokenizer_json
        self.counted_by = f"the tokenizer of {model}"

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self._json)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, the special ones not counted."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return list(map(len, encodings))

    def cut(self, text: str, limit: int, side: Side = "right") -> str:
        """The text without what is beyond so many tokens, on that side."""
        room = limit * MAX_CHARACTERS_PER_TOKEN  # what is beyond it need not be tokenised
        text = text[:room] if side == "right" else text[-room:]
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= limit:
            return text
        return text[: offsets[limit - 1][1]] if side == "right" else text[offsets[-limit][0] :]

    def tokenize(self, texts: Sequence[str], *, special: bool = True) -> list[list[Token]]:
        """The tokens of each text.

        Args:
            texts: What to tokenise.
            special: Whether the special tokens that the model adds are among them.
        """
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return list(map(tokens_of, texts, encodings))


class EstimatedTokens:
    """For a model whose tokenizer is not known, such as one behind a URL: a rule of thumb.

    The methods are those of `ExactTokens`.
    """

    exact = False
    counted_by = f"an estimate of {CHARACTERS_PER_TOKEN} characters a token"

    def count(self, texts: Sequence[str]) -> list[int]:
        return [-(-len(text) // CHARACTERS_PER_TOKEN) for text in texts]

    def cut(self, text: str, limit: int, side: Side = "right") -> str:
        room = limit * CHARACTERS_PER_TOKEN
        return text[:room] if side == "right" else text[-room:]


ModelTokens: TypeAlias = ExactTokens | EstimatedTokens


def tokens_of_model(model: object) -> ModelTokens:
    """How a model counts, exactly where its tokenizer is known; that is parsed on first use."""
    if isinstance(model, Tokenizing) and model.tokenizer_json is not None:
        return ExactTokens(model.tokenizer_json, model.name)
    return EstimatedTokens()


def tokens_of(text: str, encoding: Encoding) -> list[Token]:
    """The tokens of one text, each with the piece of the text that it stands for."""
    return [
        Token(number, name if special else text[start:end], bool(special), start, end)
        for number, name, special, (start, end) in zip(
            encoding.ids,
            encoding.tokens,
            encoding.special_tokens_mask,
            encoding.offsets,
            strict=True,
        )
    ]
