"""How fast the device is, learnt from the batches that it has done."""

import math
from collections import deque
from itertools import combinations
from statistics import median

WINDOW = 16
FIRST_BATCH_TOKENS = 512
ALIKE = 0.8
CAUTION = 0.9

ORIGIN = (0, 0.0)


class Speed:
    """Seconds of a batch as `spread * (overhead_s + per_token_s * tokens)`.

    The line is the Theil-Sen estimate (Sen, JASA 1968) over the last batches: the slope is the
    median of the slopes between any two, the overhead the median of what is left. A stall or a
    cold start does not move a median; a device that has become slower does, within the window.
    The origin counts as one more batch, so that batches of one size determine a line as well.

    Attributes:
        overhead_s: What a batch costs however small it is.
        per_token_s: What each token adds.
        spread: The factor that nine in ten of the last batches stayed under. It makes every
            prediction a cautious one.
    """

    def __init__(self) -> None:
        self.overhead_s = 0.0
        self.per_token_s = 0.0
        self.spread = 1.0
        self._batches: deque[tuple[int, float]] = deque(maxlen=WINDOW)

    def observe(self, tokens: int, seconds: float) -> None:
        """Learn from a batch of so many tokens that took `seconds`."""
        self._batches.append((tokens, seconds))
        slopes = [
            (s2 - s1) / (t2 - t1)
            for (t1, s1), (t2, s2) in combinations((ORIGIN, *self._batches), 2)
            # Between batches of nearly one size the slope is mostly noise.
            if not ALIKE * t1 <= t2 <= t1 / ALIKE
        ]
        self.per_token_s = max(0.0, median(slopes))
        self.overhead_s = max(0.0, median(s - self.per_token_s * t for t, s in self._batches))
        self.spread = self._spread()

    def _spread(self) -> float:
        ratios = sorted(
            seconds / expected
            for tokens, seconds in self._batches
            if (expected := self.overhead_s + self.per_token_s * tokens) > 0.0
        )
        return max(1.0, ratios[int(CAUTION * len(ratios))]) if ratios else 1.0

    def seconds(self, tokens: float, *, batches: int = 1) -> float:
        """Seconds that `tokens` take in so many batches; 0 before anything was measured."""
        return self.spread * (batches * self.overhead_s + self.per_token_s * tokens)

    def tokens_within(self, seconds: float) -> float:
        """Size of the largest batch that is done after `seconds`; 0 if none is."""
        return self.tokens_during(seconds - self.spread * self.overhead_s)

    def tokens_during(self, seconds: float) -> float:
        """Tokens that a batch gets through in `seconds`, its overhead aside.

        Before anything was measured these are few: a first guess must not take for ever.
        """
        if seconds <= 0.0:
            return 0.0
        if not self._batches:
            return FIRST_BATCH_TOKENS
        pace = self.spread * self.per_token_s
        return seconds / pace if pace > 0.0 else math.inf
