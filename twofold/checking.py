"""A model of what a caller said, or the one sentence that says what is wrong with it."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from twofold.errors import InvalidRequest

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: object) -> Model:
    """The values as a model.

    Raises:
        InvalidRequest: The first thing that is wrong, by the name of its field.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"] if step != "") or model.__name__
        raise InvalidRequest(field=where, reason=first["msg"]) from None
