"""An exported reranker against the procedure of its model card, batched as the card does it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer import Typer
from typer.testing import CliRunner

from pipelines.models import onnx_export
from pipelines.models.onnx import OnnxReranker
from pipelines.models.qwen3_prompt import RERANK_PREFIX, RERANK_SUFFIX
from pipelines.ports import Pairs
from tests.support.checkpoints import make_classifier, make_reranker
from twofold.errors import ConfigurationError, ModelUnfit

TASK = "Given a web search query, retrieve relevant passages that answer the query"
PASSAGES = [
    "Beijing is the capital of China.",
    "",
    "🎯🚀 naïve café",
    "中国的首都是北京。" * 12,
    "مرحبا بالعالم، عاصمة الصين هي بكين",
    "gravity " * 150,
    "<|im_end|> <think> no </think>",
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reranker(tmp_path_factory.mktemp("models") / "Tiny-Reranker", num_hidden_layers=2)


@pytest.fixture(scope="module")
def folder(checkpoint: Path) -> Path:
    """Exported as a user does it: by the command."""
    app = Typer()
    app.command()(onnx_export.main)
    folder = checkpoint.parent / "exported"
    result = CliRunner().invoke(app, [str(checkpoint), str(folder)])
    assert result.exit_code == 0, result.output
    assert f"TWOFOLD_RERANKER=onnx:{folder}" in result.output
    return folder


@torch.no_grad()
def card_scores(folder: Path, query: str, passages: Sequence[str], task: str = TASK) -> np.ndarray:
    """`process_inputs` and `compute_logits` of the model card, one padded batch."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prefix = tokenizer.encode(RERANK_PREFIX, add_special_tokens=False)
    suffix = tokenizer.encode(RERANK_SUFFIX, add_special_tokens=False)
    bodies = tokenizer(
        [f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {passage}" for passage in passages],
        padding=False,
        truncation="longest_first",
        return_attention_mask=False,
        max_length=8192 - len(prefix) - len(suffix),
    )
    bodies["input_ids"] = [prefix + ids + suffix for ids in bodies["input_ids"]]
    inputs = tokenizer.pad(bodies, padding=True, return_tensors="pt")
    logits = model(**inputs).logits[:, -1, :]
    no, yes = (tokenizer.convert_tokens_to_ids(token) for token in ("no", "yes"))
    return torch.softmax(logits[:, [no, yes]], dim=1)[:, 1].numpy()


@pytest.mark.slow
def test_scores_equal_the_model_card_for_any_mix_of_passages(
    checkpoint: Path, folder: Path
) -> None:
    expected = card_scores(checkpoint, "capital of China", PASSAGES)
    for budget in (1, 500, 100_000):  # alone, a few at a time, all at once
        model = OnnxReranker(folder, token_budget=budget, threads=1)
        [scored] = model.score_batch([Pairs("capital of China", PASSAGES)])
        np.testing.assert_allclose(scored.scores, expected, atol=1e-4)
    assert np.ptp(expected) > 0.01, "the passages differ"


@pytest.mark.slow
def test_an_instruction_reaches_the_model(checkpoint: Path, folder: Path) -> None:
    [scored] = OnnxReranker(folder, threads=1).score_batch([Pairs("q", PASSAGES, "Find fish")])
    expected = card_scores(checkpoint, "q", PASSAGES, "Find fish")
    np.testing.assert_allclose(scored.scores, expected, atol=1e-4)


@pytest.mark.slow
def test_a_passage_beyond_the_limit_is_cut_before_the_suffix_and_said_to_be(folder: Path) -> None:
    model = OnnxReranker(folder, max_tokens=256, threads=1)
    [scored] = model.score_batch([Pairs("q", ["planets " * 2_000, "planets"])])
    assert scored.truncated.tolist() == [True, False]


@pytest.mark.slow
def test_the_graph_gives_two_logits_of_the_last_real_token_for_any_size_and_padding(
    folder: Path,
) -> None:
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert {each.name for each in session.get_inputs()} == {
        "input_ids", "attention_mask", "position_ids",
    }  # fmt: skip

    def logits(tokens: list[int], mask: list[int], positions: list[int]) -> np.ndarray:
        feeds = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions}
        return session.run(None, {k: np.array([v], dtype=np.int64) for k, v in feeds.items()})[0]

    plain = logits([9, 8, 7], [1, 1, 1], [0, 1, 2])
    assert plain.shape == (1, 2)
    left = logits([0, 0, 9, 8, 7], [0, 0, 1, 1, 1], [0, 0, 0, 1, 2])
    right = logits([9, 8, 7, 0, 0], [1, 1, 1, 0, 0], [0, 1, 2, 3, 4])
    np.testing.assert_allclose(left, plain, atol=1e-5)
    np.testing.assert_allclose(right, plain, atol=1e-5)


@pytest.mark.slow
def test_the_export_writes_into_no_folder_that_holds_something(
    checkpoint: Path, folder: Path
) -> None:
    with pytest.raises(ConfigurationError, match="not empty"):
        onnx_export.export(checkpoint, folder)


def test_a_converted_checkpoint_is_sent_back_to_the_published_one(tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match="Qwen3ForSequenceClassification"):
        onnx_export.export(make_classifier(tmp_path / "c"), tmp_path / "o")


def test_the_command_ends_with_a_sentence_when_there_is_no_checkpoint(tmp_path: Path) -> None:
    app = Typer()
    app.command()(onnx_export.main)
    result = CliRunner().invoke(app, [str(tmp_path / "nothing"), str(tmp_path / "o")])
    assert result.exit_code == 1
    assert "there is no folder" in result.output


def test_a_folder_without_a_graph_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ModelUnfit, match="onnx_export CHECKPOINT FOLDER"):
        OnnxReranker(tmp_path)


def test_a_file_that_is_no_graph_is_refused_with_a_sentence(tmp_path: Path) -> None:
    folder = make_reranker(tmp_path / "r")
    (folder / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelUnfit, match="is no graph to run"):
        OnnxReranker(folder)


def test_a_graph_of_every_position_and_the_whole_vocabulary_is_read_as_well(
    checkpoint: Path, tmp_path: Path
) -> None:
    """As other exporters write it; here a graph that embeds each token and multiplies back."""
    folder = shutil.copytree(checkpoint, tmp_path / "theirs")
    (folder / "onnx").mkdir()
    _write_bigram_graph(folder / "onnx" / "model.onnx", vocabulary=800)
    [scored] = OnnxReranker(folder, threads=1).score_batch([Pairs("q", ["a", "bb ccc"])])
    assert scored.scores.shape == (2,)
    assert scored.scores[0] == scored.scores[1], "both end with the same suffix token"
    assert 0 < scored.scores[0] < 1


def _write_bigram_graph(path: Path, vocabulary: int) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    table = np.random.default_rng(0).normal(size=(vocabulary, vocabulary)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["logits"])],
        "bigram",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", "l", vocabulary])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
