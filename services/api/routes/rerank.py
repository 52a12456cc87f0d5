"""`/v2/rerank`, `/v1/rerank` and `/rerank`: the reranker in the formats of Cohere, Jina and TEI."""

from fastapi import APIRouter, Request

from pipelines.build import Twofold
from services.api.described import MODEL, fails
from services.api.dialects.common import usage_of
from services.api.dialects.scoring import (
    AnyRerank,
    ApiVersion,
    BilledUnits,
    CohereMeta,
    CohereRerank,
    CohereReranked,
    CohereResult,
    CohereTokens,
    JinaRerank,
    JinaReranked,
    JinaResult,
    TeiRank,
    TeiRerank,
    TextDocument,
    texts_of,
)
from services.api.parts import Parts
from services.api.scoring import Room, Scored, Scorer, Scoring
from twofold.errors import TextTooLong

DOCUMENTS_PER_UNIT = 100
"""Of a search unit, as Cohere counts."""

router = APIRouter(tags=["models"])


@router.post(
    "/v2/rerank",
    operation_id="rerank_cohere",
    summary="Rerank, as Cohere does",
    responses=fails(*MODEL),
    response_model_exclude_none=True,
)
async def rerank_cohere(
    body: CohereRerank, parts: Parts, scoring: Scoring, request: Request
) -> CohereReranked:
    """Score documents for a query and order them, in the format of Cohere's version 2."""
    scored = await scoring.score(
        body.query, body.documents, room=Room(document=body.max_tokens_per_doc)
    )
    return CohereReranked(
        id=request.state.request_id,
        results=[
            CohereResult(index=index, relevance_score=scored.score(index))
            for index in scored.ranked(body.top_n)
        ],
        meta=meta_of(parts, scored, version="2"),
    )


@router.post(
    "/v1/rerank",
    operation_id="rerank_jina",
    summary="Rerank, as Jina and vLLM do",
    responses=fails(*MODEL),
    response_model_exclude_none=True,
)
async def rerank_jina(
    body: JinaRerank, parts: Parts, scoring: Scoring, request: Request
) -> JinaReranked:
    """Score documents for a query and order them, in the format of Jina and vLLM.

    `instruction` reaches models that take one; with others it is refused.
    """
    texts = texts_of(body.documents)
    scored = await scoring.score(
        body.query,
        texts,
        instruction=body.instruction,
        room=Room(body.max_tokens_per_doc, body.truncate_prompt_tokens, body.truncation_side),
    )
    return JinaReranked(
        id=request.state.request_id,
        model=str(parts.reranker.model),
        usage=usage_of(parts.rerank_tokens, scored.tokens),
        results=[
            JinaResult(
                index=index,
                relevance_score=scored.score(index),
                document=TextDocument(text=texts[index]) if body.return_documents else None,
                truncated=bool(scored.truncated[index]),
            )
            for index in scored.ranked(body.top_n)
        ],
        meta=meta_of(parts, scored, version="1"),
    )


@router.post(
    "/rerank",
    operation_id="rerank",
    summary="Rerank, as TEI or Jina do",
    responses=fails(*MODEL, TextTooLong),
    response_model_exclude_none=True,
)
async def rerank(
    body: AnyRerank, parts: Parts, scoring: Scoring, request: Request
) -> list[TeiRank] | JinaReranked:
    """Score texts for a query and order them: with `texts` as TEI, with `documents` as Jina.

    `truncate: false` is answered with 413 when the model would see a part of a text only.
    """
    if isinstance(body, TeiRerank):
        return await rerank_tei(body, scoring)
    return await rerank_jina(body, parts, scoring, request)


async def rerank_tei(body: TeiRerank, scoring: Scorer) -> list[TeiRank]:
    """The answer of text-embeddings-inference: a bare list, best first."""
    scored = await scoring.score(body.query, body.texts)
    if not body.truncate and scored.truncated.any():
        raise TextTooLong(place=int(scored.truncated.argmax()))
    return [
        TeiRank(
            index=index,
            score=scored.score(index),
            text=body.texts[index] if body.return_text else None,
        )
        for index in scored.ranked()
    ]


def meta_of(parts: Twofold, scored: Scored, *, version: str) -> CohereMeta:
    """What Cohere's clients read beside the results."""
    texts, cut = len(scored.scores), int(scored.truncated.sum())
    warnings = [f"{cut} of {texts} documents were read in part only"] if cut else []
    if not parts.rerank_tokens.exact:
        warnings.append(f"tokens are {parts.rerank_tokens.counted_by}")
    return CohereMeta(
        api_version=ApiVersion(version=version),
        billed_units=BilledUnits(search_units=-(-texts // DOCUMENTS_PER_UNIT)),
        tokens=CohereTokens(input_tokens=scored.tokens),
        warnings=warnings or None,
    )
