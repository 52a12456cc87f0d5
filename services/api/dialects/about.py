"""Bodies in which model servers speak of themselves: OpenAI's list, and TEI's information."""

from typing import Literal

from pydantic import JsonValue

from services.api.dialects.common import Answered


class ServedModel(Answered):
    """A model in the list; `type` is as Together has it, who serves both kinds as well."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["twofold"] = "twofold"
    type: Literal["embedding", "rerank"]


class ServedModels(Answered):
    """Answer of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ServedModel]


class TeiInfo(Answered):
    """Answer of `GET /info`; the one key of `model_type` says which kind of model it is about."""

    model_id: str
    model_type: dict[Literal["embedding", "reranker"], dict[str, JsonValue]]
    max_input_length: int | None = None
    max_client_batch_size: int
    auto_truncate: Literal[True] = True
    version: str
