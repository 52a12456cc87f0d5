"""`/v1/score` and `/score`: scores of pairs in the order of the request, as vLLM gives them."""

import time

from fastapi import APIRouter, Request

from services.api.described import MODEL, fails
from services.api.dialects.common import usage_of
from services.api.dialects.scoring import PairScore, ScoredPairs, ScorePairs
from services.api.parts import Parts
from services.api.scoring import Room, Scoring

router = APIRouter(tags=["models"])


@router.post("/score", include_in_schema=False)
@router.post(
    "/v1/score",
    operation_id="score",
    summary="Score pairs, as vLLM does",
    responses=fails(*MODEL),
)
async def score(body: ScorePairs, parts: Parts, scoring: Scoring, request: Request) -> ScoredPairs:
    """Score one query with many texts, or as many pairs as there are; also at `/score`."""
    room = Room(prompt=body.truncate_prompt_tokens)
    scored = await scoring.score_pairs(body.pairs, instruction=body.instruction, room=room)
    return ScoredPairs(
        id=request.state.request_id,
        created=int(time.time()),
        model=str(parts.reranker.model),
        data=[
            PairScore(
                index=index, score=scored.score(index), truncated=bool(scored.truncated[index])
            )
            for index in range(len(body.pairs))
        ],
        usage=usage_of(parts.rerank_tokens, scored.tokens),
    )
