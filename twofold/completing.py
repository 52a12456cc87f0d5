"""What the shell offers where a command wants a name: asked of the server, if that answers soon."""

from contextlib import suppress

import typer

from twofold.client import Client
from twofold.errors import TwofoldError

PATIENCE_S = 0.5
"""For the connection, and as long for the answer: somebody has pressed Tab and waits."""


def collection_names(context: typer.Context, incomplete: str) -> list[str]:
    """Collections whose names begin so; none where the server is away, or refuses."""
    root = context.find_root()
    with suppress(TwofoldError):
        url = context.params.get("url") or root.params.get("url")
        transport = root.obj.transport
        with Client(url, timeout=PATIENCE_S, retries=0, transport=transport) as client:
            names = [each.name for each in client.collections()]
        return [name for name in names if name.startswith(incomplete)]
    return []
