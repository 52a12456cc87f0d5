"""A Twofold as the model server of another: both halves of each dialect against each other."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.build import Models, chosen_models
from pipelines.models.remote import remote_embedder, remote_reranker
from pipelines.ports import Pairs
from pipelines.settings import Settings
from tests.support.lent import KnownEmbedder, known_models
from tests.support.server import threaded_server
from tests.support.service import running
from twofold.doctor import run_doctor

DOCUMENTS = ["rye is a cereal", "the hot oven bakes", "an oven"]


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with threaded_server(tmp_path_factory.mktemp("far"), models=known_models()) as url:
        yield url


@pytest.mark.parametrize("dialect", ["cohere", "jina", "tei", "dmr"])
@pytest.mark.parametrize("base", ["", "/reranker"])
def test_scores_travel_in_every_dialect(far: str, dialect: str, base: str) -> None:
    if dialect == "dmr" and base:
        pytest.skip("its paths begin at the root")
    model = remote_reranker(f"{dialect}+{far}{base}")
    assert model.name == "overlap"
    [scored] = model.score_batch([Pairs("hot oven", DOCUMENTS)])
    assert scored.scores.tolist() == [0.0, 1.0, 0.5]
    model.close()


@pytest.mark.parametrize("dialect", ["openai", "tei", "dmr"])
@pytest.mark.parametrize("base", ["", "/embedder"])
def test_vectors_travel_in_every_dialect(far: str, dialect: str, base: str) -> None:
    if dialect == "dmr" and base:
        pytest.skip("its paths begin at the root")
    model = remote_embedder(f"{dialect}+{far}{base}?dimensions=16")
    assert (model.name, model.dimensions) == ("words-64", 16)
    expected = KnownEmbedder().embed_passages(DOCUMENTS)[:, :16]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert model.embed_passages(DOCUMENTS) == pytest.approx(expected, abs=1e-6)
    model.close()


def test_more_texts_than_a_request_may_hold_are_sent_in_several(far: str) -> None:
    model = remote_reranker(f"tei+{far}?batch=5000")
    many = [f"oven {number}" for number in range(1_200)]
    [scored] = model.score_batch([Pairs("oven", many)])
    assert scored.scores.tolist() == [1.0] * 1_200
    model.close()


@pytest.mark.anyio
async def test_a_search_runs_on_the_models_of_another(far: str, tmp_path: Path) -> None:
    models = Models(remote_embedder(f"openai+{far}"), remote_reranker(f"jina+{far}"))
    async with running(tmp_path, models=models) as (client, _):
        texts = [{"id": text[:3], "text": text} for text in DOCUMENTS]
        await client.post("/documents?wait=30", json={"documents": texts})
        body = {"query": "hot oven", "rerank": {"required": True}}
        found = (await client.post("/search", json=body)).json()
        assert found["rerank"]["status"] == "applied"
        assert found["rerank"]["model"] == "overlap"
        assert found["results"][0]["text"] == DOCUMENTS[1]


@pytest.mark.slow
def test_the_doctor_finds_it_fit_in_every_dialect(
    minilm_server: str,
) -> None:
    for dialect in ("cohere+", "jina+", "tei+", ""):
        [verdict] = run_doctor(reranker=f"{dialect}{minilm_server}")
        assert verdict.ok, verdict
    for dialect in ("openai+", "tei+", ""):
        [verdict] = run_doctor(embedder=f"{dialect}{minilm_server}")
        assert verdict.ok, verdict


@pytest.fixture
def minilm_server(tmp_path: Path) -> Iterator[str]:
    settings = Settings.model_validate({"embedder": "minilm", "reranker": "late-interaction"})
    with threaded_server(tmp_path, models=chosen_models(settings)) as url:
        yield url
