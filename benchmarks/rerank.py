"""B1, B2, B4: the Qwen3 engine beside its peers, the same weights, the same run.

    make bench-rerank                                   all 28 layers of the 0.6B shape
    .venv/bin/python benchmarks/rerank.py --quick       a small shape, under a minute

Weights are random, so the margins mean nothing and their differences all the more: a margin is
the log-odds of "yes", and the exact contestants must agree on it to the last digits of fp32.
Contestants share one copy of the weights per number format and run in turn, round by round.
`of products` is a contestant's own arithmetic over what bare matrix products of its number
format achieve in the same rounds; `of limit` is its pairs over those of a perfect engine that
shares prefixes, in fp32 products.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from scipy.stats import kendalltau
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoTokenizer, PreTrainedModel

mpl.use("Agg")
from matplotlib import pyplot as plt
from measure import RESULTS, Samples, interleaved, machine, product_flops, products, save
from qwen3_model import config_of, save_models, separate_flops, shared_flops, text_of

from pipelines.models.packed_attention import SDPA
from pipelines.models.packed_decoder import PackedDecoder
from pipelines.models.packed_row import Branch, common_length
from pipelines.models.qwen3 import Qwen3Embedder, Qwen3Reranker
from pipelines.models.qwen3_prompt import (
    DEFAULT_INSTRUCTION,
    RERANK_BODY,
    RERANK_PREFIX,
    RERANK_SUFFIX,
    PromptTokenizer,
    RerankPrompts,
)

BASELINE = "CrossEncoder"
CARD_BATCH = 4  # the card's code holds logits of the whole vocabulary for every token
FP32_GEMM, BF16_GEMM = "products fp32", "products bf16"


@dataclass(frozen=True)
class Contestant:
    """A way to score the pairs, and what it computes."""

    name: str
    run: Callable[[], np.ndarray]
    flops: float
    products: str


def main() -> None:
    """Measure, print the tables, write JSON and picture."""
    options = _options()
    shape = "quick" if options.quick else "0.6B"
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.quick:
        options.pairs, options.texts, options.rounds = 8, 8, 2
    name = "rerank-quick" if options.quick else "rerank"
    results = Path(tempfile.gettempdir()) if options.quick else RESULTS
    report = _earlier(results / f"{name}.json") | {"benchmark": "B1 B2 B4", "shape": shape}
    with tempfile.TemporaryDirectory() as folder:
        print(f"writing random weights of the {shape} shape ...", flush=True)
        reranker, embedder = save_models(Path(folder), shape)
        if options.only != "embed":
            report["rerank"] = rerank(reranker, shape, options.pairs, options.rounds)
            report["rerank"]["machine"] = machine()
            save(name, report, results)
        if options.only != "rerank":
            report["embed"] = embed(embedder, options.texts, options.rounds)
            report["embed"]["machine"] = machine()
            save(name, report, results)
    draw(report, results / f"{name}.png")
    print(f"\nwritten: {results / name}.json and .png")


def _earlier(path: Path) -> dict:
    """What an earlier run left, so that one half can be measured again."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


# --- B1, B2: reranking ----------------------------------------------------------------------


def rerank(folder: Path, shape: str, pairs: int, rounds: int) -> dict[str, object]:
    """One query with `pairs` candidates of 165 tokens a prompt in the mean."""
    tokenizer = PromptTokenizer(folder, "benchmark")
    query, passages = _question(tokenizer, pairs)
    prompts = [each.tokens for each in RerankPrompts(tokenizer, 8192).of(query, passages, None)]
    prefix = common_length(prompts)
    lengths = [len(each) for each in prompts]
    config = config_of(shape)
    shared = shared_flops(config, prefix, [length - prefix for length in lengths])
    contestants = _contestants(folder, query, passages, prompts, shared, config)
    print(f"\n{pairs} pairs, {np.mean(lengths):.0f} tokens in the mean, {prefix} shared")
    exact = contestants[0].run()
    rows = {each.name: _agreement(each.run(), exact) for each in contestants}
    calls: dict[str, Callable[[], object]] = {each.name: each.run for each in contestants}
    calls |= {FP32_GEMM: products(torch.float32), BF16_GEMM: products(torch.bfloat16)}
    samples = interleaved(calls, rounds)
    limit = pairs * product_flops() / samples[FP32_GEMM].median / shared
    for each in contestants:
        rate = product_flops() / samples[each.products].median
        rows[each.name] |= {
            **samples[each.name].summary(),
            "pairs_per_s": pairs / samples[each.name].median,
            "ratio": _ratio(samples, BASELINE, each.name),
            "of_products": each.flops / samples[each.name].median / rate,
            "of_limit": pairs / samples[each.name].median / limit,
        }
    show("rerank", rows, "pairs/s", "pairs_per_s")
    rates = {name: product_flops() / samples[name].median / 1e9 for name in (FP32_GEMM, BF16_GEMM)}
    print("  " + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in rates.items()))
    return {
        "pairs": pairs,
        "mean_tokens": float(np.mean(lengths)),
        "shared_tokens": prefix,
        "gflops_per_s": rates,
        "limit_pairs_per_s": limit,
        "rows": rows,
    }


def _contestants(
    folder: Path,
    query: str,
    passages: list[str],
    prompts: list[tuple[int, ...]],
    shared: float,
    config: object,
) -> list[Contestant]:
    lengths = [len(each) for each in prompts]
    separate = separate_flops(config, lengths)  # type: ignore[arg-type]
    pairs = [(query, passage) for passage in passages]
    exact = Qwen3Reranker(folder, dtype="float32", device="cpu")
    rough = Qwen3Reranker(folder, dtype="bfloat16", device="cpu")
    encoder = _cross_encoder(folder, torch.float32, exact)
    rough_encoder = _cross_encoder(folder, torch.bfloat16, rough)
    unshared = PackedDecoder(exact._decoder.model, token_budget=16_384, attention=SDPA)  # noqa: SLF001
    alone = [Branch((), [prompt]) for prompt in prompts]

    def predict(model: CrossEncoder) -> np.ndarray:
        return model.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)

    def margins(model: Qwen3Reranker) -> np.ndarray:
        scores = model.score(query, passages).astype(np.float64)
        return np.log(scores / (1 - scores))

    def without_sharing() -> np.ndarray:
        return (unshared.last_states(alone) @ exact._head).numpy()  # noqa: SLF001

    card = _model_card(folder, encoder[0].model, query, passages)
    return [
        Contestant("model card's code", card, separate, FP32_GEMM),
        Contestant(BASELINE, lambda: predict(encoder), separate, FP32_GEMM),
        Contestant("CrossEncoder bf16", lambda: predict(rough_encoder), separate, BF16_GEMM),
        Contestant("packed, not shared", without_sharing, separate, FP32_GEMM),
        Contestant("Twofold fp32", lambda: margins(exact), shared, FP32_GEMM),
        Contestant("Twofold bf16", lambda: margins(rough), shared, BF16_GEMM),
    ]


def _cross_encoder(folder: Path, dtype: torch.dtype, twin: Qwen3Reranker) -> CrossEncoder:
    """sentence-transformers on the same tensors, so that memory holds them once."""
    encoder = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": dtype})
    model = encoder[0].model
    model.model = twin._decoder.model  # noqa: SLF001
    model.lm_head.weight = model.model.embed_tokens.weight
    return encoder


def _model_card(
    folder: Path, model: PreTrainedModel, query: str, passages: Sequence[str]
) -> Callable[[], np.ndarray]:
    """The procedure of the card: left padding, logits of everything, two of them used."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    prefix = tokenizer.encode(RERANK_PREFIX, add_special_tokens=False)
    suffix = tokenizer.encode(RERANK_SUFFIX, add_special_tokens=False)
    yes, no = tokenizer.convert_tokens_to_ids("yes"), tokenizer.convert_tokens_to_ids("no")
    bodies = [
        RERANK_BODY.format(instruction=DEFAULT_INSTRUCTION, query=query, document=passage)
        for passage in passages
    ]

    @torch.no_grad()
    def run() -> np.ndarray:
        margins = []
        for start in range(0, len(bodies), CARD_BATCH):
            inputs = tokenizer(
                bodies[start : start + CARD_BATCH],
                padding=False,
                truncation="longest_first",
                return_attention_mask=False,
                max_length=8192 - len(prefix) - len(suffix),
            )
            inputs["input_ids"] = [prefix + ids + suffix for ids in inputs["input_ids"]]
            padded = tokenizer.pad(inputs, padding=True, return_tensors="pt")
            logits = model(**padded).logits[:, -1, :]
            margins.append(logits[:, yes] - logits[:, no])
        return torch.cat(margins).numpy()

    return run


def _question(tokenizer: PromptTokenizer, pairs: int) -> tuple[str, list[str]]:
    """A query, and passages that make prompts of 135 to 195 tokens."""
    from tokenizers import Tokenizer

    core = Tokenizer.from_str(tokenizer.json)
    chance = random.Random(1)
    query = "capital"
    prompts = RerankPrompts(tokenizer, 8192)
    empty = len(prompts.of(query, [""], None)[0].tokens)
    lengths = np.linspace(135, 195, pairs).astype(int) - empty
    chance.shuffle(lengths)
    return query, [text_of(int(length), core, chance) for length in lengths]


# --- B4: embedding --------------------------------------------------------------------------


def embed(folder: Path, count: int, rounds: int) -> dict[str, object]:
    """Texts of mixed lengths, most short and some long, beside SentenceTransformer.encode.

    Its default pads batches of 32, sorted by length, to their longest; batches of 4 hold as little
    padding as those of 32 do in a collection of thousands.
    """
    tokenizer = PromptTokenizer(folder, "benchmark")
    texts = _texts(tokenizer, count)
    tokens = sum(len(tokenizer.exact(text)) + 1 for text in texts)
    exact = Qwen3Embedder(folder, dtype="float32", device="cpu")
    rough = Qwen3Embedder(folder, dtype="bfloat16", device="cpu")
    peer = _sentence_transformer(folder, torch.float32, exact)
    rough_peer = _sentence_transformer(folder, torch.bfloat16, rough)
    calls: dict[str, Callable[[], np.ndarray]] = {
        "SentenceTransformer": lambda: peer.encode(texts),
        "... in batches of 4": lambda: peer.encode(texts, batch_size=4),
        "... bf16 in batches of 4": lambda: rough_peer.encode(texts, batch_size=4),
        "Twofold fp32": lambda: exact.embed_passages(texts),
        "Twofold bf16": lambda: rough.embed_passages(texts),
    }
    print(f"\n{count} texts, {tokens / count:.0f} tokens in the mean")
    expected = peer.encode(texts, batch_size=4)
    rows = {
        name: {"largest_difference": float(np.abs(call() - expected).max())}
        for name, call in calls.items()
    }
    samples = interleaved(calls, rounds)
    for name in calls:
        rows[name] |= {
            **samples[name].summary(),
            "tokens_per_s": tokens / samples[name].median,
            "ratio": _ratio(samples, "SentenceTransformer", name),
        }
    show("embed", rows, "tokens/s", "tokens_per_s")
    return {"texts": count, "mean_tokens": tokens / count, "rows": rows}


def _sentence_transformer(
    folder: Path, dtype: torch.dtype, twin: Qwen3Embedder
) -> SentenceTransformer:
    peer = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": dtype})
    peer[0].model = twin._decoder.model  # noqa: SLF001
    return peer


def _texts(tokenizer: PromptTokenizer, count: int) -> list[str]:
    from tokenizers import Tokenizer

    core = Tokenizer.from_str(tokenizer.json)
    chance = random.Random(2)
    lengths = [min(int(chance.lognormvariate(4.5, 0.8)) + 4, 512) for _ in range(count)]
    return [text_of(length, core, chance) for length in lengths]


# --- What comes of it -----------------------------------------------------------------------


def _agreement(margins: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    return {
        "largest_difference": float(np.abs(margins - exact).max()),
        "kendall_tau": float(kendalltau(margins, exact).statistic),
    }


def _ratio(samples: dict[str, Samples], baseline: str, name: str) -> float:
    """How many times as fast as the baseline: the median over rounds, each within itself."""
    rounds = zip(samples[baseline].wall, samples[name].wall, strict=True)
    return float(np.median([base / own for base, own in rounds]))


def show(title: str, rows: dict[str, dict[str, float]], unit: str, key: str) -> None:
    """Print a table; columns that a row lacks stay empty."""
    columns = {
        key: f"{unit:>9}",
        "ratio": "   ratio",
        "min_s": "   min s",
        "max_s": "   max s",
        "cpu_median_s": "   cpu s",
        "largest_difference": "difference",
        "kendall_tau": "   tau",
        "of_products": "of products",
        "of_limit": "of limit",
    }
    known = [name for name in columns if any(name in row for row in rows.values())]
    print(f"\n{title:25}" + " ".join(columns[name] for name in known))
    for name, row in rows.items():
        cells = [_cell(column, row[column]).rjust(len(columns[column])) for column in known]
        print(f"{name:25}" + " ".join(cells))


def _cell(column: str, value: float) -> str:
    if column == "largest_difference":
        return f"{value:.1e}"
    if column in ("of_products", "of_limit"):
        return f"{value:.0%}"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def draw(report: dict, path: Path) -> None:
    """Ratios to the peers' default, as bars."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
    parts = [("rerank", BASELINE), ("embed", "SentenceTransformer")]
    for axis, (part, baseline) in zip(axes, parts, strict=True):
        if part not in report:
            continue
        rows = report[part]["rows"]
        names = list(rows)[::-1]
        colours = ["#2a6f97" if name.startswith("Twofold") else "#b8c4cc" for name in names]
        bars = axis.barh(names, [rows[name]["ratio"] for name in names], color=colours)
        axis.bar_label(bars, fmt="%.1fx", padding=3)
        axis.margins(x=0.15)
        axis.set_title(f"{part}: speed relative to {baseline} in fp32", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Qwen3 {report['shape']} shape, {machine()['processor']}", fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Qwen3 reranking and embedding beside peers")
    parser.add_argument("--quick", action="store_true", help="a small shape, for a smoke test")
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--texts", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["rerank", "embed"])
    parser.add_argument("--threads", type=int, help="use 1 on a machine that others use too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
