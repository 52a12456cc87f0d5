"""A second stage behind a URL: examined before it ranks anything, and never fatal to a search."""

from pathlib import Path

import pytest

from pipelines.build import Models
from pipelines.models.select import choose_reranker
from pipelines.ports import Closeable
from pipelines.settings import Settings
from tests.support.live import free_port
from tests.support.model_servers import healthy, serve_reranker, without_template
from tests.support.models import WordEmbedder
from tests.support.service import running
from twofold.errors import ModelUnfit

pytestmark = pytest.mark.anyio


def models(url: str, **settings: str) -> Models:
    embedder = WordEmbedder()
    options = Settings.model_validate({"reranker": url, **settings})
    return Models(embedder, choose_reranker(options, embedder))


@pytest.mark.parametrize("dialect", ["cohere", "jina", "tei"])
async def test_a_healthy_server_ranks(tmp_path: Path, dialect: str) -> None:
    with serve_reranker(healthy, dialect=dialect) as url:
        async with running(tmp_path, models=models(f"{dialect}+{url}")) as (client, _):
            texts = [{"id": "a", "text": "Rye is a cereal."}, {"id": "b", "text": "Salt is not."}]
            await client.post("/documents?wait=30", json={"documents": texts})
            body = {"query": "Salt is not.", "rerank": {"required": True}}
            found = (await client.post("/search", json=body)).json()
            assert found["rerank"]["status"] == "applied"
            assert found["results"][0]["document_id"] == "b"


def test_a_server_without_its_template_is_refused_at_the_start() -> None:
    with (
        serve_reranker(without_template, dialect="jina") as url,
        pytest.raises(ModelUnfit, match="template"),
    ):
        models(f"jina+{url}")


def test_the_operator_may_serve_it_nevertheless() -> None:
    with serve_reranker(without_template, dialect="jina") as url:
        model = models(f"jina+{url}", self_test="warn").reranker
        assert isinstance(model, Closeable)
        model.close()


async def test_a_server_that_is_away_costs_the_second_stage_alone(tmp_path: Path) -> None:
    away = f"cohere+http://127.0.0.1:{free_port()}?timeout=1"
    async with running(tmp_path, models=models(away)) as (client, _):
        await client.post("/documents?wait=30", json={"documents": [{"id": "a", "text": "rye"}]})
        found = (await client.post("/search", json={"query": "rye", "deadline_ms": 8000})).json()
        assert found["rerank"]["status"] == "unavailable"
        assert found["rerank"]["reason"]
        assert found["results"][0]["document_id"] == "a"


@pytest.mark.parametrize(("scores", "status"), [(healthy, "applied"), (without_template, "error")])
async def test_a_server_that_comes_back_is_tested_first(
    tmp_path: Path, scores: object, status: str
) -> None:
    port = free_port()
    chosen = models(f"cohere+http://127.0.0.1:{port}?timeout=1")
    async with running(tmp_path, models=chosen) as (client, _):
        await client.post("/documents?wait=30", json={"documents": [{"id": "a", "text": "rye"}]})
        with serve_reranker(scores, dialect="cohere", port=port):
            found = (await client.post("/search", json={"query": "rye"})).json()
    assert found["rerank"]["status"] == status
