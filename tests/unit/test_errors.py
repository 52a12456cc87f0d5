"""The error tree: every class survives the wire, and the page that draws it is complete."""

import inspect
import string

import pytest

from twofold import errors
from twofold.errors import ParseError, TwofoldError, from_body


def tree(root: type[TwofoldError]) -> list[type[TwofoldError]]:
    return [root, *(each for child in root.__subclasses__() for each in tree(child))]


EVERY = tree(TwofoldError)
ON_THE_WIRE = [kind for kind in EVERY if kind is not ParseError]


def example(kind: type[TwofoldError]) -> TwofoldError:
    fields = {name for _, name, _, _ in string.Formatter().parse(kind.template) if name}
    return kind(request_id="r1", **dict.fromkeys(fields, "x"))


def body(error: TwofoldError) -> dict[str, errors.Detail]:
    return {
        "code": error.code,
        "message": error.message,
        "details": error.details,
        "request_id": error.request_id,
    }


@pytest.mark.parametrize("kind", ON_THE_WIRE)
def test_an_error_arrives_as_the_class_that_was_raised(kind):
    raised = example(kind)
    arrived = from_body(body(raised), retry_after=2.5)

    assert type(arrived) is kind
    assert (arrived.message, arrived.details) == (raised.message, raised.details)
    assert (arrived.request_id, arrived.retry_after) == ("r1", 2.5)
    assert str(arrived) == raised.message


def test_each_class_has_a_code_of_its_own():
    codes = [kind.code for kind in EVERY]
    assert len(set(codes)) == len(codes)


def test_the_page_on_top_of_the_module_draws_every_class():
    drawn = inspect.getdoc(errors) or ""
    assert [kind.__name__ for kind in EVERY if kind.__name__ not in drawn] == []


def test_a_code_from_a_newer_server_is_still_an_error_of_ours():
    arrived = from_body({"code": "from_the_future", "message": "Try tomorrow."})
    assert type(arrived) is TwofoldError
    assert str(arrived) == "Try tomorrow."


def test_details_may_have_any_name():
    details: dict[str, errors.Detail] = {"message": 1, "request_id": 2, "retry_after": 3, "self": 4}
    arrived = from_body({"code": "not_found", "message": "Gone.", "details": details})
    assert arrived.details == details
    assert (arrived.message, arrived.request_id, arrived.retry_after) == ("Gone.", None, None)


def test_the_sentence_names_the_fields_that_the_error_carries():
    error = errors.DocumentNotFound(document_id="d/1", collection="manuals")
    assert "'d/1'" in str(error)
    assert "'manuals'" in str(error)
