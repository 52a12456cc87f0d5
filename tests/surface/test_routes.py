"""How the API's routes are put together."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from services.api import routes


def every_route() -> Iterator[APIRoute]:
    for module in pkgutil.iter_modules(routes.__path__, f"{routes.__name__}."):
        router = getattr(importlib.import_module(module.name), "router", None)
        for route in router.routes if router else ():
            if isinstance(route, APIRoute):
                yield route


def below(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from below(each)


def test_no_dependency_makes_a_trip_to_a_thread():
    found = list(every_route())
    assert len(found) > 30
    called = {each.call for route in found for each in below(route.dependant)}
    assert called
    assert [call for call in called if not inspect.iscoroutinefunction(call)] == []
