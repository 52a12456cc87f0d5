"""The real libraries of others against a running server: what they send, and what they make of it.

They come with the extra `clients`. Each test is written as the library's own documentation shows
it, with the base URL changed and nothing else.
"""

import asyncio
import base64
import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.live import live_server

# Warnings are the libraries' own affair here: some leave their sockets to the garbage collector.
pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

QUERY = "How hot is the oven?"
DOCUMENTS = [
    "Rye is a cereal that ripens in July.",
    "The oven has 250 degrees when the bread goes in.",
    "Salt strengthens the gluten of a dough.",
]
BEST = 1
KEY = "none-is-needed-on-this-machine"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("clients")
    with live_server(folder, EMBEDDER="minilm", RERANKER="late-interaction") as server:
        yield server.url
        gc.collect()  # what is left open is closed here, and not in somebody else's test


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    monkeypatch.setenv("JINA_API_KEY", KEY)


# --- Cohere ---------------------------------------------------------------------------------


def test_cohere_client(url: str) -> None:
    import cohere

    client = cohere.ClientV2(api_key=KEY, base_url=url)
    answer = client.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS, top_n=2)
    assert answer.results[0].index == BEST
    assert len(answer.results) == 2
    assert answer.results[0].relevance_score > answer.results[1].relevance_score
    assert answer.meta is not None
    assert answer.meta.api_version.version == "2"
    assert answer.meta.billed_units.search_units == 1
    assert answer.meta.tokens.input_tokens > 20


def test_cohere_client_of_version_1(url: str) -> None:
    import cohere

    client = cohere.Client(api_key=KEY, base_url=url)
    answer = client.rerank(
        model="rerank-english-v3.0",
        query=QUERY,
        documents=[DOCUMENTS[0], {"text": DOCUMENTS[1]}],
        return_documents=True,
    )
    assert answer.results[0].index == 1
    assert answer.results[0].document.text == DOCUMENTS[1]


async def _cohere_async(url: str) -> int:
    import cohere

    async with cohere.AsyncClientV2(api_key=KEY, base_url=url) as client:
        answer = await client.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS)
        return answer.results[0].index


def test_cohere_async_client(url: str) -> None:
    assert asyncio.run(_cohere_async(url)) == BEST


def test_cohere_client_shows_the_sentence_of_a_refusal(url: str) -> None:
    import cohere

    client = cohere.ClientV2(api_key=KEY, base_url=url)
    with pytest.raises(cohere.UnprocessableEntityError, match="at least 1 item") as caught:
        client.rerank(model="rerank-v3.5", query=QUERY, documents=[])
    assert caught.value.body["error"]["code"] == "invalid"


def test_langchain_cohere_rerank(url: str) -> None:
    from langchain_cohere import CohereRerank
    from langchain_core.documents import Document

    reranker = CohereRerank(base_url=url, cohere_api_key=KEY, model="rerank-v3.5", top_n=2)
    found = reranker.compress_documents([Document(text) for text in DOCUMENTS], QUERY)
    assert found[0].page_content == DOCUMENTS[BEST]
    assert len(found) == 2
    assert found[0].metadata["relevance_score"] > found[1].metadata["relevance_score"]


def test_llama_index_cohere_rerank(url: str) -> None:
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.postprocessor.cohere_rerank import CohereRerank

    reranker = CohereRerank(api_key=KEY, base_url=url, model="rerank-v3.5", top_n=2)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in DOCUMENTS]
    found = reranker.postprocess_nodes(nodes, query_str=QUERY)
    assert found[0].node.get_content() == DOCUMENTS[BEST]
    assert len(found) == 2
    assert found[0].score > found[1].score


# --- Haystack -------------------------------------------------------------------------------


def _haystack_documents() -> list:
    from haystack import Document

    return [Document(content=text) for text in DOCUMENTS]


def test_haystack_cohere_ranker(url: str) -> None:
    from haystack_integrations.components.rankers.cohere import CohereRanker

    ranker = CohereRanker(api_base_url=url, top_k=2)
    found = ranker.run(query=QUERY, documents=_haystack_documents())["documents"]
    assert found[0].content == DOCUMENTS[BEST]
    assert len(found) == 2


def test_haystack_vllm_ranker(url: str) -> None:
    from haystack_integrations.components.rankers.vllm import VLLMRanker

    ranker = VLLMRanker(model="BAAI/bge-reranker-base", api_base_url=f"{url}/v1", top_k=2)
    answer = ranker.run(query=QUERY, documents=_haystack_documents())
    assert answer["documents"][0].content == DOCUMENTS[BEST]
    assert len(answer["documents"]) == 2
    assert answer["meta"]["model"] == "late-interaction:all-MiniLM-L6-v2"
    assert answer["meta"]["usage"]["total_tokens"] > 20


def test_haystack_tei_ranker(url: str) -> None:
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

    ranker = HuggingFaceTEIRanker(url=url, top_k=2)
    found = ranker.run(query=QUERY, documents=_haystack_documents())["documents"]
    assert found[0].content == DOCUMENTS[BEST]
    assert len(found) == 2


def test_haystack_jina_ranker(url: str) -> None:
    from haystack_integrations.components.rankers.jina import JinaRanker

    ranker = JinaRanker(base_url=f"{url}/v1/rerank", top_k=2)
    found = ranker.run(query=QUERY, documents=_haystack_documents())["documents"]
    assert found[0].content == DOCUMENTS[BEST]


def test_haystack_embeds_as_with_openai_and_as_with_tei(url: str) -> None:
    from haystack.components.embedders import OpenAITextEmbedder
    from haystack.utils import Secret
    from haystack_integrations.components.embedders.huggingface_api import (
        HuggingFaceAPITextEmbedder,
    )

    openai = OpenAITextEmbedder(api_key=Secret.from_token(KEY), api_base_url=f"{url}/v1")
    tei = HuggingFaceAPITextEmbedder(api_type="text_embeddings_inference", api_params={"url": url})
    one = openai.run(QUERY)["embedding"]
    assert len(one) == 384
    assert tei.run(QUERY)["embedding"] == pytest.approx(one)


# --- OpenAI ---------------------------------------------------------------------------------


def test_openai_client_asks_for_base64_and_gets_the_same_numbers(url: str) -> None:
    import openai

    client = openai.OpenAI(api_key=KEY, base_url=f"{url}/v1")
    answer = client.embeddings.create(model="text-embedding-3-small", input=DOCUMENTS)
    plain = client.embeddings.create(
        model="text-embedding-3-small", input=DOCUMENTS, encoding_format="float"
    )
    assert [each.index for each in answer.data] == [0, 1, 2]
    assert answer.model == "all-MiniLM-L6-v2"
    assert answer.usage.total_tokens > 20
    for one, other in zip(answer.data, plain.data, strict=True):
        assert np.array_equal(np.float32(one.embedding), np.float32(other.embedding))
        assert np.linalg.norm(one.embedding) == pytest.approx(1, abs=1e-5)


def test_openai_client_finds_message_and_code_of_a_refusal(url: str) -> None:
    import openai

    client = openai.OpenAI(api_key=KEY, base_url=f"{url}/v1")
    with pytest.raises(openai.UnprocessableEntityError, match="384 and no other") as caught:
        client.embeddings.create(model="any", input="text", dimensions=100)
    assert caught.value.code == "invalid"
    assert caught.value.body["message"].startswith("'dimensions'")


def test_openai_client_lists_the_models(url: str) -> None:
    import openai

    client = openai.OpenAI(api_key=KEY, base_url=f"{url}/v1")
    assert [each.id for each in client.models.list()] == [
        "all-MiniLM-L6-v2",
        "late-interaction:all-MiniLM-L6-v2",
    ]


# --- Hugging Face ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/embed", "/embedder"])
def test_hugging_face_client(url: str, path: str) -> None:
    from huggingface_hub import InferenceClient

    vectors = InferenceClient(url + path).feature_extraction(QUERY, normalize=True)
    assert vectors.shape == (1, 384)


# --- Others ---------------------------------------------------------------------------------


def test_vector_of_base64_is_little_endian_float32(url: str) -> None:
    import httpx

    body = {"input": QUERY, "encoding_format": "base64"}
    answer = httpx.post(f"{url}/v1/embeddings", json=body).json()
    vector = np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), "<f4")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
