"""`twofold collections`: make, list, show, instruct, rebuild and remove collections."""

from typing import Annotated, Any

import typer

from twofold.client import Client
from twofold.completing import collection_names
from twofold.errors import InvalidRequest
from twofold.options import AsJson, print_json
from twofold.progress import bars
from twofold.render import plain
from twofold.schema import CollectionInfo, CollectionList, Rebuild
from twofold.tables import collection_table, collections_table

app = typer.Typer(
    help="Make, list, show, rebuild and remove collections.",
    no_args_is_help=True,
)

NewName = Annotated[str, typer.Argument(help="Of the collection.", show_default=False)]
Name = Annotated[
    str,
    typer.Argument(help="Of the collection.", show_default=False, autocompletion=collection_names),
]
Embedder = Annotated[
    str | None,
    typer.Option(help="One of the server's models, by name.", show_default=False),
]
Dimensions = Annotated[
    int | None, typer.Option(help="Of the vectors, where the model has fewer.", show_default=False)
]
ChunkTokens = Annotated[
    int | None, typer.Option(help="Longest passage, in tokens.", show_default=False)
]
Language = Annotated[
    str | None, typer.Option(help="Of the texts, such as german.", show_default=False)
]
QueryInstruction = Annotated[
    str | None, typer.Option(help="For the embedding of queries.", show_default=False)
]
RerankInstruction = Annotated[
    str | None, typer.Option(help="For the reranker.", show_default=False)
]


@app.command()
def create(
    context: typer.Context,
    name: NewName,
    embedder: Embedder = None,
    dimensions: Dimensions = None,
    chunk_tokens: ChunkTokens = None,
    language: Language = None,
    query_instruction: QueryInstruction = None,
    rerank_instruction: RerankInstruction = None,
    as_json: AsJson = False,
) -> None:
    """Make an empty collection; what is not said is as the server is set to."""
    settings = _said(
        embedder=embedder,
        dimensions=dimensions,
        chunk_tokens=chunk_tokens,
        language=language,
        query_instruction=query_instruction,
        rerank_instruction=rerank_instruction,
    )
    with context.obj.client() as client:
        _show(context, client.create_collection(name, **settings), as_json=as_json)


@app.command("list")
def list_collections(context: typer.Context, as_json: AsJson = False) -> None:
    """List the collections with what they hold."""
    with context.obj.client() as client:
        found = client.collections()
    if as_json:
        print_json(CollectionList(collections=found))
    else:
        context.obj.show(collections_table(found) if found else "No collections.")


@app.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show what a collection is made with, what it holds, and how far its rebuild is."""
    with context.obj.client() as client:
        _show(context, client.collection(name), as_json=as_json)


@app.command()
def instruct(
    context: typer.Context,
    name: Name,
    query: Annotated[
        str | None, typer.Option(help="For the embedding of queries; '' takes it away.")
    ] = None,
    rerank: Annotated[str | None, typer.Option(help="For the reranker; '' takes it away.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set the instructions of searches that bring none."""
    if query is None and rerank is None:
        raise InvalidRequest(field="instruct", reason="say --query TEXT, --rerank TEXT or both")
    said = _said(query_instruction=query, rerank_instruction=rerank)
    instructions = {name: text or None for name, text in said.items()}
    with context.obj.client() as client:
        _show(context, client.change_collection(name, **instructions), as_json=as_json)


@app.command()
def delete(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a collection with all its documents, for good."""
    with context.obj.client() as client:
        there = client.collection(name)
        count = sum(there.documents.values())
        if not yes and not typer.confirm(
            f"Remove '{name}' with its {count:,} documents?", err=True
        ):
            raise typer.Exit(1)
        was = client.delete_collection(name)
    if as_json:
        print_json(was)
    else:
        context.obj.show(f"Deleted '{was.name}' with {count:,} documents.")


@app.command()
def rebuild(
    context: typer.Context,
    name: Name,
    embedder: Embedder = None,
    dimensions: Dimensions = None,
    chunk_tokens: ChunkTokens = None,
    language: Language = None,
    query: Annotated[
        list[str], typer.Option(help="To compare the old and the new by; repeatable.")
    ] = [],  # noqa: B006 - typer reads it once
    manual: Annotated[
        bool, typer.Option("--manual", help="Do not switch before `--switch` says so.")
    ] = False,
    switch: Annotated[bool, typer.Option("--switch", help="Switch one that waits.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give it up.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 86_400.0,
    as_json: AsJson = False,
) -> None:
    """Make all passages anew beside the old ones; searches and uploads go on meanwhile.

    Interrupted while it waits, the command ends and the rebuild goes on; given again, it shows
    how far that is.
    """
    if switch and cancel:
        raise InvalidRequest(field="rebuild", reason="--switch and --cancel exclude each other")
    settings = _said(
        embedder=embedder,
        dimensions=dimensions,
        chunk_tokens=chunk_tokens,
        language=language,
        switch="manual" if manual else None,
        queries=[{"query": each} for each in query] or None,
    )
    with context.obj.client() as client:
        if cancel:
            collection = client.cancel_rebuild(name)
        elif switch:
            collection = client.switch_rebuild(name)
        else:
            collection = client.rebuild_collection(name, **settings)
        if wait and not cancel:
            collection = follow(context, client, name, timeout, quiet=as_json)
    _show(context, collection, as_json=as_json)
    state = collection.rebuild.state if collection.rebuild else "done"
    raise typer.Exit(0 if state == "done" or not wait or (manual and state == "waiting") else 1)


def follow(
    context: typer.Context, client: Client, name: str, timeout: float, *, quiet: bool
) -> CollectionInfo:
    """Show a bar until the rebuild ends, waits for somebody, or the time is up."""
    with bars(context.obj.err, quiet=quiet) as progress:
        task = progress.add_task(name, total=None)
        for collection in client.rebuild_progress(name, timeout=timeout):
            if (rebuild := collection.rebuild) is not None:
                progress.update(
                    task,
                    description=_description(name, rebuild),
                    total=rebuild.total,
                    completed=rebuild.done,
                )
    return collection


def _description(name: str, rebuild: Rebuild) -> str:
    failed = f", {rebuild.failed:,} failed" if rebuild.failed else ""
    return f"{rebuild.state} {plain(name)}{failed}"


def _show(context: typer.Context, collection: CollectionInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(collection)
    else:
        context.obj.show(collection_table(collection))


def _said(**options: object) -> dict[str, Any]:
    """The options that were given; the client checks them."""
    return {name: value for name, value in options.items() if value is not None}
