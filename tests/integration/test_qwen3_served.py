"""Qwen3 checkpoints behind the API, as an operator sets them up: `TWOFOLD_RERANKER=qwen3:FOLDER`.

The checkpoints are tiny and their weights random, so the order means nothing here; that the
scores are the model card's is held by tests/unit/models.
"""

from pathlib import Path

import pytest

from pipelines.build import chosen_models
from pipelines.models.onnx_export import export
from pipelines.settings import Settings
from tests.support.checkpoints import make_embedder, make_reranker
from tests.support.service import running
from twofold.errors import ModelUnfit

pytestmark = pytest.mark.anyio

TEXTS = [
    {"id": "zh", "text": "黑麦面团发酵很快。"},
    {"id": "ar", "text": "عجين الجاودار لزج."},
    {"id": "en", "text": "Rye dough is sticky 🥖 and ferments fast. " * 20},
]


@pytest.mark.parametrize("engine", ["qwen3", pytest.param("onnx", marks=pytest.mark.slow)])
async def test_both_stages_run_on_qwen3(tmp_path: Path, engine: str) -> None:
    reranker = make_reranker(tmp_path / "reranker")
    if engine == "onnx":
        export(reranker, tmp_path / "onnx")
        reranker = tmp_path / "onnx"
    settings = {
        "embedder": f"qwen3:{make_embedder(tmp_path / 'embedder')}",
        "reranker": f"{engine}:{reranker}",
        "self_test": "off",
    }
    models = chosen_models(Settings.model_validate(settings))
    async with running(tmp_path / "data", models=models) as (client, _):
        added = await client.post("/documents?wait=60", json={"documents": TEXTS})
        assert {each["status"] for each in added.json()["documents"]} == {"ready"}
        body = {"query": "أي عجين لزج؟", "rerank": {"instruction": "Find the baker's note"}}
        found = (await client.post("/search", json=body)).json()
    assert found["rerank"]["status"] == "applied"
    assert found["rerank"]["scored"] == len(found["results"])
    assert {each["document_id"] for each in found["results"]} == {"zh", "ar", "en"}
    assert all(0 < each["scores"]["rerank"] < 1 for each in found["results"])


def test_weights_that_know_nothing_are_refused_at_the_start(tmp_path: Path) -> None:
    settings = Settings(reranker=f"qwen3:{make_reranker(tmp_path)}", embedder="minilm")
    with pytest.raises(ModelUnfit, match="TWOFOLD_SELF_TEST"):
        chosen_models(settings)
