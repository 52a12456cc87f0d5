"""What an evaluation found: the JSON of `twofold eval --json`, and what its displays show."""

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from twofold.evaluation.latency import Latency
from twofold.evaluation.moves import Moved, Moves
from twofold.evaluation.significance import Comparison
from twofold.evaluation.verdict import Kind

Stage: TypeAlias = Literal["dense", "bm25", "first", "rerank", "fused", "run"]
MAIN = "nDCG@10"
"""The measure that decides."""


class Difference(BaseModel):
    """In nDCG@10 against the first stage: mean, 95 % interval, and how likely by chance."""

    mean: float
    low: float
    high: float
    p: float

    @classmethod
    def of(cls, found: Comparison) -> "Difference":
        """For the report."""
        return cls(mean=found.difference, low=found.low, high=found.high, p=found.p)


class Row(BaseModel):
    """One way to search, over all queries.

    Attributes:
        depth: Of the second stage, where there is one.
        default: Whether the server does this by itself.
        latency: Of whole searches.
    """

    name: str
    stage: Stage
    depth: int | None = None
    default: bool = False
    measures: dict[str, float]
    against_first: Difference | None = None
    latency: Latency | None = None


class QueryRow(BaseModel):
    """What became of one query: nDCG@10 with the first stage and with both, at the default depth.

    Attributes:
        documents: Those that answer it, and where they stood.
        overtaken_by: Names of documents that came to stand above the first answer.
    """

    id: str
    text: str
    first: float
    both: float
    documents: list[Moved]
    overtaken_by: list[str] = Field(default_factory=list)

    @property
    def difference(self) -> float:
        """What the second stage gave or took."""
        return self.both - self.first


class Conclusion(BaseModel):
    """The verdict: a word for programs and a sentence for people."""

    kind: Kind
    sentence: str


class Server(BaseModel):
    """What answered, and how it combines scores where a request leaves it open."""

    url: str
    version: str
    embedder: str
    reranker: str | None
    first_stage: str
    score: str


class Report(BaseModel):
    """Everything that was found.

    Attributes:
        synthetic: How the queries were made, where no person asked them.
        rows: Ways to search, the first stage among them.
        stages: Latency of each step, by name.
        replayed: Answers whose order is the one that was computed from another answer's scores,
            of so many that were compared.
    """

    name: str
    collection: str
    synthetic: str | None
    verdict: Conclusion
    queries: int
    judgements: int
    documents: int
    main: str = MAIN
    rows: list[Row]
    stages: dict[str, Latency]
    moves: Moves | None
    helped: list[str]
    hurt: list[str]
    per_query: list[QueryRow]
    replayed: tuple[int, int]
    notes: list[str]
    server: Server
    seed: int
    made_at: datetime

    def query(self, query_id: str) -> QueryRow:
        """One of `helped` or `hurt`."""
        return next(row for row in self.per_query if row.id == query_id)

    @property
    def first(self) -> Row:
        """The first stage alone."""
        return next(row for row in self.rows if row.stage == "first")

    @property
    def default(self) -> Row:
        """What a search gives that leaves everything open."""
        return next((row for row in self.rows if row.default), self.first)
