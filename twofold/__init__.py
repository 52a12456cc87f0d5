"""Twofold: two-stage retrieval that says what each stage did.

This package is what an application installs. It talks to a running Twofold server and pulls in
nothing heavier than httpx and pydantic, and those only with the first client that is asked for.
"""

import importlib
import typing

from twofold.errors import TwofoldError

if typing.TYPE_CHECKING:
    from twofold.async_client import AsyncClient
    from twofold.client import Client

__all__ = ["AsyncClient", "Client", "TwofoldError", "__version__"]
__version__ = "0.1.0"

_HOMES = {"AsyncClient": "twofold.async_client", "Client": "twofold.client"}


def __getattr__(name: str) -> object:
    """The clients, imported when they are first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    member = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return member


def __dir__() -> list[str]:
    return __all__
