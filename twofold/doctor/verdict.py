"""What a self-test says: fit or not, the likely fault, and the figures behind it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from twofold.doctor.golden import Language

Fault: TypeAlias = Literal[
    "unreachable",
    "unreadable",
    "constant",
    "inverted",
    "missing_template",
    "batch_dependent",
    "wrong_index",
    "double_sigmoid",
    "suffix_truncated",
    "wrong_pooling",
    "not_unit_length",
    "missing_instruction",
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How one golden question came out; scores are as the model gave them."""

    language: Language
    query: str
    right: float
    best_wrong: float

    @property
    def margin(self) -> float:
        """How far the right passage lies above the better of the wrong ones."""
        return self.right - self.best_wrong


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a self-test.

    Attributes:
        subject: What was tested, such as `reranker at http://host:8000 (jina)`.
        fault: The likely fault, read from the pattern of the scores; None when fit.
        sentence: What was seen, and what to do about it.
        evidence: One row per golden question, where it came to that.
        notes: What is worth knowing and keeps nobody from serving the model.
    """

    subject: str
    fault: Fault | None
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the model is fit to serve."""
        return self.fault is None
