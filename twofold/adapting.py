"""What the adapters for frameworks share: filters and documents in, metadata of passages out."""

import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias, cast

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from twofold.calls import SearchOptions
from twofold.errors import InvalidRequest
from twofold.schema import Condition, DocumentText, Filter, Metadata, Result, SearchResponse

GivenFilter: TypeAlias = Filter | Mapping[str, object]
"""A tree of conditions as an object or as JSON, or what metadata must equal: `{"year": 2026}`."""

PREFIX = "twofold."
"""Before what Twofold says of a passage, where the document's own metadata has that key."""

_FILTER = TypeAdapter[Filter](Filter)
_OPERATORS = {field.alias or name for name, field in Condition.model_fields.items()} - {"key"}


def filter_json(given: GivenFilter | None) -> dict[str, JsonValue] | None:
    """A filter as it goes over the wire; None when nothing is asked of the metadata.

    A plain dict says what metadata must equal; a list there stands for any of its values. It is
    taken for a tree when it has `and`, `or` or `not` over conditions, or `key` and an operator.

    Raises:
        InvalidRequest: It is not a filter.
    """
    if given is None or given == {}:
        return None
    tree = _equalities(given) if isinstance(given, Mapping) and not _is_tree(given) else given
    try:
        valid = _FILTER.validate_python(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"] if step)
        raise InvalidRequest(field=f"filter.{where}", reason=first["msg"]) from None
    filled: dict[str, JsonValue] = _FILTER.dump_python(
        valid, mode="json", by_alias=True, exclude_none=True
    )
    return filled


def search_options(given: Mapping[str, object]) -> SearchOptions:
    """The options of a search from the fields of an adapter; None is as good as absent.

    Args:
        given: Fields of `SearchRequest`, and `instruction`, which is of both stages unless
            `recall` or `rerank` have their own.
    """
    options = {key: value for key, value in given.items() if value is not None}
    instruction = options.pop("instruction", None)
    for stage in ("recall", "rerank"):
        own = _plain(options.pop(stage, {}))
        asked = own if instruction is None else {"instruction": instruction, **own}
        if asked:
            options[stage] = asked
    if (tree := filter_json(cast("GivenFilter | None", options.pop("filter", None)))) is not None:
        options["filter"] = tree
    return cast("SearchOptions", options)


def _plain(part: object) -> dict[str, object]:
    if isinstance(part, BaseModel):
        return part.model_dump(exclude_unset=True)
    return dict(cast("Mapping[str, object]", part))


def _is_tree(given: Mapping[str, object]) -> bool:
    if "key" in given and given.keys() & _OPERATORS:
        return True
    return any(isinstance(given.get(kind), list | Mapping) for kind in ("and", "or", "not"))


def _equalities(given: Mapping[str, object]) -> dict[str, object]:
    for key, value in given.items():
        if value is None:
            raise InvalidRequest(
                field=f"filter.{key}",
                reason=f'nothing equals null; write {{"key": "{key}", "exists": false}}',
            )
    conditions = [
        {"key": key, ("in" if isinstance(value, list | tuple | set) else "eq"): value}
        for key, value in given.items()
    ]
    return {"and": conditions}


def passages(response: SearchResponse) -> list[Result]:
    """The passages of an answer in order; those that were grouped come after the best of them."""
    return [each for result in response.results for each in (result, *result.more)]


def citation(result: Result, response: SearchResponse) -> dict[str, JsonValue]:
    """What Twofold says of a passage beside its text, as flat as metadata is in frameworks.

    Always there: `source` (the document's name), `document_id`, `chunk_id`, `start`, `end`,
    `rank`, `recall_rank`, `score`, `scores` and `rerank_status`. Where there is something to say:
    `title`, `page`, `headings`, `lead`, `truncated`, `highlights`, `before`, `after`,
    `explanation`.
    """
    return {
        "source": result.name,
        **result.model_dump(
            mode="json",
            exclude={"name", "text", "metadata", "scores", "more"},
            exclude_defaults=True,
        ),
        "scores": result.scores.model_dump(),
        "rerank_status": response.rerank.status,
    }


def merged(own: Metadata, cited: Mapping[str, JsonValue]) -> dict[str, object]:
    """The document's own metadata as it was given, and beside it what Twofold says.

    Where both have a key and differ, it is the document's, and Twofold's has the prefix.
    """
    beside = {
        f"{PREFIX}{key}" if key in own else key: value
        for key, value in cited.items()
        if key not in own or own[key] != value
    }
    return {**beside, **own}


def document_text(
    place: int, text: str, metadata: Mapping[str, object], *, id_: str | None, name: str | None
) -> DocumentText:
    """A document of a framework as one to upload.

    Args:
        place: Of the document among those that are added together, for the error.
        text: What is searched and divided into passages.
        metadata: Flat, and stored with every passage.
        id_: Without one, an id is made from text and metadata: the same again changes nothing.
        name: What results call it; the id where there is none.

    Raises:
        InvalidRequest: It holds something that Twofold does not store, such as nested metadata.
    """
    id_ = id_ or _digest(text, metadata)
    try:
        return DocumentText.model_validate(
            {"id": id_, "name": name or id_, "text": text, "metadata": dict(metadata)}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"][:2] if step != "[key]")
        reason = first["msg"]
        if len(first["loc"]) > 1:  # a key or a value of the metadata
            reason = (
                "metadata is text, numbers, truth values, or a list of one of them, under keys of "
                "letters, digits and '_.-'; flatten it or leave it out"
            )
        raise InvalidRequest(field=f"documents.{place}.{where}", reason=reason) from None


def _digest(text: str, metadata: Mapping[str, object]) -> str:
    told = json.dumps([text, dict(metadata)], sort_keys=True, default=repr)
    return hashlib.sha256(told.encode()).hexdigest()[:32]
