"""API keys for tests."""

from pathlib import Path

from twofold.apikeys import KeyFile
from twofold.schema import ApiScope

ALL: tuple[ApiScope, ...] = ("read", "write", "admin")


def make_key(path: Path, tenant: str = "local", *scopes: ApiScope) -> dict[str, str]:
    """The header that carries a new key of the file; with every scope if none is named."""
    made = KeyFile(path).create(name=f"{tenant}'s", tenant=tenant, scopes=scopes or ALL)
    return {"Authorization": f"Bearer {made.key}"}
