"""Where the routes of the dialects are: at the root, and under the base URLs that clients know.

/engines, /engines/{backend}    both models, where Docker Model Runner has them
/embedder, /reranker            one model alone, for clients that ask what they talk to
"""

from fastapi import APIRouter

from services.api.routes import about, embeddings, rerank, retrieval, score
from services.api.routes.embeddings import embed_tei

RUNNER = ("/engines", "/engines/{backend}")

router = APIRouter()
for part in (rerank, score, embeddings, about, retrieval):
    router.include_router(part.router)
for prefix in ("/reranker", *RUNNER):
    for part in (rerank, score, about):
        router.include_router(part.router, prefix=prefix, include_in_schema=False)
for prefix in ("/embedder", *RUNNER):
    for part in (embeddings, about):
        router.include_router(part.router, prefix=prefix, include_in_schema=False)
# TEI embeds at its root too, which is where the client of Hugging Face sends texts.
for root in ("/", "/embedder"):
    router.post(root, include_in_schema=False, response_model=list[list[float]])(embed_tei)
