"""Bodies of the dialects that score: Cohere, Jina and vLLM, text-embeddings-inference."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    AliasChoices,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from services.api.dialects.common import (
    MAX_DOCUMENTS,
    Answered,
    Asked,
    Instruction,
    ModelName,
    Priority,
    PromptTokens,
    Query,
    Text,
    Usage,
    only,
)
from twofold.schema import with_examples

TopN: TypeAlias = Annotated[int, Field(ge=0, description="Best so many; 0 or absent: all.")]
TokensPerDocument: TypeAlias = Annotated[
    int, Field(ge=1, description="Of each document only the first so many tokens are read.")
]
Texts: TypeAlias = Annotated[list[Text], Field(min_length=1, max_length=MAX_DOCUMENTS)]


class TextDocument(Asked):
    """A document as an object; other fields have no meaning to a reranker of texts."""

    text: Text


Documents: TypeAlias = Annotated[
    list[Text | TextDocument], Field(min_length=1, max_length=MAX_DOCUMENTS)
]


def texts_of(documents: list[str | TextDocument]) -> list[str]:
    """The documents as plain texts."""
    return [each if isinstance(each, str) else each.text for each in documents]


# --- Cohere ---------------------------------------------------------------------------------


class CohereRerank(Asked):
    """Body of `POST /v2/rerank`."""

    model_config = with_examples(
        {
            "model": "any",
            "query": "how hot is the oven?",
            "documents": ["Rye is a cereal.", "The oven is at 250 degrees."],
            "top_n": 1,
        }
    )

    model: ModelName | None = None
    query: Query
    documents: Texts
    top_n: TopN | None = None
    max_tokens_per_doc: TokensPerDocument = 4_096
    priority: Priority = None


class CohereResult(Answered):
    """A document by its place in the request."""

    index: int
    relevance_score: float


class ApiVersion(Answered):
    """Whose format it is."""

    version: str


class BilledUnits(Answered):
    """Nobody is billed; counted as Cohere counts, a unit for each 100 documents."""

    search_units: int


class CohereTokens(Answered):
    """Tokens of query and documents; a reranker writes none."""

    input_tokens: int
    output_tokens: int = 0


class CohereMeta(Answered):
    """What Cohere's clients read beside the results."""

    api_version: ApiVersion
    billed_units: BilledUnits
    tokens: CohereTokens
    warnings: list[str] | None = Field(
        default=None, description="What was cut, and how tokens were counted if by a rule of thumb."
    )


class CohereReranked(Answered):
    """Answer of `POST /v2/rerank`, best first."""

    id: str
    results: list[CohereResult]
    meta: CohereMeta


# --- Jina and vLLM --------------------------------------------------------------------------


class JinaRerank(Asked):
    """Body of `POST /v1/rerank` and `/rerank`: of Jina, of vLLM, and of Cohere's version 1."""

    model_config = with_examples(
        {
            "query": "how hot is the oven?",
            "documents": ["Rye is a cereal.", {"text": "The oven is at 250 degrees."}],
            "return_documents": False,
        }
    )

    model: ModelName | None = None
    query: Query
    documents: Documents
    top_n: TopN | None = None
    return_documents: bool = True
    instruction: Instruction | None = None
    max_tokens_per_doc: TokensPerDocument | None = None
    truncate_prompt_tokens: PromptTokens | None = None
    truncation_side: Literal["left", "right"] = "right"
    user: str | None = None
    priority: Priority = None
    rank_fields: Annotated[
        None, only(None, because="a document is one text here, without fields to rank by")
    ] = None
    max_chunks_per_doc: Annotated[
        None, only(None, because="documents are not divided here, max_tokens_per_doc cuts them")
    ] = None


class JinaResult(Answered):
    """A document with its score; `truncated` when the model saw a part of it only."""

    index: int
    relevance_score: float
    document: TextDocument | None = None
    truncated: bool


class JinaReranked(Answered):
    """Answer of `POST /v1/rerank`, best first; `meta` is for readers of Cohere's version 1."""

    id: str
    model: str
    usage: Usage
    results: list[JinaResult]
    meta: CohereMeta


# --- text-embeddings-inference --------------------------------------------------------------


class TeiRerank(Asked):
    """Body of `POST /rerank` with `texts` in place of `documents`."""

    model_config = with_examples(
        {"query": "how hot is the oven?", "texts": ["Rye is a cereal.", "250 degrees."]}
    )

    query: Query
    texts: Texts
    truncate: bool = Field(
        default=True, description="False: refuse with 413 if the model would see a part only."
    )
    truncation_direction: Annotated[
        Literal["Right", "right"],
        only("Right", "right", because="rerankers cut a text at its end, on the right"),
    ] = "Right"
    raw_scores: Annotated[
        Literal[False], only(False, because="there are no other scores than those in the answer")
    ] = False
    return_text: bool = False


class TeiRank(Answered):
    """A text by its place in the request."""

    index: int
    score: float
    text: str | None = None


def _form(body: object) -> str:
    """Both formats have the path `/rerank`; the field of the texts tells them apart."""
    if isinstance(body, TeiRerank) or (isinstance(body, dict) and "texts" in body):
        return "form with texts"
    return "form with documents"


AnyRerank: TypeAlias = Annotated[
    Annotated[TeiRerank, Tag("form with texts")]
    | Annotated[JinaRerank, Tag("form with documents")],
    Discriminator(_form),
]


# --- Scores of pairs ------------------------------------------------------------------------

OneOrMore: TypeAlias = Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_DOCUMENTS)]


SIDE_1 = ("data_1", "text_1", "queries")
SIDE_2 = ("data_2", "text_2", "documents")


class ScorePairs(Asked):
    """Body of `POST /v1/score`: one side and the other, one and many or equally many.

    vLLM calls the sides `data_1` and `data_2`, `text_1` and `text_2`, or `queries` and
    `documents`; the first of them holds the queries.
    """

    model_config = with_examples(
        {"text_1": "how hot is the oven", "text_2": ["250 degrees.", "Rye is a cereal."]},
        {"queries": ["how hot", "which grain"], "documents": ["250 degrees.", "Rye."]},
    )

    model: ModelName | None = None
    data_1: OneOrMore = Field(validation_alias=AliasChoices(*SIDE_1))
    data_2: OneOrMore = Field(validation_alias=AliasChoices(*SIDE_2))
    instruction: Instruction | None = None
    truncate_prompt_tokens: PromptTokens | None = None
    user: str | None = None
    priority: Priority = None

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say that each side may have any of its names."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        schema.pop("required")
        named = []
        for names in (SIDE_1, SIDE_2):
            for name in names:
                schema["properties"][name] = schema["properties"][names[0]]
            named.append({"oneOf": [{"required": [name]} for name in names]})
        return schema | {"allOf": named}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Query and passage of each pair; one query stands for as many as there are passages."""
        queries, passages = map(listed, (self.data_1, self.data_2))
        if len(queries) == 1:
            queries *= len(passages)
        return list(zip(queries, passages, strict=True))

    @model_validator(mode="after")
    def _match(self) -> Self:
        queries, passages = map(listed, (self.data_1, self.data_2))
        if len(queries) not in (1, len(passages)):
            raise ValueError(
                f"{len(queries)} and {len(passages)} texts make no pairs: send one and many, or "
                "equally many"
            )
        if not all(queries):
            raise ValueError("a query is empty")
        return self


def listed(side: OneOrMore) -> list[str]:
    """One text as a list of one."""
    return [side] if isinstance(side, str) else side


class PairScore(Answered):
    """The score of a pair by its place in the request."""

    index: int
    object: Literal["score"] = "score"
    score: float
    truncated: bool


class ScoredPairs(Answered):
    """Answer of `POST /v1/score`, in the order of the request."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[PairScore]
    usage: Usage
