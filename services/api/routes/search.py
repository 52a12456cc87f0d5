"""`/search`: the question and its ranked, cited answers."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from pipelines.build import Twofold
from services.api.described import SEARCH, fails
from services.api.errors import info_of
from services.api.overload import Pace
from services.api.parts import Parts, Quota, Searching, Tenant
from services.api.quotas import Quotas
from twofold.errors import CursorExpired, RerankRequired, TwofoldError
from twofold.schema import (
    MAX_LIMIT,
    CollectionName,
    QueryText,
    Recall,
    RecallMode,
    Rerank,
    SearchAnswer,
    SearchAnswers,
    SearchBatch,
    SearchRequest,
    SearchResponse,
)

router = APIRouter(tags=["search"])


class Searches:
    """The searches of one tenant, within what it and the process can have."""

    def __init__(self, parts: Twofold, tenant: str, quota: Quotas, pace: Pace) -> None:
        self._search = parts.search
        self._tenant = tenant
        self._quota = quota
        self._pace = pace

    async def __call__(self, body: SearchRequest) -> SearchResponse:
        """Search, and charge what the model had to score: not what was remembered or kept.

        Raises:
            QuotaExceeded: The tenant may not rerank more now.
            Overloaded: The answer would come too late.
        """
        if body.cursor is not None:  # both stages are done already
            return await self._search(self._tenant, body)
        if body.rerank.enabled:
            await self._quota.admit_rerank(self._tenant)
        with self._pace.place(body.deadline_ms / 1_000):
            response = await self._search(self._tenant, body)
        await self._quota.charge_rerank(
            self._tenant, response.rerank.scored - response.rerank.cached
        )
        return response


async def searches_of(parts: Parts, tenant: Tenant, quota: Quota, pace: Searching) -> Searches:
    """The searches of whoever asks."""
    return Searches(parts, tenant, quota, pace)


Search = Annotated[Searches, Depends(searches_of)]


@router.post(
    "/search",
    operation_id="search",
    summary="Search, with every option",
    responses=fails(*SEARCH, CursorExpired, RerankRequired),
)
async def search(body: SearchRequest, searches: Search, request: Request) -> SearchResponse:
    """Recall widely, rerank the head of the list, and return the fused order.

    The second stage never fails the search: `rerank.status` says what it did.
    """
    response = await searches(body)
    return response.model_copy(update={"request_id": request.state.request_id})


@router.post("/search/batch", operation_id="search_batch", summary="Several searches at once")
async def search_batch(body: SearchBatch, searches: Search, request: Request) -> SearchAnswers:
    """Answer each search as `POST /search` would, side by side; one that fails fails alone."""

    async def answer(search: SearchRequest) -> SearchAnswer:
        try:
            return SearchAnswer(response=await searches(search))
        except TwofoldError as error:
            return SearchAnswer(error=info_of(error, request.state.request_id))

    return SearchAnswers(answers=await asyncio.gather(*map(answer, body.searches)))


@router.get(
    "/search",
    operation_id="search_by_query",
    summary="Search, from the address bar",
    responses=fails(*SEARCH),
)
async def search_by_query(
    searches: Search,
    request: Request,
    q: Annotated[
        QueryText, Query(description="The question.", examples=["how long must the dough rest?"])
    ],
    collection: CollectionName = "default",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 10,
    mode: RecallMode = "hybrid",
    rerank: Annotated[bool, Query(description="Whether the second stage runs.")] = True,
    highlight: Annotated[bool, Query(description="Where the words of the question are.")] = False,
    explain: Annotated[bool, Query(description="How each result got its rank.")] = False,
    deadline_ms: Annotated[int, Query(ge=1, le=120_000)] = 10_000,
) -> SearchResponse:
    """The same search with the options that one types by hand."""
    body = SearchRequest(
        query=q,
        collection=collection,
        limit=limit,
        recall=Recall(mode=mode),
        rerank=Rerank(enabled=rerank),
        highlight=highlight,
        explain=explain,
        deadline_ms=deadline_ms,
    )
    return await search(body, searches, request)
