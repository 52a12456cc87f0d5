"""What is refused before a process serves, and in which words; and what loading costs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.models.qwen3 import Qwen3Embedder, Qwen3Reranker
from tests.support.checkpoints import (
    make_classifier,
    make_embedder,
    make_reranker,
    make_tokenizer,
    save_tokenizer,
    write_json,
)
from twofold.errors import ConfigurationError, ModelUnfit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_reranker(tmp_path / "Tiny-Reranker")


def _edit_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    write_json(folder / "config.json", {**config, **values})


@pytest.mark.parametrize("source", ["./nowhere", "/no/such/folder", "nowhere", "a b/c"])
def test_a_missing_folder_is_named(source: str) -> None:
    with pytest.raises(ModelUnfit, match="there is no folder"):
        Qwen3Reranker(source)


def test_a_hub_name_that_the_hub_does_not_give_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_args: object, **_options: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(ModelUnfit, match="download it elsewhere and name its folder"):
        Qwen3Reranker("Qwen/Qwen3-Reranker-0.6B")


def test_a_hub_name_is_downloaded_without_code_or_pickles(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    asked: list[str] = []

    def download(_name: str, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert Qwen3Reranker("Qwen/Qwen3-Reranker-0.6B", device="cpu").name == "Qwen3-Reranker-0.6B"
    assert not any(pattern.endswith((".py", ".bin", ".pt", "*")) for pattern in asked)


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match=r"holds no config\.json"):
        Qwen3Reranker(tmp_path)


def test_pickled_weights_are_refused(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnfit, match=r"holds no model\.safetensors"):
        Qwen3Reranker(folder)


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        (Qwen3Reranker, "TWOFOLD_RERANKER=cross-encoder:"),
        (Qwen3Embedder, "TWOFOLD_EMBEDDER=sentence-transformers:"),
    ],
)
@pytest.mark.parametrize("kind", ["bert", "no-such-kind"])
def test_a_model_of_another_kind_is_sent_to_the_setting_that_fits(
    folder: Path, model: Callable[[Path], object], advice: str, kind: str
) -> None:
    write_json(folder / "config.json", {"model_type": kind})
    with pytest.raises(ModelUnfit, match=advice):
        model(folder)


def test_code_in_a_checkpoint_is_never_run(folder: Path) -> None:
    (folder / "evil.py").write_text("raise SystemExit('ran')\n", "utf-8")
    _edit_config(folder, model_type="evil", auto_map={"AutoConfig": "evil.Evil"})
    with pytest.raises(ModelUnfit, match="cannot be read"):
        Qwen3Reranker(folder)


def test_sliding_windows_are_refused(folder: Path) -> None:
    _edit_config(folder, layer_types=["full_attention", "sliding_attention", "full_attention"])
    with pytest.raises(ModelUnfit, match="sliding windows"):
        Qwen3Reranker(folder)


@pytest.mark.parametrize("gone", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"])
def test_missing_weights_are_refused(folder: Path, gone: str) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnfit, match="1 of its weights are missing"):
        Qwen3Reranker(folder, device="cpu")


def test_a_missing_head_is_refused(tmp_path: Path) -> None:
    folder = make_reranker(tmp_path / "untied", tied=False)
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnfit, match=r"lack 'lm_head\.weight'"):
        Qwen3Reranker(folder, device="cpu")


def test_a_classifier_of_many_labels_is_no_reranker(tmp_path: Path) -> None:
    folder = make_classifier(tmp_path / "classifier", labels=3)
    with pytest.raises(ModelUnfit, match="classifies into 3 labels"):
        Qwen3Reranker(folder, device="cpu")


@pytest.mark.parametrize("damage", ["", "{}", '{"model": {"type": "BPE", "merges": [["a", "b"]]}}'])
def test_a_damaged_tokenizer_is_refused(folder: Path, damage: str) -> None:
    (folder / "tokenizer.json").write_text(damage, "utf-8")
    with pytest.raises(ModelUnfit, match="tokenizer"):
        Qwen3Reranker(folder, device="cpu")


def test_a_missing_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelUnfit, match="tokenizer"):
        Qwen3Reranker(folder, device="cpu")


def test_a_tokenizer_without_the_answers_is_refused(folder: Path) -> None:
    save_tokenizer(make_tokenizer(ends=False, corpus=["neither answer"]), folder)
    with pytest.raises(ModelUnfit, match="no token 'yes'"):
        Qwen3Reranker(folder, device="cpu")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_tokens": 10}, "takes from 128 to 32768"),
        ({"max_tokens": 40_000}, "takes from 128 to 32768"),
        ({"dtype": "int4"}, "use one of float32, bfloat16"),
        ({"dtype": "float16", "device": "cpu"}, "on cpu use one of float32, bfloat16"),
        ({"device": "quantum"}, "this machine has none"),
    ],
)
def test_values_that_cannot_be_are_refused(
    folder: Path, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Qwen3Reranker(folder, **options)  # type: ignore[arg-type]


LOAD = """
import sys, threading, time
from pathlib import Path
from transformers import Qwen3Model
from pipelines.models.qwen3 import Qwen3Embedder

def own_bytes():
    status = Path("/proc/self/status").read_text().split("RssAnon:")[1]
    return int(status.split()[0]) * 1024

peak, before = [own_bytes()], own_bytes()
def watch():
    while True:
        peak[0] = max(peak[0], own_bytes())
        time.sleep(0.0005)
threading.Thread(target=watch, daemon=True).start()
embedder = Qwen3Embedder(sys.argv[1], dtype=sys.argv[2], device="cpu")
weights = sum(each.nbytes for each in embedder._decoder.model.parameters())
print((peak[0] - before) / weights)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_never_holds_two_copies_of_the_weights(tmp_path: Path, dtype: str) -> None:
    folder = make_embedder(
        tmp_path / "larger", hidden_size=512, num_hidden_layers=8, intermediate_size=3072
    )
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder), dtype],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert float(done.stdout) < 1.4
