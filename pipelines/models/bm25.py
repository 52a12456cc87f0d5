"""BM25 as sparse vectors, by the Qdrant engine's own tokenizer, stemmers and stop words.

A text is read script by script. Latin words are stemmed by the language that was chosen; Arabic,
Cyrillic, Greek and Hebrew ones by a language of that script, whatever was chosen; Chinese,
Japanese, Korean, Thai and their like are cut into character n-grams. So one collection may hold
many languages, and the choice matters only between those that share a script.

Identifiers count whole and in parts: `getUserName` and `get_user_name` are both `getusername`,
`get`, `user` and `name`.
"""

from collections.abc import Callable, Iterator, Sequence

from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, StopwordsSet, TokenizerType
from qdrant_edge import SparseVector as EngineVector

from pipelines.ports import SparseVector
from pipelines.scripts import LONGEST, by_script, grams, normal
from twofold.errors import ConfigurationError

K1 = 1.2
B = 0.75
AVERAGE_TERMS = 64
"""Terms of a passage, stop words not counted: passages are cut to the same number of tokens in
every collection, so that theirs differs little from collection to collection."""

LATIN = "english"
"""For Latin words in a collection whose language is written otherwise."""
LANGUAGES = {"arabic": "arabic", "cyrillic": "russian", "greek": "greek", "hebrew": "hebrew"}
"""The language that words of a script are read in unless the chosen one is written in it."""
SCRIPTS = {
    "arabic": "arabic",
    "russian": "cyrillic",
    "kazakh": "cyrillic",
    "tajik": "cyrillic",
    "greek": "greek",
    "hebrew": "hebrew",
    "chinese": "pairs",
    "japanese": "pairs",
}
"""The script of a language that is not written in Latin letters."""

Part = tuple[Bm25, str]
"""Some words of a text, and what knows their stems."""


class Bm25SparseEmbedder:
    """Term weights whose product with a query's, times the IDF, is the BM25 score.

    The IDF is the store's part, because it changes with every document. Robertson and Zaragoza,
    "The Probabilistic Relevance Framework: BM25 and Beyond", 2009. The words of each script are
    a text of their own to the formula: their length is counted among themselves.
    """

    def __init__(self, language: str = "english") -> None:
        """Choose stemmer and stop words.

        Args:
            language: In English and lower case, such as `german`.

        Raises:
            ConfigurationError: There is no stemmer for this language.
        """
        chosen = _model(language)
        script = SCRIPTS.get(language)
        self._rest = _model(LATIN) if script else chosen
        self._spaced = {name: _model(usual) for name, usual in LANGUAGES.items()}
        if script in self._spaced:
            self._spaced[script] = chosen
        self._grams = _model(LATIN, stemmed=False)

    def embed_query(self, text: str) -> SparseVector:
        return _united(self._parts(text, shorter=False), Bm25.embed_query)

    def embed_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        return [_united(self._parts(text, shorter=True), Bm25.embed_document) for text in texts]

    def _parts(self, text: str, *, shorter: bool) -> Iterator[Part]:
        """The words of each script; `shorter` adds the n-grams that a short query is made of."""
        written = by_script(normal(text))
        yield self._rest, written.rest
        for script, words in written.spaced.items():
            yield self._spaced[script], " ".join(words)
        for script, runs in written.unspaced.items():
            longest = LONGEST[script]
            for size in (longest, longest - 1) if shorter else (longest,):
                yield self._grams, " ".join(grams(runs, size))


def _united(parts: Iterator[Part], embed: Callable[[Bm25, str], EngineVector]) -> SparseVector:
    """One vector of all parts; terms of different scripts are different terms."""
    vectors = [embed(model, text) for model, text in parts]
    weights = {
        index: value
        for vector in vectors
        for index, value in zip(vector.indices, vector.values, strict=True)
    }
    return SparseVector([*weights], [*weights.values()])


def _model(language: str, *, stemmed: bool = True) -> Bm25:
    try:
        return Bm25(
            Bm25Config(
                k=K1,
                b=B,
                avg_len=AVERAGE_TERMS,
                tokenizer=TokenizerType.Code,
                language=language,
                stemmer=None if stemmed else DisabledStemmer(),
                stopwords=None if stemmed else StopwordsSet(),
            )
        )
    except ValueError as error:
        raise ConfigurationError(
            setting=f"the language '{language}'",
            reason="there is no stemmer for it; use one like 'english', 'german' or 'french'",
        ) from error
