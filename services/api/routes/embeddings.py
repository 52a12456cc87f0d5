"""`/v1/embeddings` and `/embed`: the embedder in the formats of OpenAI and of TEI."""

import asyncio
import json

from fastapi import APIRouter, Response

from pipelines.build import Twofold
from services.api.deadline import DEFAULT_MS, DeadlineMs
from services.api.described import MODEL, fails
from services.api.dialects.common import usage_of
from services.api.dialects.embedding import (
    KINDS,
    OpenAiEmbed,
    OpenAiEmbedded,
    TeiEmbed,
)
from services.api.embedding import Embedded, embed, lent, to_base64
from services.api.parts import Parts
from twofold.errors import TextTooLong

router = APIRouter(tags=["models"])


@router.post(
    "/v1/embeddings",
    operation_id="embed_openai",
    summary="Embed, as OpenAI does",
    response_model=OpenAiEmbedded,
    responses=fails(*MODEL),
)
async def embed_openai(
    body: OpenAiEmbed, parts: Parts, deadline_ms: DeadlineMs = DEFAULT_MS
) -> Response:
    """Embed texts, as passages unless `input_type` says `query`, in the format of OpenAI.

    A text that is too long is cut at its end, and its entry says `truncated`.
    """
    embedded = await embed(
        parts,
        listed(body.input),
        kind=body.kind,
        deadline_ms=deadline_ms,
        dimensions=body.dimensions,
        limit=body.truncate_prompt_tokens,
    )
    return await asyncio.to_thread(answer_openai, parts, embedded, body.encoding_format == "base64")


def answer_openai(parts: Twofold, embedded: Embedded, base64: bool) -> Response:
    """The answer in JSON; built by hand, since there may be millions of numbers in it."""
    vectors = map(to_base64, embedded.vectors) if base64 else embedded.vectors.tolist()
    rows = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    for row, cut in zip(rows, embedded.truncated or (), strict=False):
        row["truncated"] = cut
    usage = usage_of(parts.embed_tokens, embedded.tokens).model_dump()
    body = {"object": "list", "data": rows, "model": lent(parts).name, "usage": usage}
    return Response(json.dumps(body), media_type="application/json")


@router.post(
    "/embed",
    operation_id="embed",
    summary="Embed, as TEI does",
    response_model=list[list[float]],
    responses=fails(*MODEL, TextTooLong),
)
async def embed_tei(body: TeiEmbed, parts: Parts, deadline_ms: DeadlineMs = DEFAULT_MS) -> Response:
    """Embed texts, as passages unless `prompt_name` says `query`, in the format of TEI.

    A text that is too long is cut; `truncate: false` is answered with 413 then.
    """
    embedded = await embed(
        parts,
        listed(body.inputs),
        kind=KINDS[body.prompt_name or "passage"],
        deadline_ms=deadline_ms,
        dimensions=body.dimensions,
        side="left" if body.truncation_direction.lower() == "left" else "right",
        whole=not body.truncate,
    )
    content = await asyncio.to_thread(lambda: json.dumps(embedded.vectors.tolist()))
    return Response(content, media_type="application/json")


def listed(texts: str | list[str]) -> list[str]:
    """One text as a list of one."""
    return [texts] if isinstance(texts, str) else texts
