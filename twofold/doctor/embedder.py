"""Can this embedder place an answer near its question, and if not, why not."""

import math
from collections.abc import Callable, Sequence
from operator import mul
from typing import TypeAlias

from twofold.doctor.golden import LANGUAGES, Golden, Language, golden
from twofold.doctor.ranking import evidence_of, not_understood, understanding
from twofold.doctor.verdict import Evidence, Fault, Verdict

Embed: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Texts to one vector each, in their order."""

SAME = 0.9999
"""Cosine above which two vectors count as one; bf16 alone keeps .9999 and more."""
CLOSE = 0.99
UNIT = 0.01


def diagnose_embedder(
    embed_queries: Embed,
    embed_passages: Embed,
    *,
    subject: str = "embedder",
    model: str = "",
    languages: Sequence[Language] = LANGUAGES,
    unit_length: bool = True,
) -> Verdict:
    """Embed the golden questions (44 short texts) and read the pattern.

    Args:
        embed_queries: The model with its prompt for queries.
        embed_passages: The model with its prompt for passages.
        subject: What the verdict calls it.
        model: Its name; a Qwen3 embedder is expected to understand every language and to tell
            queries from passages.
        languages: What to judge it in.
        unit_length: Whether vectors of another length than 1 are a fault; else a note.
    """
    trial = _Trial(embed_queries, embed_passages, golden(tuple(languages)))
    notes: list[str] = []

    def verdict(fault: Fault | None, sentence: str) -> Verdict:
        return Verdict(subject, fault, sentence, tuple(trial.rows), tuple(notes))

    fault = trial.fault(qwen3="qwen3" in model.lower())
    if fault is not None:
        return verdict(*fault)
    low, high = trial.lengths
    if abs(low - 1) > UNIT or abs(high - 1) > UNIT:
        lengths = f"Vectors have lengths from {low:.3g} to {high:.3g} and not 1"
        if unit_length:
            return verdict("not_unit_length", f"{lengths}: normalise them.")
        notes.append(f"{lengths}; Twofold normalises them.")
    if trial.queries_are_passages:
        notes.append(
            "Queries and passages are embedded alike: right for models without a query prompt, "
            "wrong for Qwen3-Embedding, E5 or BGE (see query_prefix)."
        )
    lost = not_understood(trial.rows)
    if lost:
        notes.append(f"A wrong passage came first in: {', '.join(lost)}.")
    won = sum(row.margin > 0 for row in trial.rows)
    return verdict(None, f"Places the answer nearest in {won} of {len(trial.rows)} questions.")


class _Trial:
    """The golden questions and passages as vectors, and some of them once more alone."""

    def __init__(
        self, embed_queries: Embed, embed_passages: Embed, questions: Sequence[Golden]
    ) -> None:
        self._embed_passages = embed_passages
        self._passages = [
            passage for i, each in enumerate(questions) for passage in each.passages(i % 3)
        ]
        queries = [question.query for question in questions]
        self._queries = embed_queries(queries)
        self._vectors = embed_passages(self._passages)
        self._bare_queries = embed_passages(queries)
        self.whole = self._is_whole(len(questions))
        self.rows: list[Evidence] = []
        self._beaten: list[bool] = []
        for i, question in enumerate(questions if self.whole else ()):
            scores = [_cosine(self._queries[i], self._vectors[3 * i + j]) for j in range(3)]
            self.rows.append(evidence_of(question, scores, i % 3))
            self._beaten += [scores[i % 3] > scores[j] for j in range(3) if j != i % 3]

    def _is_whole(self, questions: int) -> bool:
        vectors = [*self._queries, *self._vectors, *self._bare_queries]
        return (
            len(self._queries) == len(self._bare_queries) == questions
            and len(self._vectors) == 3 * questions
            and len({len(vector) for vector in vectors}) == 1
            and all(any(vector) and all(map(math.isfinite, vector)) for vector in vectors)
        )

    @property
    def lengths(self) -> tuple[float, float]:
        lengths = [math.sqrt(_dot(each, each)) for each in (*self._queries, *self._vectors)]
        return min(lengths), max(lengths)

    @property
    def queries_are_passages(self) -> bool:
        pairs = zip(self._queries, self._bare_queries, strict=True)
        return all(_cosine(query, bare) > SAME for query, bare in pairs)

    def fault(self, *, qwen3: bool) -> tuple[Fault, str] | None:
        """The first fault that explains the vectors, the most telling pattern first."""
        if not self.whole:
            return "unreadable", "A vector is missing, zero, of another length, or not finite."
        if _one_twice(self._queries) or _one_twice(self._vectors):
            return (
                "wrong_pooling",
                "Different texts have the same vector: the pooling reads a token that does not "
                "see the whole text. Qwen3-Embedding and other decoders need the last token.",
            )
        return self._batch_fault() or self._order_fault(qwen3)

    def _batch_fault(self) -> tuple[Fault, str] | None:
        shortest, longest = (
            order(range(len(self._passages)), key=lambda i: len(self._passages[i]))
            for order in (min, max)
        )
        for index in (shortest, longest):
            alone = self._embed_passages([self._passages[index]])[0]
            cosine = _cosine(alone, self._vectors[index])
            if cosine >= CLOSE:
                continue
            if any(_cosine(alone, vector) > SAME for vector in self._vectors):
                return (
                    "wrong_index",
                    "Vectors come back under the wrong index: a passage embedded alone has the "
                    "vector that another one had in the batch.",
                )
            return (
                "batch_dependent",
                f"A passage's vector changes with what else is in the batch (cosine {cosine:.3f}): "
                "wrong padding. Pool by the attention mask, or pad on the left for the last token.",
            )
        return None

    def _order_fault(self, qwen3: bool) -> tuple[Fault, str] | None:
        pattern = understanding(self.rows, self._beaten)
        if pattern not in ("right", "english") or (pattern == "english" and qwen3):
            won = sum(row.margin > 0 for row in self.rows)
            return (
                "wrong_pooling",
                f"The answer is nearest to its question in {won} of {len(self.rows)} cases: wrong "
                "pooling, a missing end token, or weights that are not this model's.",
            )
        if qwen3 and self.queries_are_passages:
            return (
                "missing_instruction",
                "Queries are embedded as passages are: this model needs "
                "'Instruct: {task}\\nQuery:{query}' for queries.",
            )
        return None


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(map(mul, a, b))


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return _dot(a, b) / math.sqrt(_dot(a, a) * _dot(b, b))


def _one_twice(vectors: Sequence[Sequence[float]]) -> bool:
    return any(_cosine(one, other) > SAME for i, one in enumerate(vectors) for other in vectors[:i])
