"""Options that several commands share, and how a command prints for programs."""

from typing import Annotated, TypeAlias

import typer
from pydantic import BaseModel

from twofold.completing import collection_names

Collection: TypeAlias = Annotated[
    str,
    typer.Option("--collection", "-c", help="Collection to use.", autocompletion=collection_names),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
DocumentIds: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="ID...", help="As the list has them.", show_default=False)
]


def print_json(model: BaseModel) -> None:
    """One JSON document on standard output, and nothing else."""
    typer.echo(model.model_dump_json(indent=2))
