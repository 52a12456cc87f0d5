"""Models to lend to other applications, and how these ask.

The models are small; they know their tokens, take instructions and have vectors to shorten.
"""

from collections.abc import Sequence
from typing import Any

import httpx
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel

from pipelines.build import Models
from pipelines.ports import RerankProfile, Vector
from tests.support.models import WordEmbedder
from tests.support.reranking import OverlapModel


def tokenizer_of_words() -> str:
    """One token a word or mark."""
    tokenizer = Tokenizer(WordLevel({"?": 0}, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(tokenizer.to_str())


class KnownEmbedder(WordEmbedder):
    """Its vectors may be cut to 16 numbers, and those of queries point the other way."""

    tokenizer_json = tokenizer_of_words()
    min_dimensions = 16

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        return -super().embed_queries(texts, instruction=instruction)


class KnownReranker(OverlapModel):
    """Takes instructions, which `batches` shows."""

    tokenizer_json = tokenizer_of_words()
    profile = RerankProfile(depth=50, weight=0.5, calibrated=True, instructed=True)


def known_models() -> Models:
    return Models(KnownEmbedder(), KnownReranker())


async def post(client: httpx.AsyncClient, path: str, **body: object) -> Any:
    """What a request that succeeds is answered."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client: httpx.AsyncClient, path: str, status: int, **body: object) -> str:
    """The sentence of a refusal with that status."""
    answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    message: str = answer.json()["error"]["message"]
    return message
