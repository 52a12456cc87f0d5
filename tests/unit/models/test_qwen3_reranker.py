"""Qwen3Reranker against the procedure of its model card, written out one pair at a time."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from pipelines.models.qwen3 import Qwen3Reranker
from pipelines.ports import Pairs
from tests.support.checkpoints import make_classifier, make_reranker, make_tokenizer, save_tokenizer

Scorer = Callable[..., list[float]]

TASK = "Given a web search query, retrieve relevant passages that answer the query"
PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
PASSAGES = [
    "Beijing is the capital of China.",
    "",
    " ",
    "\n\n",
    "🎯🚀👩‍👩‍👧 naïve café",
    "中国的首都是北京。" * 12,
    "مرحبا بالعالم، عاصمة الصين هي بكين",
    "yes",
    "gravity " * 150,
    "<|im_end|> <think> no </think> tokens that mean something to the model",
    "Beijing is the capital of China.",
    "x",
]


def _literal_scores(folder: Path, max_length: int = 8192) -> Scorer:
    """The card's `process_inputs` and `compute_logits` without their batching."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prefix = tokenizer.encode(PREFIX, add_special_tokens=False)
    suffix = tokenizer.encode(SUFFIX, add_special_tokens=False)
    yes, no = tokenizer.convert_tokens_to_ids("yes"), tokenizer.convert_tokens_to_ids("no")

    @torch.no_grad()
    def score(query: str, passages: Sequence[str], instruction: str = TASK) -> list[float]:
        scores = []
        for passage in passages:
            body = tokenizer(
                f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {passage}",
                truncation="longest_first",
                max_length=max_length - len(prefix) - len(suffix),
            )["input_ids"]
            logits = model(torch.tensor([prefix + body + suffix])).logits[:, -1, :]
            pair = torch.stack([logits[:, no], logits[:, yes]], dim=1)
            scores.append(torch.log_softmax(pair, dim=1)[0, 1].exp().item())
        return scores

    return score


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reranker(tmp_path_factory.mktemp("models") / "Tiny-Reranker")


@pytest.fixture(scope="module")
def literal(folder: Path) -> Scorer:
    return _literal_scores(folder)


@pytest.fixture(scope="module")
def reranker(folder: Path) -> Qwen3Reranker:
    return Qwen3Reranker(folder, dtype="float32", device="cpu")


def _assert_equal(found: np.ndarray, expected: Sequence[float]) -> None:
    np.testing.assert_allclose(found, np.array(expected), rtol=0, atol=1e-5)


def test_scores_are_the_model_cards_scores(reranker: Qwen3Reranker, literal: Scorer) -> None:
    found = reranker.score("capital of China", PASSAGES)
    _assert_equal(found, literal("capital of China", PASSAGES))
    assert np.ptp(found) > 0.01, "the checkpoint has no opinions, so the test proves nothing"
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    "query", ["", " ", "7", "你好", "مرحبا", "🎯", "a\n<Document>: trap", "long " * 300]
)
def test_any_query_scores_as_on_the_card(
    reranker: Qwen3Reranker, literal: Scorer, query: str
) -> None:
    _assert_equal(reranker.score(query, PASSAGES[:4]), literal(query, PASSAGES[:4]))


@pytest.mark.parametrize("instruction", ["", "Find the proof of a theorem", "找到答案"])
def test_an_instruction_replaces_the_default(
    reranker: Qwen3Reranker, literal: Scorer, instruction: str
) -> None:
    found = reranker.score("gravity", PASSAGES[:5], instruction=instruction)
    _assert_equal(found, literal("gravity", PASSAGES[:5], instruction))


@pytest.mark.parametrize("count", [1, 2, 200])
def test_any_number_of_candidates(reranker: Qwen3Reranker, literal: Scorer, count: int) -> None:
    passages = [f"{PASSAGES[index % 9]} {index}" for index in range(count)]
    _assert_equal(reranker.score("planets", passages), literal("planets", passages))


def test_several_queries_in_one_batch_score_as_each_alone(
    reranker: Qwen3Reranker, literal: Scorer
) -> None:
    batch = [
        Pairs("capital of China", PASSAGES),
        Pairs("nothing to score", []),
        Pairs("gravity", PASSAGES[:1], "Find the proof of a theorem"),
        Pairs("capital of Chile", PASSAGES[3:9]),
    ]
    results = reranker.score_batch(batch)
    for pairs, result in zip(batch, results, strict=True):
        expected = literal(pairs.query, pairs.passages, pairs.instruction or TASK)
        _assert_equal(result.scores, expected)
        assert result.scores.shape == result.truncated.shape == (len(pairs.passages),)


def test_nothing_to_score_is_no_error(reranker: Qwen3Reranker) -> None:
    assert reranker.score_batch([]) == []
    assert reranker.score("query", []).shape == (0,)


@pytest.mark.parametrize("token_budget", [1, 100, 333, 100_000])
def test_scores_do_not_depend_on_how_batches_are_cut(
    folder: Path, literal: Scorer, token_budget: int
) -> None:
    reranker = Qwen3Reranker(folder, dtype="float32", device="cpu", token_budget=token_budget)
    batch = [Pairs("capital", PASSAGES), Pairs("gravity " * 40, PASSAGES[:6])]
    for pairs, result in zip(batch, reranker.score_batch(batch), strict=True):
        _assert_equal(result.scores, literal(pairs.query, pairs.passages))


def test_equal_passages_have_equal_scores(reranker: Qwen3Reranker) -> None:
    scores = reranker.score("capital of China", PASSAGES)
    assert scores[0] == scores[10]


def test_a_long_document_loses_its_end_and_never_the_suffix(folder: Path) -> None:
    reranker = Qwen3Reranker(folder, dtype="float32", device="cpu", max_tokens=256)
    passages = ["short", "long " * 900, "long " * 1000, "最后" * 700]
    result = reranker.score_batch([Pairs("what is cut?", passages)])[0]
    _assert_equal(result.scores, _literal_scores(folder, 256)("what is cut?", passages))
    assert result.truncated.tolist() == [False, True, True, True]
    assert result.scores[1] == result.scores[2], "what lies beyond the limit has no say"


def test_a_query_beyond_the_limit_still_scores_as_on_the_card(folder: Path) -> None:
    reranker = Qwen3Reranker(folder, dtype="float32", device="cpu", max_tokens=128)
    query = "a query that fills the window " * 60
    found = reranker.score_batch([Pairs(query, ["one", "two"])])[0]
    _assert_equal(found.scores, _literal_scores(folder, 128)(query, ["one", "two"]))
    assert found.truncated.all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_and_truncation_settings_of_the_tokenizer_have_no_say(
    folder: Path, literal: Scorer, side: str
) -> None:
    save_tokenizer(make_tokenizer(ends=False), folder, padding_side=side, model_max_length=64)
    reranker = Qwen3Reranker(folder, dtype="float32", device="cpu")
    _assert_equal(reranker.score("capital", PASSAGES), literal("capital", PASSAGES))
    save_tokenizer(make_tokenizer(ends=False), folder)


def test_a_head_of_its_own_is_used_where_the_config_unties_it(tmp_path: Path) -> None:
    folder = make_reranker(tmp_path / "untied", tied=False)
    found = Qwen3Reranker(folder, dtype="float32", device="cpu").score("capital", PASSAGES[:4])
    _assert_equal(found, _literal_scores(folder)("capital", PASSAGES[:4]))


def test_sharded_weights_are_read(tmp_path: Path, folder: Path, literal: Scorer) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    save_tokenizer(make_tokenizer(ends=False), tmp_path / "sharded")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    reranker = Qwen3Reranker(tmp_path / "sharded", dtype="float32", device="cpu")
    _assert_equal(reranker.score("capital", PASSAGES[:4]), literal("capital", PASSAGES[:4]))


@pytest.mark.parametrize("labels", [1, 2])
def test_a_checkpoint_converted_to_classification_is_read_at_its_own_rows(
    tmp_path: Path, labels: int
) -> None:
    folder = make_classifier(tmp_path / "classifier", labels=labels)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    expected = []
    for passage in PASSAGES:
        body = f"<Instruct>: {TASK}\n<Query>: capital\n<Document>: {passage}"
        ids = tokenizer(PREFIX + body + SUFFIX, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = model(ids).logits[0]
        score = logits.sigmoid() if labels == 1 else logits.softmax(-1)[1:]
        expected.append(score.item())
    found = Qwen3Reranker(folder, dtype="float32", device="cpu").score("capital", PASSAGES)
    _assert_equal(found, expected)


def test_bf16_keeps_the_order_of_fp32(folder: Path, reranker: Qwen3Reranker) -> None:
    half = Qwen3Reranker(folder, dtype="bfloat16", device="cpu")
    exact = reranker.score("capital of China", PASSAGES)
    rough = half.score("capital of China", PASSAGES)
    assert np.abs(exact - rough).max() < 0.05
    clear = np.abs(exact[:, None] - exact[None]) > 0.05
    np.testing.assert_array_equal(
        (exact[:, None] > exact[None])[clear], (rough[:, None] > rough[None])[clear]
    )


def test_it_says_what_it_is(reranker: Qwen3Reranker) -> None:
    assert reranker.name == "Tiny-Reranker"
    assert reranker.profile.calibrated
    assert reranker.profile.depth == 50
