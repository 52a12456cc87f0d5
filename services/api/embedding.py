"""Texts embedded for other applications: all of them by the deadline, or an error."""

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.build import Twofold
from pipelines.dimensions import require_dimensions, shortened
from pipelines.ports import TextEmbedder, TextKind, Vector
from pipelines.tokenizing import Side
from pipelines.tokens import MAX_CHARACTERS_PER_TOKEN
from twofold.errors import InvalidRequest, NotServed, TextTooLong, TimeTooShort

RETRY_S = 5


@dataclass(frozen=True, slots=True)
class Embedded:
    """What came of it.

    Attributes:
        vectors: [n, dimensions] float32, unit length, in the order of the texts.
        truncated: Where the model saw a part of the text only; None where nobody knows.
        tokens: Of all texts, as the model was given them.
    """

    vectors: Vector
    truncated: list[bool] | None
    tokens: int


async def embed(
    parts: Twofold,
    texts: Sequence[str],
    *,
    kind: TextKind,
    deadline_ms: int,
    dimensions: int | None = None,
    limit: int | None = None,
    side: Side = "right",
    whole: bool = False,
) -> Embedded:
    """Embed all texts as one kind.

    Args:
        parts: Of this process.
        texts: At least one.
        kind: Query or passage.
        deadline_ms: Milliseconds from now.
        dimensions: Length of the vectors; None: the model's own.
        limit: Tokens of each text that the model is given; None: as many as it takes.
        side: Where a text loses what is too much.
        whole: Whether a text that is too long is an error.

    Raises:
        NotServed: This process cannot embed.
        InvalidRequest: Something of this is not possible with the model.
        TextTooLong: A text would lose something, and shall not.
        TimeTooShort: Not all was embedded in time.
        Unavailable: The model has too much to do, or is away.
    """
    deadline = time.monotonic() + deadline_ms / 1000
    embedder = lent(parts)
    length = require_dimensions(embedder, dimensions)
    given, counts, cut = await asyncio.to_thread(fitted, parts, embedder, texts, limit, side)
    if whole:
        require_whole(cut)
    try:
        vectors = await embedder.embed_texts(given, kind=kind, deadline=deadline)
    except TimeoutError:
        raise TimeTooShort(
            done=0, texts=len(texts), deadline_ms=deadline_ms, retry_after=RETRY_S
        ) from None
    return Embedded(shortened(vectors, length), cut, sum(counts))


def lent(parts: Twofold) -> TextEmbedder:
    """What embeds for others; raises NotServed where nothing does."""
    if parts.texts is None:
        raise NotServed(reason="its embedder embeds queries only")
    return parts.texts


def fitted(
    parts: Twofold, embedder: TextEmbedder, texts: Sequence[str], limit: int | None, side: Side
) -> tuple[list[str], list[int], list[bool] | None]:
    """The texts as the model is given them, their tokens, and which of them lose some."""
    tokens, most = parts.embed_tokens, embedder.max_tokens
    if side == "left" and not tokens.exact:
        raise InvalidRequest(
            field="truncation_direction",
            reason=f"where {embedder.name} cuts is not known here; only the right side can be cut",
        )
    if limit is None or limit == -1 or limit > most:
        limit = most
    # What no model reads need not be tokenised either.
    bound = most * MAX_CHARACTERS_PER_TOKEN
    given = [text[:bound] if side == "right" else text[-bound:] for text in texts]
    counts = tokens.count(given)
    cut = [count > limit for count in counts]
    if limit < most or side == "left":
        given = [
            tokens.cut(text, limit, side) if over else text
            for text, over in zip(given, cut, strict=True)
        ]
        counts = [min(count, limit) for count in counts]
    return given, counts, cut if tokens.exact else None


def require_whole(cut: list[bool] | None) -> None:
    """Raise TextTooLong if a text lost something, InvalidRequest if nobody can tell."""
    if cut is None:
        raise InvalidRequest(
            field="truncate",
            reason="the model's tokenizer is not known here, so nobody can tell; leave it out",
        )
    if any(cut):
        raise TextTooLong(place=cut.index(True))


def to_base64(vector: Vector) -> str:
    """A vector as OpenAI's clients ask for it: little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
