"""Bodies of the dialects that embed: OpenAI, and text-embeddings-inference."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from pipelines.ports import TextKind
from services.api.dialects.common import (
    MAX_INPUTS,
    Answered,
    Asked,
    ModelName,
    PromptTokens,
    Text,
    Usage,
    only,
)
from twofold.schema import with_examples

KINDS: dict[str, TextKind] = {
    "query": "query",
    "search_query": "query",
    "passage": "passage",
    "document": "passage",
    "search_document": "passage",
}
"""What the makers of embedding models call the two verbs."""

KindName: TypeAlias = Literal["query", "search_query", "passage", "document", "search_document"]


def _no_tokens(value: object) -> object:
    """Token ids would be read in another vocabulary than they were written in, without a sign."""
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, int | list) and not isinstance(first, bool):
        raise ValueError(  # noqa: TRY004 - what pydantic takes for a wrong value
            "token ids mean something in their own vocabulary only, and a request does not name "
            "it; send texts (with LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False)"
        )
    return value


Inputs: TypeAlias = Annotated[
    Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)],
    BeforeValidator(_no_tokens),
]
Dimensions: TypeAlias = Annotated[
    int, Field(ge=1, description="Shorter vectors, of models that were trained for it (MRL).")
]


# --- OpenAI ---------------------------------------------------------------------------------


class OpenAiEmbed(Asked):
    """Body of `POST /v1/embeddings`.

    OpenAI's format knows no queries; texts are embedded as passages unless `input_type` (or
    `prompt_name`) says `query`.
    """

    model_config = with_examples(
        {"input": ["Rye is a cereal.", "The oven is at 250 degrees."], "model": "any"},
        {"input": "how hot is the oven?", "input_type": "query", "encoding_format": "base64"},
    )

    input: Inputs
    model: ModelName | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Dimensions | None = None
    user: str | None = None
    input_type: KindName | None = None
    prompt_name: KindName | None = None
    truncate_prompt_tokens: PromptTokens | None = None

    @property
    def kind(self) -> TextKind:
        """Which of the two verbs reads the texts."""
        return KINDS[self.input_type or self.prompt_name or "passage"]

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len({KINDS[each] for each in (self.input_type, self.prompt_name) if each}) > 1:
            raise ValueError("'input_type' and 'prompt_name' say different things")
        return self


class OpenAiVector(Answered):
    """The vector of a text; base64 is of little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    truncated: bool | None = Field(
        default=None, description="The model saw a part of the text only; absent when not known."
    )


class OpenAiEmbedded(Answered):
    """Answer of `POST /v1/embeddings`, in the order of the request."""

    object: Literal["list"] = "list"
    data: list[OpenAiVector]
    model: str
    usage: Usage


# --- text-embeddings-inference --------------------------------------------------------------


class TeiEmbed(Asked):
    """Body of `POST /embed`."""

    model_config = with_examples({"inputs": ["Rye is a cereal."], "truncate": True})

    inputs: Inputs
    truncate: bool = Field(
        default=True, description="False: refuse with 413 if the model would see a part only."
    )
    truncation_direction: Literal["Right", "right", "Left", "left"] = "Right"
    prompt_name: KindName | None = None
    normalize: bool = Field(
        default=True,
        description="Vectors have unit length in any case; Haystack sends false by default.",
    )
    dimensions: Dimensions | None = None


class TeiTokenize(Asked):
    """Body of `POST /tokenize`."""

    model_config = with_examples({"inputs": ["Rye is a cereal."]})

    inputs: Inputs
    add_special_tokens: bool = True
    prompt_name: Annotated[None, only(None, because="texts are tokenised as they are")] = None


class TeiToken(Answered):
    """A token; `start` and `stop` are code points of the text, null for what the model adds."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None
