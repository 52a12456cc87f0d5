"""How long a text is in the tokens of a model, fast enough to ask at every possible cut.

Tokenizers split at white space first, so a text costs the sum of its words, and a document has
few words that differ: each is tokenised once. On English prose this is some fifty times faster
than tokenising each candidate passage, and exact for the WordPiece models.
"""

import re
from math import ceil

from tokenizers import Tokenizer

CHARACTERS_PER_TOKEN = 4
"""Estimate for a model whose tokenizer is not known."""

MAX_CHARACTERS_PER_TOKEN = 16
"""Bounds the text that counts as one token: some tokenizers make one of any unknown word."""

BATCH_CHARACTERS = 1 << 20

# A word, or a mark at which WordPiece and byte-level BPE cut in any case; what else separates
# words in some script only makes the words that are remembered longer.
_MARKS = "!-/:-@\\[-`{-~\u2010-\u2027\u2030-\u205e\u3000-\u303f\uff01-\uff0f\uff1a-\uff20"
# Ideographs need no space between words, so that a cut is looked for at each of them: short
# words keep each look from meeting many new ones. Tokenizers of BERT cut at every one of these.
_IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"


def _words(most_ideographs: int) -> re.Pattern[str]:
    return re.compile(
        rf"\s*[{_IDEOGRAPHS}]{{1,{most_ideographs}}}|\s*[^\s{_MARKS}{_IDEOGRAPHS}]{{1,100}}"
        rf"|\s*[{_MARKS}]|\s+"
    )


_SHORT, _SINGLE = _words(16), _words(1)


class TokenCounter:
    """Counts tokens, remembering words; for one document and one thread.

    Args:
        tokenizer: None estimates by `CHARACTERS_PER_TOKEN`.
    """

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, int] = {}
        self._word = _SINGLE if tokenizer and _cuts_ideographs(tokenizer) else _SHORT

    def __call__(self, text: str) -> int:
        """Tokens of a text without the special ones."""
        if self._tokenizer is None:
            return ceil(len(text) / CHARACTERS_PER_TOKEN)
        words = self._word.findall(text)
        known = self._known
        if new := {word for word in words if word not in known}:
            self._learn(self._tokenizer, list(new))
        tokens = sum(map(known.__getitem__, words))
        return max(tokens, len(text) // MAX_CHARACTERS_PER_TOKEN)

    def learn(self, text: str) -> None:
        """Meet the words of a whole document in few large batches, before many small questions."""
        for start in range(0, len(text), BATCH_CHARACTERS):
            self(text[start : start + BATCH_CHARACTERS])

    def _learn(self, tokenizer: Tokenizer, words: list[str]) -> None:
        encodings = tokenizer.encode_batch_fast(words, add_special_tokens=False)
        self._known.update(zip(words, map(len, encodings), strict=True))


def _cuts_ideographs(tokenizer: Tokenizer) -> bool:
    """Whether it makes a word of each of them."""
    sample = "中国人民大会"
    return len(tokenizer.encode(sample, add_special_tokens=False)) == sum(
        len(tokenizer.encode(each, add_special_tokens=False)) for each in sample
    )


def load_tokenizer(tokenizer_json: str) -> Tokenizer:
    """Make a tokenizer that neither cuts nor pads, whatever its file says."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
