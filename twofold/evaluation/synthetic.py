"""Queries that nobody asked, drawn from one's own documents, for people without judgements.

A known-item query looks for one document that the asker has in mind. Azzopardi, de Rijke and
Balog, "Building simulated queries for known-item topics", SIGIR 2007, draw such queries from a
model of the document's terms and find that systems rank much as with real ones, if the terms are
drawn as people choose theirs: by how well they tell the document from others. Here they come from
a title, a heading with its passage, or the rarest sentence, without the words that say nothing and
without a run of words that would find the text by looking it up.

What the figures can tell: whether something is broken, and roughly how a change moves the ranking.
What they cannot: whether people find what they look for. The words of such a query are those of
its document, which favours BM25; and documents that answer as well count as wrong.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from twofold.client import Client
from twofold.errors import InvalidRequest
from twofold.evaluation.judgements import Judgement, Judgements, judged
from twofold.schema import Document, Passage

Kind: TypeAlias = Literal["title", "heading", "sentence"]

SHORTEST, LONGEST = 3, 8
"""Words of a query; the queries of web search have about as many."""
RUN = 2
"""Words that may follow each other as they do in the document."""
CAUTION = (
    "The queries are synthetic: drawn from the documents themselves (known-item queries, after "
    "Azzopardi, de Rijke and Balog, SIGIR 2007). They show whether something is broken and "
    "roughly how a change moves the ranking. They do not show whether people find what they look "
    "for: their words are those of the documents, which favours BM25, and other documents that "
    "answer as well count as wrong."
)

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+|(?<=[。！？])")
# Scripts that put no space between words: a run of their letters is cut into short pieces.
_UNSPACED = re.compile(r"[぀-ヿ㐀-鿿฀-๿]{2,4}")
_COMMON = 0.2  # a word in more of the documents than this says nothing about any
_ENOUGH = 10  # documents below which that cannot be judged


class Known(NamedTuple):
    """A query and the document that it was drawn from."""

    text: str
    document_id: str
    kind: Kind


@dataclass(frozen=True)
class Read:
    """A document as queries are drawn from it."""

    document: Document
    passages: Sequence[Passage]

    @property
    def text(self) -> str:
        """Its passages one after the other."""
        return "\n".join(passage.text for passage in self.passages)


def synthetic(client: Client, *, collection: str, count: int, seed: int) -> Judgements:
    """Draw so many queries, each from another document.

    Args:
        client: Of the server.
        collection: Whose documents.
        count: Queries wanted; fewer, where there are not as many documents that give one.
        seed: The same documents and the same seed give the same queries.

    Raises:
        InvalidRequest: No document gives a query.
    """
    rng = random.Random(seed)  # noqa: S311 - nothing is secret about it
    ready = sorted(
        (
            document
            for document in client.documents(collection, status="ready")
            if document.duplicate_of is None
        ),
        key=lambda document: document.id,
    )
    rng.shuffle(ready)
    sample = [
        Read(document, client.chunks(document.id, collection=collection).chunks)
        for document in ready[: count + count // 4 + 1]
    ]
    drawn = list(draw(sample, rng))[:count]
    if not drawn:
        raise InvalidRequest(
            field="--synthetic",
            reason=f"no document of '{collection}' has text enough to draw a query from",
        )
    return as_judgements(drawn, collection, seed)


def draw(sample: Sequence[Read], rng: random.Random) -> Iterator[Known]:
    """A query from each document that has words for one; no query twice."""
    common = _common_words(sample)
    frequency = Counter(word for read in sample for word in set(_words(read.text.lower())))
    seen: set[str] = set()
    for turn, read in enumerate(sample):
        kinds: list[Kind] = ["title", "heading", "sentence"]
        for kind in kinds[turn % 3 :] + kinds[: turn % 3]:
            source = _source(read, kind, frequency)
            text = _query(source, common, frequency, rng)
            if text and text not in seen:
                seen.add(text)
                yield Known(text, read.document.id, kind)
                break


def as_judgements(drawn: Sequence[Known], collection: str, seed: int) -> Judgements:
    """The drawn queries as judgements that say what they are."""
    kinds = Counter(known.kind for known in drawn)
    made = ", ".join(f"{count} from a {kind}" for kind, count in sorted(kinds.items()))
    return judged(
        f"{collection} (synthetic)",
        {f"s{number}": known.text for number, known in enumerate(drawn, 1)},
        [
            Judgement(f"s{number}", known.document_id, 1, f"synthetic:{number}")
            for number, known in enumerate(drawn, 1)
        ],
        source=Path("synthetic"),
        synthetic=f"{len(drawn)} queries drawn from the documents, seed {seed}: {made}",
    )


def _common_words(sample: Sequence[Read]) -> frozenset[str]:
    """Words that many of the documents have, whatever their language."""
    if len(sample) < _ENOUGH:
        return frozenset()
    counts = Counter(word for read in sample for word in set(_words(read.text.lower())))
    return frozenset(word for word, count in counts.items() if count > _COMMON * len(sample))


def _source(read: Read, kind: Kind, frequency: Mapping[str, int]) -> str:
    """The text that a query of this kind is drawn from; empty where the document has none."""
    if kind == "title":
        return read.document.title or Path(read.document.name).stem
    if kind == "heading":
        under = [passage for passage in read.passages if passage.headings]
        return f"{under[-1].headings[-1]} {under[-1].text[:200]}" if under else ""
    sentences = [part for part in _SENTENCE.split(read.text) if len(_words(part)) > SHORTEST]
    return max(sentences, key=lambda part: _rarity(part, frequency), default="")


def _rarity(sentence: str, frequency: Mapping[str, int]) -> float:
    """Mean over its words of how few documents have them."""
    words = _words(sentence.lower())
    return sum(1 / max(1, frequency.get(word, 1)) for word in words) / len(words)


def _query(
    source: str, common: frozenset[str], frequency: Mapping[str, int], rng: random.Random
) -> str:
    """A few telling words of the source in their order; empty where it has too few."""
    words = [
        (place, word)
        for place, word in enumerate(_words(source))
        if word.lower() not in common and len(word) > 1
    ]
    if len(words) < SHORTEST:
        return ""
    wanted = rng.randint(SHORTEST, min(LONGEST, max(SHORTEST, len(words) * 2 // 3)))
    # Weighted sampling without replacement: rarer words are likelier (Efraimidis and Spirakis,
    # 2006).
    keyed = [
        (math.log(1 - rng.random()) * max(1, frequency.get(word.lower(), 1)), place, word)
        for place, word in words
    ]
    chosen = sorted((place, word) for _, place, word in sorted(keyed)[-wanted:])
    kept = _broken_up(chosen)
    return " ".join(kept) if len(kept) >= SHORTEST else ""


def _broken_up(chosen: Sequence[tuple[int, str]]) -> list[str]:
    """Without the words that would make a run of more than RUN."""
    kept: list[tuple[int, str]] = []
    for place, word in chosen:
        if [at for at, _ in kept[-RUN:]] != list(range(place - RUN, place)):
            kept.append((place, word))
    return [word for _, word in kept]


def _words(text: str) -> list[str]:
    return [piece for word in _WORD.findall(text) for piece in (_UNSPACED.findall(word) or [word])]
