"""What routes are given: the parts of Twofold, and whose request it is."""

from typing import Annotated

from fastapi import Depends, Query, Request

from pipelines.build import Twofold
from twofold.schema import CollectionName


def parts(request: Request) -> Twofold:
    """The parts that this process serves."""
    twofold: Twofold = request.app.state.twofold
    return twofold


def tenant() -> str:
    """Whose data the request may touch. Off the loopback address nobody gets here without a key.

    Never read from the request itself: a caller cannot choose its tenant.
    """
    return "local"


Parts = Annotated[Twofold, Depends(parts)]
Tenant = Annotated[str, Depends(tenant)]
InCollection = Annotated[CollectionName, Query(description="The collection it is in.")]
