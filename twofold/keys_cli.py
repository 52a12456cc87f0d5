"""`twofold keys`: make, list and revoke API keys, in a file or through a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

import typer

from twofold.apikeys import KeyFile, public
from twofold.checking import checked
from twofold.client import Client
from twofold.errors import InvalidRequest
from twofold.options import AsJson, print_json
from twofold.schema import ApiKey, CreateKey, KeyList, NewApiKey, TenantName
from twofold.tables import keys_table

app = typer.Typer(
    help="Make, list and revoke API keys: with --file in the file that a server's "
    "TWOFOLD_API_KEYS_FILE names, for any tenant; without, through the server, for your own "
    "tenant, with a key that has the scope admin. A server sees a change within a second.",
    no_args_is_help=True,
)

File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        envvar="TWOFOLD_API_KEYS_FILE",
        help="Where the keys are; default: the server is asked.",
        show_default=False,
    ),
]
Tenant = Annotated[str | None, typer.Option(help="Only keys of this one.", show_default=False)]


class _Wanted(CreateKey):
    """What `POST /keys` takes, and the tenant, which only the operator chooses."""

    tenant: TenantName


class Keys(Protocol):
    """Where keys are made, listed and revoked."""

    def create(self, wanted: _Wanted) -> NewApiKey: ...
    def every(self) -> list[ApiKey]: ...
    def revoke(self, key_id: str) -> ApiKey: ...


class _InFile:
    """The keys of all tenants."""

    def __init__(self, path: Path) -> None:
        self._file = KeyFile(path)

    def create(self, wanted: _Wanted) -> NewApiKey:
        return self._file.create(
            name=wanted.name,
            tenant=wanted.tenant,
            scopes=wanted.scopes,
            expires_at=wanted.expires_at(datetime.now(UTC)),
        )

    def every(self) -> list[ApiKey]:
        return [public(key) for key in self._file.read()]

    def revoke(self, key_id: str) -> ApiKey:
        return self._file.revoke(key_id)


class _AtServer:
    """The keys of the tenant whose key asks."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, wanted: _Wanted) -> NewApiKey:
        return self._client.create_key(
            wanted.name, scopes=wanted.scopes, expires_in_days=wanted.expires_in_days
        )

    def every(self) -> list[ApiKey]:
        return self._client.keys()

    def revoke(self, key_id: str) -> ApiKey:
        return self._client.revoke_key(key_id)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What it is for.", show_default=False)],
    file: File = None,
    tenant: Annotated[
        str | None,
        typer.Option(help="Whose documents it reaches, with --file; default: local."),
    ] = None,
    scope: Annotated[
        list[str], typer.Option("--scope", help="read, write or admin; repeatable.")
    ] = ["read", "write"],  # noqa: B006 - typer reads it once
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, max=3_650, help="Default: never.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: the only time that it can be seen. The file is made if need be.

    `local` is the tenant of a server without keys, so that its documents stay within reach.
    """
    if tenant is not None and file is None:
        raise InvalidRequest(
            field="--tenant", reason="a server makes keys of your own tenant alone; name a --file"
        )
    wanted = checked(
        _Wanted,
        {
            "name": name,
            "tenant": "local" if tenant is None else tenant,
            "scopes": scope,
            "expires_in_days": expires_in_days,
        },
    )
    with _keys(context, file) as keys:
        made = keys.create(wanted)
    if as_json:
        print_json(made)
        return
    context.obj.remark(
        f"Key {made.id} of tenant '{made.tenant}' may {', '.join(made.scopes)}. "
        "Keep it now; it cannot be shown again:"
    )
    typer.echo(made.key)


@app.command("list")
def list_keys(
    context: typer.Context, file: File = None, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """List the keys, without what is secret."""
    with _keys(context, file) as keys:
        found = KeyList(keys=[key for key in keys.every() if tenant in (None, key.tenant)])
    if as_json:
        print_json(found)
    else:
        context.obj.show(keys_table(found, datetime.now(UTC)) if found.keys else "No keys.")


@app.command()
def revoke(
    context: typer.Context,
    key_ids: Annotated[list[str], typer.Argument(metavar="ID...", show_default=False)],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Revoke keys, by id."""
    revoked: list[ApiKey] = []
    with _keys(context, file) as keys:
        for key_id in key_ids:
            key = keys.revoke(key_id)
            revoked.append(key)
            if not as_json:
                context.obj.show(f"Revoked {key.id} ('{key.name}', tenant '{key.tenant}').")
    if as_json:
        print_json(KeyList(keys=revoked))


@contextmanager
def _keys(context: typer.Context, file: Path | None) -> Iterator[Keys]:
    if file is not None:
        yield _InFile(file)
        return
    with context.obj.client() as client:
        yield _AtServer(client)
