"""The names that applications may rely on."""

import inspect
import types

import pytest

import twofold
from twofold import AsyncClient, Client, errors


def test_the_package_exports_what_it_says_and_nothing_else():
    public = {
        name
        for name, member in vars(twofold).items()
        if not name.startswith("_") and not isinstance(member, types.ModuleType)
    }
    assert public | {"__version__"} == set(twofold.__all__)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_public_method_of_a_client_says_what_it_does(kind):
    methods = inspect.getmembers(kind, inspect.isfunction)
    silent = [
        name for name, method in methods if not name.startswith("_") and not inspect.getdoc(method)
    ]
    assert silent == []


def test_every_error_says_when_it_is_raised():
    kinds = [
        member
        for member in vars(errors).values()
        if isinstance(member, type) and issubclass(member, errors.TwofoldError)
    ]
    assert [kind.__name__ for kind in kinds if "__doc__" not in vars(kind)] == []
