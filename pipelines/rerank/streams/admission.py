"""What an API process can promise, judged by what the workers said of themselves.

Numbers in, sentences out: no clock, no connection.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from pipelines.rerank.streams.wire import Pace

SPLIT_S = 0.05
"""A piece of a request keeps a worker busy for about this long at least, when it is split."""

UNKNOWN_TOKENS = 512
"""The least piece as long as nobody knows how fast the workers are."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How fast all workers of a stream are together.

    Attributes:
        workers: How many there are.
        tokens_per_s: In full batches; 0 while no worker has measured itself.
        batch_s: The longest that a batch takes beside its tokens.
        entry_tokens: Tokens of a usual entry, 0 if not known.
    """

    workers: int
    tokens_per_s: float
    batch_s: float
    entry_tokens: float

    @classmethod
    def of(cls, paces: Sequence[Pace]) -> "Outlook":
        """Add the workers up; those that have measured nothing yet do not count."""
        usual = [pace.entry_tokens for pace in paces if pace.entry_tokens]
        return cls(
            workers=len(paces),
            tokens_per_s=sum(map(_tokens_per_s, paces)),
            batch_s=max((pace.overhead_s for pace in paces), default=0.0),
            entry_tokens=sum(usual) / len(usual) if usual else 0.0,
        )

    def wait(self, tokens: float) -> float:
        """Seconds until so many tokens are done; 0 while nobody knows."""
        return self.batch_s + tokens / self.tokens_per_s if self.tokens_per_s else 0.0

    def pieces(self, costs: Sequence[int], largest: int) -> list[tuple[int, int]]:
        """Split a request so that every worker gets some of it, the head first.

        Args:
            costs: Tokens of each passage.
            largest: Tokens of a piece, unless a single passage has more. A lone worker gets the
                whole: it makes batches of it, and there is nobody to share with.

        Returns:
            Half-open ranges of passages, in order.
        """
        if self.workers <= 1:
            return [(0, len(costs))]
        sums = list(accumulate(costs, initial=0))
        least = SPLIT_S * self.tokens_per_s / self.workers or UNKNOWN_TOKENS
        size = min(largest, max(least, sums[-1] / self.workers))
        ranges, start = [], 0
        while start < len(costs):
            stop = max(start + 1, bisect_right(sums, sums[start] + size) - 1)
            ranges.append((start, stop))
            start = stop
        return ranges


def _tokens_per_s(pace: Pace) -> float:
    if not pace.per_token_s or not pace.batch_tokens:
        return 0.0
    return 1.0 / (pace.per_token_s + pace.overhead_s / pace.batch_tokens)
