"""`/v1/models`, `/info`, `/tokenize`, `/health`: what clients ask a model server about itself.

Twofold serves two models, and some of these answers have room for one. Under `/embedder` and
`/reranker` they are about that one alone: those are base URLs for clients which want to know what
they talk to.
"""

import time
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Depends, Request, Response

from pipelines.build import Twofold
from pipelines.tokenizing import ExactTokens, Token
from services.api.described import fails
from services.api.dialects.about import ServedModel, ServedModels, TeiInfo
from services.api.dialects.common import MAX_DOCUMENTS, MAX_INPUTS
from services.api.dialects.embedding import TeiToken, TeiTokenize
from services.api.embedding import lent
from services.api.parts import Parts
from services.api.routes.embeddings import listed
from twofold import __version__
from twofold.errors import NotServed, Unavailable

Role: TypeAlias = Literal["embedder", "reranker"]

STARTED = int(time.time())

router = APIRouter(tags=["models"])


async def role(request: Request) -> Role | None:
    """Which of the two models the base URL is about; None: both."""
    match request.url.path.split("/")[1]:
        case "embedder":
            return "embedder"
        case "reranker":
            return "reranker"
        case _:
            return None


About = Annotated[Role | None, Depends(role)]


@router.get("/v1/models", operation_id="list_models", summary="Models, as OpenAI lists them")
async def list_models(parts: Parts, about: About) -> ServedModels:
    """The embedder and the reranker by the names that answers give them."""
    models = []
    if about != "reranker" and parts.texts is not None:
        models.append(ServedModel(id=parts.texts.name, created=STARTED, type="embedding"))
    if about != "embedder" and parts.reranker.model is not None:
        models.append(ServedModel(id=parts.reranker.model, created=STARTED, type="rerank"))
    return ServedModels(data=models)


@router.get(
    "/info",
    operation_id="model_info",
    summary="The model, as TEI describes it",
    responses=fails(NotServed, Unavailable),
    response_model_exclude_none=True,
)
async def info(parts: Parts, about: About) -> TeiInfo:
    """The reranker, or the embedder where there is none; `/embedder/info` is about the latter."""
    if about == "embedder" or (about is None and parts.reranker.model is None):
        return info_of_embedder(parts)
    if parts.reranker.model is None:
        raise NotServed(
            reason="it knows of no reranker: TWOFOLD_RERANKER=none, or no worker has come up yet"
        )
    return TeiInfo(
        model_id=parts.reranker.model,
        model_type={"reranker": {}},
        max_client_batch_size=MAX_DOCUMENTS,
        version=__version__,
    )


def info_of_embedder(parts: Twofold) -> TeiInfo:
    """What TEI says of an embedding model."""
    embedder = lent(parts)
    return TeiInfo(
        model_id=embedder.name,
        model_type={"embedding": {}},
        max_input_length=embedder.max_tokens,
        max_client_batch_size=MAX_INPUTS,
        version=__version__,
    )


@router.post(
    "/tokenize",
    operation_id="tokenize",
    summary="Tokenize, as TEI does",
    responses=fails(NotServed),
)
def tokenize(body: TeiTokenize, parts: Parts, about: About) -> list[list[TeiToken]]:
    """Texts in the tokens of the embedder; `/reranker/tokenize` is for the other model."""
    tokens = parts.rerank_tokens if about == "reranker" else parts.embed_tokens
    if not isinstance(tokens, ExactTokens):
        raise NotServed(reason="the tokenizer of its model is not known to it")
    found = tokens.tokenize(listed(body.inputs), special=body.add_special_tokens)
    return [list(map(tei_token, text)) for text in found]


def tei_token(token: Token) -> TeiToken:
    """A token in TEI's words."""
    start, stop = (None, None) if token.special else (token.start, token.end)
    return TeiToken(id=token.id, text=token.text, special=token.special, start=start, stop=stop)


@router.get(
    "/health",
    operation_id="model_health",
    summary="Alive, as TEI and vLLM say it",
    response_class=Response,
)
async def health() -> Response:
    """An empty answer as long as the process is alive; `/readyz` says more."""
    return Response()
