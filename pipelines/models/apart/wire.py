"""What parent and child say to each other: pickles, over connections that only they can open."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipelines.models.select import Models
from pipelines.settings import Settings

FACTS = (
    "name",
    "dimensions",
    "min_dimensions",
    "max_tokens",
    "instructed",
    "profile",
    "tokenizer_json",
)
"""What is known of a model without asking it; see `Embedder`, `RerankModel` and their like."""

Facts = Mapping[str, Any]
"""Those of them that a model has."""


class Task(NamedTuple):
    """What the child reads first, from its standard input.

    Attributes:
        key: Whoever has it may connect.
    """

    settings: Settings
    key: bytes


class Ready(NamedTuple):
    """What the child says once all is loaded.

    Attributes:
        address: Where it listens.
        embedders: Facts of each, the default first.
        reranker: Facts of it; None where there is none.
    """

    address: str
    embedders: list[Facts]
    reranker: Facts | None


class Call(NamedTuple):
    """One call of a method of a model.

    Attributes:
        model: Number of the embedder; None is the reranker.
    """

    model: int | None
    method: str
    arguments: tuple[object, ...]
    named: Mapping[str, object]


class Failed(NamedTuple):
    """What a call has raised."""

    error: Exception


def facts_of(model: object) -> Facts:
    """What can be known of a model here, so that it need not be asked from there."""
    return {name: getattr(model, name) for name in FACTS if hasattr(model, name)}


def ready(address: str, models: Models) -> Ready:
    """What the child says of its models."""
    reranker = facts_of(models.reranker) if models.reranker else None
    return Ready(address, [facts_of(each) for each in models.embedders], reranker)
