"""`twofold documents`: list, show, delete, retry documents, and wait for them."""

from collections.abc import Callable
from itertools import islice
from typing import Annotated

import typer
from rich.text import Text

from twofold.client import Client
from twofold.errors import Conflict, NotFound
from twofold.options import AsJson, Collection, DocumentIds, print_json
from twofold.render import plain, printable
from twofold.schema import Document, DocumentContent, DocumentList, DocumentStatus, PassageList
from twofold.tables import document_table, documents_table, passages_table

FAILED = 1

app = typer.Typer(
    help="List, show, delete and retry documents, and wait for them.", no_args_is_help=True
)


@app.command("list")
def list_documents(
    context: typer.Context,
    collection: Collection = "default",
    status: Annotated[
        DocumentStatus | None, typer.Option("--status", "-s", help="Only those in this state.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Documents at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List documents, by state if one is named."""
    with context.obj.client() as client:
        every = client.documents(collection, status=[status] if status else ())
        found = list(islice(every, limit + 1))
    if as_json:
        print_json(DocumentList(documents=found[:limit]))
        return
    shown = documents_table(found[:limit]) if found else Text("No documents.", style="dim")
    context.obj.show(shown)
    if len(found) > limit:
        context.obj.remark(f"There are more than these {limit}; --limit shows more.")


@app.command()
def show(
    context: typer.Context,
    document_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    collection: Collection = "default",
    text: Annotated[bool, typer.Option("--text", help="The extracted text instead.")] = False,
    passages: Annotated[bool, typer.Option("--passages", help="Its passages instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is known of a document, its text, or its passages."""
    told: DocumentContent | PassageList | Document
    with context.obj.client() as client:
        if text:
            told = client.content(document_id, collection=collection)
        elif passages:
            told = client.chunks(document_id, collection=collection)
        else:
            told = client.document(document_id, collection=collection)
    if as_json:
        print_json(told)
        return
    match told:
        case DocumentContent():
            typer.echo(printable(told.text) if context.obj.out.is_terminal else told.text)
        case PassageList():
            context.obj.show(passages_table(told))
        case Document():
            context.obj.show(document_table(told))


@app.command()
def delete(
    context: typer.Context,
    document_ids: DocumentIds,
    collection: Collection = "default",
    as_json: AsJson = False,
) -> None:
    """Remove documents with all their passages."""
    _each(context, document_ids, Client.delete, "Deleted", collection, as_json=as_json)


@app.command()
def retry(
    context: typer.Context,
    document_ids: DocumentIds,
    collection: Collection = "default",
    as_json: AsJson = False,
) -> None:
    """Try documents again that have failed."""
    _each(context, document_ids, Client.retry, "Queued", collection, as_json=as_json)


@app.command()
def wait(
    context: typer.Context,
    document_ids: DocumentIds,
    collection: Collection = "default",
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Wait until documents can be searched; fails if one cannot by then."""
    with context.obj.client() as client:
        now = client.wait(document_ids, collection=collection, timeout=timeout)
    if as_json:
        print_json(DocumentList(documents=now))
    else:
        context.obj.show(documents_table(now))
    raise typer.Exit(0 if all(each.status == "ready" for each in now) else FAILED)


def _each(
    context: typer.Context,
    document_ids: list[str],
    change: Callable[..., Document],
    done: str,
    collection: str,
    *,
    as_json: bool,
) -> None:
    """Change one after the other; one that cannot be does not stop the others."""
    changed: list[Document] = []
    with context.obj.client() as client:
        for document_id in document_ids:
            try:
                document = change(client, document_id, collection=collection)
            except (NotFound, Conflict) as error:
                context.obj.complain(error)
                continue
            changed.append(document)
            if not as_json:
                context.obj.show(f"{done} {plain(document.name)} ({plain(document.id)}).")
    if as_json:
        print_json(DocumentList(documents=changed))
    raise typer.Exit(0 if len(changed) == len(document_ids) else FAILED)
