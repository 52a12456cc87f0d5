"""What searches would find if vectors were kept smaller; nothing is built to know it.

Fewer dimensions are for models that were trained for it (MRL), copies of a byte or a bit for each
number (quantisation) are for a Qdrant server, which keeps them in memory and orders what they
find by whole vectors on its disk. The server answers as if it had them (`recall.dimensions`,
`recall.quantization`), so that both stages have their say and nobody's collection changes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, get_args

from twofold.client import Client
from twofold.errors import InvalidRequest
from twofold.evaluation.grid import CUT, Choice, ndcg
from twofold.evaluation.observe import DEADLINE_MS
from twofold.evaluation.prepare import Prepared
from twofold.evaluation.wording import counted
from twofold.schema import Quantization, Recall, SearchRequest

FEWEST_DIMENSIONS = 64
"""Below which nothing is tried unless somebody names it."""
FEWEST_PASSAGES: dict[Quantization, int] = {"int8": 2_000, "binary": 4_000}
"""Below which copies find a tenth of all passages or more for lists of 100, and so lose nothing."""
COPIES: tuple[Quantization, ...] = get_args(Quantization)
_BITS: dict[Quantization | None, int] = {None: 32, "int8": 8, "binary": 1}

Auto: TypeAlias = Literal["auto"]


class Kept(NamedTuple):
    """How vectors are kept: how long, and by which copies they are found."""

    dimensions: int
    quantization: Quantization | None = None

    @property
    def size(self) -> int:
        """Bytes in memory for each passage."""
        return math.ceil(self.dimensions * _BITS[self.quantization] / 8)

    def __str__(self) -> str:
        copies = f", {self.quantization}" if self.quantization else ""
        return f"{self.dimensions:,} dimensions{copies}"


Scores: TypeAlias = dict[Kept, list[float]]
"""nDCG@10 of each query, always in the same order, by how vectors are kept."""


@dataclass(frozen=True)
class Wanted:
    """What is to be tried; `auto`: what the server could have."""

    dimensions: Sequence[int] | Auto = "auto"
    quantization: Sequence[Quantization] | Auto = "auto"

    @classmethod
    def parse(cls, dimensions: str, quantization: str) -> "Wanted":
        """From the words of a command line.

        Raises:
            InvalidRequest: They are none of `auto`, `none`, numbers, kinds of copies.
        """
        return cls(_dimensions(dimensions), _quantization(quantization))


@dataclass(frozen=True)
class Plan:
    """What is tried, the vectors as they are before all others.

    Attributes:
        qdrant: Whether the server keeps vectors where there can be copies of them.
        notes: What is not tried, and why.
    """

    trials: Sequence[Kept]
    qdrant: bool
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, client: Client, ready: Prepared, wanted: Wanted) -> "Plan":
        """What of the wanted the server can answer.

        Raises:
            InvalidRequest: It has no vectors of a length that was named.
        """
        collection = client.collection(ready.collection)
        whole = collection.dimensions
        lengths, notes = [whole], list[str]()
        if wanted.dimensions == "auto":
            shorter, why = _halves(client, ready, whole)
            lengths += shorter
            notes += why
        else:
            for each in wanted.dimensions:
                _require(client, ready, each)
            lengths += [each for each in wanted.dimensions if each < whole]
        qdrant = client.ready().store == "qdrant"
        if wanted.quantization == "auto":
            copies = list(COPIES) if qdrant else []
            if not qdrant:
                notes.append(
                    "Quantisation was not tried: the embedded store scans whole vectors. What it "
                    "would do on a Qdrant server is tried with --quantization int8,binary."
                )
        else:
            copies = list(wanted.quantization)
        small = [copy for copy in copies if collection.passages < FEWEST_PASSAGES[copy]]
        if small:
            notes.append(
                f"Not tried: {', '.join(small)}. Of {counted(collection.passages, 'passage')} such "
                "copies find a tenth or more for any query, so that they cannot lose much yet."
            )
        copies = [copy for copy in copies if copy not in small]
        trials = [Kept(each, copy) for each in lengths for copy in (None, *copies)]
        return cls(trials, qdrant, notes)


def try_out(
    client: Client,
    ready: Prepared,
    choice: Choice,
    trials: Sequence[Kept],
    advance: Callable[[], object] = lambda: None,
) -> Scores:
    """What each query gets with each kind of vectors, searched as was chosen.

    Args:
        client: Of the server.
        ready: Queries and the collection that they are asked of.
        choice: Everything else of a search.
        trials: Kinds of vectors; the first are those that are there.
        advance: Called after each search.
    """
    scores: Scores = {kept: [] for kept in trials}
    whole = trials[0]
    for query_id, text in ready.judgements.queries.items():
        for kept in trials:
            answer = client.search(_request(ready, text, choice, kept, whole))
            documents = [each.document_id for each in answer.results]
            scores[kept].append(ndcg(documents, ready.relevant[query_id]))
            advance()
    return scores


def _request(ready: Prepared, text: str, choice: Choice, kept: Kept, whole: Kept) -> SearchRequest:
    """The first documents, as the choice has them."""
    smaller = {
        "dimensions": None if kept.dimensions == whole.dimensions else kept.dimensions,
        "quantization": kept.quantization,
    }
    return SearchRequest.model_validate(
        {
            "query": text,
            "collection": ready.collection,
            "limit": CUT,
            "group_by_document": 1,
            "recall": {"limit": choice.limit, "fusion": choice.fusion, **smaller},
            "rerank": {"enabled": choice.depth > 0, "depth": choice.depth or None},
            "fusion": {"weight": choice.weight} if choice.depth else {},
            "deadline_ms": DEADLINE_MS,
        }
    )


def _halves(client: Client, ready: Prepared, whole: int) -> tuple[list[int], list[str]]:
    """Half as many dimensions, and half of that, as far as the model goes."""
    found: list[int] = []
    for length in _halved(whole):
        try:
            _require(client, ready, length)
        except InvalidRequest as error:
            if not found:
                return [], [f"Fewer dimensions were not tried: {error.details['reason']}."]
            break
        found.append(length)
    return found, []


def _halved(whole: int) -> Iterator[int]:
    while (whole := whole // 2) >= FEWEST_DIMENSIONS:
        yield whole


def _require(client: Client, ready: Prepared, dimensions: int) -> None:
    """Raise InvalidRequest if the server does not answer with so few dimensions."""
    text = next(iter(ready.judgements.queries.values()))
    recall = Recall(mode="dense", dimensions=dimensions)
    try:
        client.search(text, collection=ready.collection, limit=1, recall=recall)
    except InvalidRequest as error:
        reason = str(error.details.get("reason") or error.message)
        raise InvalidRequest(field="--dimensions", reason=reason) from None


def _dimensions(text: str) -> Sequence[int] | Auto:
    if text in ("auto", "none"):
        return "auto" if text == "auto" else ()
    try:
        found = sorted({int(part) for part in text.split(",")}, reverse=True)
    except ValueError:
        found = []
    if not found or found[-1] < 1:
        raise InvalidRequest(
            field="--dimensions",
            reason=f"'{text}' is neither auto nor none nor numbers such as 512,256",
        )
    return found


def _quantization(text: str) -> Sequence[Quantization] | Auto:
    if text in ("auto", "none"):
        return "auto" if text == "auto" else ()
    wanted = {part.strip() for part in text.split(",")}
    if not wanted <= set(COPIES):
        raise InvalidRequest(
            field="--quantization",
            reason=f"'{text}' is neither auto nor none nor some of {', '.join(COPIES)}",
        )
    return [copy for copy in COPIES if copy in wanted]
