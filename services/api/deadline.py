"""How long a caller waits, for formats whose bodies have no place for it."""

from typing import Annotated, TypeAlias

from fastapi import Header

DEFAULT_MS = 30_000
"""What FastGPT waits for a reranker; others wait longer."""

DeadlineMs: TypeAlias = Annotated[
    int,
    Header(
        alias="X-Deadline-Ms",
        ge=1,
        le=120_000,
        description="Milliseconds by which the answer comes, whole or as an error.",
    ),
]
