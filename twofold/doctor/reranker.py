"""Can this reranker tell a right answer from a wrong one, and if not, why not."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from twofold.doctor.golden import FILLER, LANGUAGES, Golden, Language, golden
from twofold.doctor.ranking import evidence_of, is_permutation, not_understood, understanding
from twofold.doctor.verdict import Evidence, Fault, Verdict
from twofold.errors import ModelUnavailable

Score: TypeAlias = Callable[[str, Sequence[str]], Sequence[float]]
"""(query, passages) to one score a passage, in their order."""

SIGMOID_OF_1 = 1 / (1 + math.exp(-1))
NOTICEABLE = 0.1
"""Share of the range of all scores by which a score may move with its batch mates (bf16 moves it
by about a hundredth; a wrong padding side by a half)."""
SMALL = 0.03
"""Share of that range within which two scores are taken for the same one."""
CLEAR = 0.2
"""Margin in probability below which a Qwen3 reranker has not understood the question."""
KEPT_MARGIN = 0.1
"""Share of its margin that a right passage keeps, at least, under a long neutral ending."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A question with the scores that came for it."""

    question: Golden
    place: int
    scores: tuple[float, ...]

    @property
    def evidence(self) -> Evidence:
        return evidence_of(self.question, self.scores, self.place)

    @property
    def beaten(self) -> list[bool]:
        right = self.scores[self.place]
        return [right > score for i, score in enumerate(self.scores) if i != self.place]


def diagnose_reranker(
    score: Score,
    *,
    subject: str = "reranker",
    model: str = "",
    languages: Sequence[Language] = LANGUAGES,
    instructed: Callable[[str, Sequence[str], str], Sequence[float]] | None = None,
    long_words: int = 0,
) -> Verdict:
    """Score the golden questions (36 pairs) and read the pattern.

    Args:
        score: The reranker.
        subject: What the verdict calls it.
        model: Its name; a Qwen3 reranker is expected to understand every language and to be sure
            of itself, of another it is enough that it understands English.
        languages: What to judge it in.
        instructed: The same with an instruction as the last argument; without it nothing is
            said about instructions.
        long_words: Also score passages with that many words of neutral ending, to find a server
            that cuts the suffix of the prompt; 0 leaves that out.
    """
    trial = _Trial(score, golden(tuple(languages)))
    evidence = tuple(row.evidence for row in trial.rows) if trial.whole else ()

    def verdict(fault: Fault | None, sentence: str, *notes: str) -> Verdict:
        return Verdict(subject, fault, sentence, evidence, notes)

    fault = trial.fault(qwen3="qwen3" in model.lower())
    if fault is not None:
        return verdict(*fault)
    notes = trial.notes()
    try:
        if long_words and trial.loses_long_passages(long_words):
            return verdict(
                "suffix_truncated",
                f"Right and wrong passages of {long_words} words score alike: the end of the "
                "prompt is cut off with the passage. Truncate the passage alone, so that the "
                "assistant suffix stays, or cap the passages that are sent.",
            )
    except ModelUnavailable as error:
        notes.append(f"Passages of {long_words} words were not scored: {error}")
    if instructed is not None:
        notes += trial.notes_on_instructions(instructed)
    won = sum(row.margin > 0 for row in evidence)
    return verdict(
        None, f"Ranks the right passage first in {won} of {len(evidence)} questions.", *notes
    )


class _Trial:
    """The golden questions, scored once together and a few passages once more alone."""

    def __init__(self, score: Score, questions: Sequence[Golden]) -> None:
        self._score = score
        self.rows = [
            _Row(
                question, place, tuple(map(float, score(question.query, question.passages(place))))
            )
            for place, question in ((index % 3, each) for index, each in enumerate(questions))
        ]
        self.scores = [each for row in self.rows for each in row.scores]
        self.whole = all(len(row.scores) == 3 for row in self.rows) and all(
            map(math.isfinite, self.scores)
        )

    @property
    def range(self) -> float:
        return max(self.scores) - min(self.scores)

    def fault(self, *, qwen3: bool) -> tuple[Fault, str] | None:
        """The first fault that explains the scores, the most telling pattern first."""
        if not self.whole:
            return "unreadable", "A score is missing, or is not a finite number."
        if self.range <= 1e-6 * max(1.0, abs(self.scores[0])):
            return (
                "constant",
                f"Every passage scores {self.scores[0]:.4g}: the head is not the model's. Load "
                "the checkpoint with its language-model head, or with the converted one row.",
            )
        return (
            self._batch_fault()
            or self._order_fault(qwen3)
            or self._scale_fault()
            or (self._cluster_fault() if qwen3 else None)
        )

    def _batch_fault(self) -> tuple[Fault, str] | None:
        """Score passages alone: where the order is worst and where lengths differ most."""
        worst = min(self.rows, key=lambda row: row.evidence.margin)
        uneven = max(self.rows, key=lambda row: len(max(row.question.passages(0), key=len)))
        moved = 0.0
        swapped = True
        for row in (worst, uneven):
            query, passages = row.question.query, row.question.passages(row.place)
            alone = [self._score(query, [passage])[0] for passage in passages]
            moved = max(moved, *(abs(a - b) for a, b in zip(alone, row.scores, strict=True)))
            swapped &= is_permutation(alone, row.scores, SMALL * self.range)
        if moved <= NOTICEABLE * self.range:
            return None
        if swapped:
            return (
                "wrong_index",
                "Scores come back under the wrong index: the same passages scored alone have the "
                "same scores in another order. The server, or a proxy before it, mixes up the "
                "order of the results.",
            )
        return (
            "batch_dependent",
            f"A passage's score changes by {moved:.2g} with what else is in the batch: wrong "
            "padding. Pad on the left and read the last position, or pass the attention mask and "
            "position ids.",
        )

    def _order_fault(self, qwen3: bool) -> tuple[Fault, str] | None:
        rows = [row.evidence for row in self.rows]
        pattern = understanding(rows, [won for row in self.rows for won in row.beaten])
        if pattern == "right" or (pattern == "english" and not qwen3):
            return None
        if pattern == "inverted":
            return (
                "inverted",
                "Wrong passages score above the right ones: the head reads 'no' for 'yes'. Swap "
                "the two labels (classifier_from_token is [no, yes]).",
            )
        won = sum(row.margin > 0 for row in rows)
        low, high = min(self.scores), max(self.scores)
        return (
            "missing_template",
            f"The order is near random: the right passage is first in {won} of {len(rows)} "
            f"questions, scores lie between {low:.3g} and {high:.3g}. Most often the prompt "
            "template is missing (vLLM: --chat-template and --hf_overrides for Qwen3 rerankers; "
            "or let Twofold send it with ?template=qwen3), else the head was initialised at "
            "random.",
        )

    def _scale_fault(self) -> tuple[Fault, str] | None:
        low, high = min(self.scores), max(self.scores)
        # From about sigmoid(0) to about sigmoid(1), which is more than "somewhere in between".
        if 0.5 <= low < 0.55 and 0.68 < high <= SIGMOID_OF_1 + 1e-6:
            return (
                "double_sigmoid",
                f"The order is right and all scores lie between {low:.3f} and {high:.3f}: the "
                "sigmoid is applied twice. Turn one off (the model's activation or the server's).",
            )
        return None

    def _cluster_fault(self) -> tuple[Fault, str] | None:
        """A Qwen3 reranker under its template says nearly 1 and nearly 0 to questions this easy."""
        if self._typical_margin >= CLEAR:
            return None
        return (
            "missing_template",
            f"The order is right and the scores hardly differ (typically by "
            f"{self._typical_margin:.2g}): a Qwen3 reranker does that without its prompt template. "
            "Start the server with it, or let Twofold send it with ?template=qwen3.",
        )

    @property
    def _typical_margin(self) -> float:
        return statistics.median(row.evidence.margin for row in self.rows)

    def loses_long_passages(self, words: int) -> bool:
        """Whether a long neutral ending makes right and wrong passages alike."""
        ending = " " + " ".join([FILLER] * (words // len(FILLER.split())))
        for row in self.rows[:2]:
            question = row.question
            right, wrong = self._score(
                question.query, [question.right + ending, question.wrong[1] + ending]
            )
            if right - wrong < KEPT_MARGIN * self._typical_margin:
                return True
        return False

    def notes_on_instructions(
        self, instructed: Callable[[str, Sequence[str], str], Sequence[float]]
    ) -> list[str]:
        """Whether an odd instruction is refused, or leaves every score as it is."""
        row = self.rows[0]
        passages = row.question.passages(row.place)
        try:
            odd = instructed(row.question.query, passages, "Find passages about cooking with fish")
        except ModelUnavailable as error:
            return [f"It takes no instruction: {error.details['reason']}"]
        if all(abs(a - b) <= 1e-6 * self.range for a, b in zip(odd, row.scores, strict=True)):
            return ["An instruction changes nothing: the server or the model drops it."]
        return []

    def notes(self) -> list[str]:
        notes = []
        if min(self.scores) < 0 or max(self.scores) > 1:
            notes.append(
                f"Scores are raw logits ({min(self.scores):.3g} to {max(self.scores):.3g}), not "
                "probabilities: fine for ranking, not for a min_score."
            )
        lost = not_understood([row.evidence for row in self.rows])
        if lost:
            notes.append(f"A wrong passage came first in: {', '.join(lost)}.")
        return notes
