"""Twofold: two-stage retrieval that says what each stage did.

This package is what an application installs. It talks to a running Twofold server and pulls in
nothing heavier than httpx and pydantic.
"""

from twofold.client import AsyncClient, Client
from twofold.errors import TwofoldError

__all__ = ["AsyncClient", "Client", "TwofoldError", "__version__"]
__version__ = "0.1.0"
