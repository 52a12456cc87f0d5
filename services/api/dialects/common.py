"""What the bodies of all dialects share."""

from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from pipelines.tokenizing import ModelTokens
from twofold.schema import MAX_QUERY_CHARACTERS

NULL = {"type": "null"}
MAX_DOCUMENTS = 1_000
"""Texts that one request may have scored, as with Cohere."""
MAX_INPUTS = 2_048
"""Texts that one request may have embedded, as with OpenAI."""


def encodable(text: str) -> str:
    """The text with a question mark for half a surrogate pair, which JSON can carry in."""
    return text.encode("utf-8", "replace").decode("utf-8")


Text: TypeAlias = Annotated[str, AfterValidator(encodable)]
Query: TypeAlias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_QUERY_CHARACTERS),
    AfterValidator(encodable),
]
ModelName: TypeAlias = Annotated[str, Field(max_length=512, description="Any: not compared.")]
Instruction: TypeAlias = Annotated[
    str, Field(max_length=4096, description="Refused where the reranker takes none.")
]

PromptTokens: TypeAlias = Annotated[
    int,
    Field(ge=-1, description="What the model is given is cut to it; -1: the model's own limit."),
]


class Asked(BaseModel):
    """A request of somebody else's format: null is as good as absent, an unknown field an error."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: object) -> object:
        """LangChain sends null for what its user has not set."""
        if isinstance(body, dict):
            return {field: value for field, value in body.items() if value is not None}
        return body

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say of what may be absent that it may be null as well."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, field in schema["properties"].items():
            if name not in schema.get("required", ()):
                schema["properties"][name] = nullable(field)
        return schema


def nullable(schema: JsonSchemaValue) -> JsonSchemaValue:
    """The schema of a value, or of null."""
    told: JsonSchemaValue = {
        key: schema[key] for key in ("title", "description", "default") if key in schema
    }
    kinds = schema.get("anyOf") or [{key: schema[key] for key in schema if key not in told}]
    return {"anyOf": [*(kind for kind in kinds if kind != NULL), NULL], **told}


class Answered(BaseModel):
    """An answer in somebody else's format."""

    model_config = ConfigDict(protected_namespaces=())


class Usage(Answered):
    """Tokens of what was sent: a query once, each text once; what the model adds is not counted."""

    prompt_tokens: int
    total_tokens: int
    counted_by: str = Field(description="A tokenizer, or the rule of thumb in place of one.")


def only(*allowed: object, because: str) -> BeforeValidator:
    """A field that clients know and that cannot be honoured: nothing but these values passes."""

    def check(value: object) -> object:
        if value not in allowed:
            raise ValueError(f"{because}; leave it out")
        return value

    return BeforeValidator(check)


def usage_of(tokens: ModelTokens, count: int) -> Usage:
    """So many tokens, counted like this."""
    return Usage(prompt_tokens=count, total_tokens=count, counted_by=tokens.counted_by)


Priority: TypeAlias = Annotated[
    Literal[0] | None,
    only(None, 0, because="requests have no priorities here"),
    Field(description="0, or absent."),
]
