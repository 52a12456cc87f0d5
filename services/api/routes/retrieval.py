"""`/retrieval`: a collection as external knowledge of Dify."""

from fastapi import APIRouter

from services.api.deadline import DEFAULT_MS, DeadlineMs
from services.api.described import SEARCH, fails
from services.api.dialects.dify import DifyRecord, DifyRecords, DifyRetrieval
from services.api.routes.search import Search
from twofold.schema import Metadata, Result, SearchRequest

router = APIRouter(tags=["search"])


@router.post(
    "/retrieval",
    operation_id="retrieve_dify",
    summary="Search, as Dify asks for it",
    responses=fails(*SEARCH),
)
async def retrieve(
    body: DifyRetrieval,
    searches: Search,
    deadline_ms: DeadlineMs = DEFAULT_MS,
) -> DifyRecords:
    """The best passages of the collection that `knowledge_id` names, as `POST /search` finds them.

    As there, the second stage never fails the search; `rerank_status` in each record's metadata
    says what it did.
    """
    setting, conditions = body.retrieval_setting, body.metadata_condition
    search = SearchRequest(
        query=body.query,
        collection=body.knowledge_id,
        limit=setting.top_k,
        filter=conditions.as_filter() if conditions else None,
        min_score=setting.score_threshold or None,
        deadline_ms=deadline_ms,
    )
    response = await searches(search)
    status = response.rerank.status
    return DifyRecords(records=[record_of(result, status) for result in response.results])


def record_of(result: Result, rerank_status: str) -> DifyRecord:
    """A result in Dify's words; the document's own metadata wins where a key is the same."""
    source: Metadata = {
        "document_id": result.document_id,
        "chunk_id": result.chunk_id,
        "name": result.name,
        "page": result.page,
        "rerank_status": rerank_status,
    }
    known = {key: value for key, value in source.items() if value is not None}
    return DifyRecord(
        content=result.text,
        score=result.score,
        title=result.title or result.name,
        metadata=known | result.metadata,
    )
