"""`twofold keys`: make, list and revoke the API keys in a file, for whoever runs the server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from twofold.apikeys import KeyFile, public
from twofold.checking import checked
from twofold.schema import CreateKey, KeyList, TenantName
from twofold.tables import keys_table

app = typer.Typer(
    help="Make, list and revoke API keys, in the file that TWOFOLD_API_KEYS_FILE of a server "
    "names. A running server sees a change within a second.",
    no_args_is_help=True,
)

File = Annotated[
    Path,
    typer.Option(
        "--file", envvar="TWOFOLD_API_KEYS_FILE", help="Where the keys are.", show_default=False
    ),
]
Tenant = Annotated[str | None, typer.Option(help="Only keys of this one.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class _Wanted(CreateKey):
    """What `POST /keys` takes, and the tenant, which only the operator chooses."""

    tenant: TenantName


@app.command()
def create(
    context: typer.Context,
    file: File,
    name: Annotated[str, typer.Option(help="What it is for.", show_default=False)],
    tenant: Annotated[str, typer.Option(help="Whose documents it reaches.")] = "local",
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
    wanted = checked(
        _Wanted,
        {"name": name, "tenant": tenant, "scopes": scope, "expires_in_days": expires_in_days},
    )
    made = KeyFile(file).create(
        name=wanted.name,
        tenant=wanted.tenant,
        scopes=wanted.scopes,
        expires_at=wanted.expires_at(datetime.now(UTC)),
    )
    if as_json:
        typer.echo(made.model_dump_json(indent=2))
        return
    context.obj.err.print(
        f"Key {made.id} of tenant '{made.tenant}' may {', '.join(made.scopes)}. "
        "Keep it now; it cannot be shown again:",
        style="dim",
    )
    typer.echo(made.key)


@app.command("list")
def list_keys(
    context: typer.Context, file: File, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """List the keys, without what is secret."""
    keys = KeyList(
        keys=[public(key) for key in KeyFile(file).read() if tenant in (None, key.tenant)]
    )
    if as_json:
        typer.echo(keys.model_dump_json(indent=2))
    else:
        context.obj.show(keys_table(keys, datetime.now(UTC)) if keys.keys else "No keys.")


@app.command()
def revoke(
    context: typer.Context,
    key_ids: Annotated[list[str], typer.Argument(metavar="ID...", show_default=False)],
    file: File,
) -> None:
    """Revoke keys, by id."""
    for key_id in key_ids:
        key = KeyFile(file).revoke(key_id)
        context.obj.show(f"Revoked {key.id} ('{key.name}', tenant '{key.tenant}').")
