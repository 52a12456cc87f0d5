"""What routes are given: the parts of Twofold, and whose request it is.

Dependencies are `async` although none of them waits: the framework calls any other on a thread,
and a handful of such trips for each request, against threads that compute, is what a busy server
would spend its time on.
"""

from typing import Annotated

from fastapi import Depends, Query, Request

from pipelines.build import Twofold
from services.api.auth import Caller
from services.api.overload import Pace
from services.api.quotas import Quotas
from twofold.errors import Unauthenticated
from twofold.schema import CollectionName


async def parts(request: Request) -> Twofold:
    """The parts that this process serves."""
    twofold: Twofold = request.app.state.twofold
    return twofold


async def quotas(request: Request) -> Quotas:
    """What tenants may use."""
    kept: Quotas = request.app.state.quotas
    return kept


async def pace(request: Request) -> Pace:
    """How fast this process searches."""
    kept: Pace = request.app.state.pace
    return kept


async def caller(request: Request) -> Caller | None:
    """Who asks, as the gate found out; None for a stranger on a path that is open to all."""
    known: Caller | None = request.state.caller
    return known


async def tenant(who: Annotated[Caller | None, Depends(caller)]) -> str:
    """Whose data the request may touch: the key's, and nothing that the request says.

    Raises:
        Unauthenticated: A stranger, who is nobody's tenant.
    """
    if who is None:
        raise Unauthenticated
    return who.tenant


Quota = Annotated[Quotas, Depends(quotas)]
Searching = Annotated[Pace, Depends(pace)]
Parts = Annotated[Twofold, Depends(parts)]
AnyCaller = Annotated[Caller | None, Depends(caller)]
Tenant = Annotated[str, Depends(tenant)]
InCollection = Annotated[CollectionName, Query(description="The collection it is in.")]
