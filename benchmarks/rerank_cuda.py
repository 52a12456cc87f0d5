"""B1 on a GPU: pairs a second of the packed engine at the published sizes, random weights.

    PYTHONPATH=. python3 benchmarks/rerank_cuda.py                 0.6B, 4B and 8B
    PYTHONPATH=. python3 benchmarks/rerank_cuda.py --sizes 0.6B --rounds 3 --out /tmp/results

64 candidates a query, 16 queries in flight, prompts of 165 and of 512 tokens in the mean. Nothing
is downloaded or written but the results; each size is built on the device and dropped again.
Time is from texts to scores on the host, tokens included, as a worker sees it; `engine` leaves
the tokeniser out. `of products` is arithmetic over what bare bf16 products achieve in the same
run, `of limit` is pairs over those of 989 TFLOP/s, the H200's data sheet. Before it is timed, each
size is checked against transformers on a few prompts.
"""

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from measure import RESULTS, machine, product_flops, products, save
from qwen3_model import WORDS, config_of, save_real_size_tokenizer, separate_flops, shared_flops
from transformers import Qwen3Model

from pipelines.models.device import pick_attention
from pipelines.models.memory import token_budget
from pipelines.models.packed_attention import SDPA
from pipelines.models.packed_decoder import PackedDecoder
from pipelines.models.packed_row import Branch, common_length
from pipelines.models.pointwise import Pointwise
from pipelines.models.qwen3_prompt import PromptTokenizer, RerankPrompts

QUERIES = 16
CANDIDATES = 64
LENGTHS = (165, 512)
DATA_SHEET = 989e12
TARGETS = {"0.6B": 4_000, "4B": 700, "8B": 400}
PRODUCT_ROWS = 16_384


def main() -> None:
    """Measure every size and length, print a table, write JSON."""
    options = _options()
    device = torch.device(options.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with tempfile.TemporaryDirectory() as folder:
        save_real_size_tokenizer(Path(folder), ends=False)
        prompts = RerankPrompts(PromptTokenizer(Path(folder), "benchmark"), 8_192)
    rows = []
    print(f"{'size':6}{'L':>5}{'contestant':>22}{'pairs/s':>10}{'of products':>12}{'of limit':>10}")
    for size in options.sizes:
        model = _model(size, device, dtype)
        difference = _difference(model, prompts)
        for length in LENGTHS:
            for row in _measure(model, prompts, size, length, options):
                rows.append(row | {"difference": difference})
                print(
                    f"{size:6}{length:5}{row['contestant']:>22}{row['pairs_per_s']:10.0f}"
                    f"{row['of_products']:12.0%}{row['of_limit']:10.0%}",
                    flush=True,
                )
        print(f"{size:6} largest relative difference to transformers: {difference:.1e}")
        del model
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    report = {"benchmark": "B1 CUDA", "machine": machine(), "targets": TARGETS, "rows": rows}
    print(f"written: {save('rerank-cuda', report, options.out)}")


@torch.inference_mode()
def _model(size: str, device: torch.device, dtype: torch.dtype) -> Qwen3Model:
    """Random weights, made on the device in the number format that they are used in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            model = Qwen3Model(config_of(size)).eval()
    finally:
        torch.set_default_dtype(before)
    # Positions are computed in fp32 whatever the weights are.
    model.rotary_emb.inv_freq = model.rotary_emb.inv_freq.float()
    return model


@torch.inference_mode()
def _difference(model: Qwen3Model, prompts: RerankPrompts) -> float:
    """Largest difference of a final state to that of transformers, over their largest number."""
    tokens = [each.tokens for each in prompts.of("capital", WORDS[:4], None)]
    found = _decoder(model).last_states([Branch.of(tokens)])
    expected = torch.cat(
        [
            model(torch.tensor([each], device=model.device)).last_hidden_state[:, -1]
            for each in tokens
        ]
    ).float()
    return float((found - expected).abs().max() / expected.abs().max())


def _decoder(
    model: Qwen3Model, *, constant: tuple[int, ...] = (), attention: str | None = None
) -> PackedDecoder:
    return PackedDecoder(
        model,
        token_budget=token_budget(model.config, model.dtype, model.device),
        attention=attention or pick_attention(model.device, model.dtype),
        constant=constant,
    )


def _measure(
    model: Qwen3Model,
    prompts: RerankPrompts,
    size: str,
    length: int,
    options: argparse.Namespace,
) -> list[dict[str, float | str]]:
    batch = _texts(prompts, length, options.queries)
    tokens = [_tokens(prompts, query, passages) for query, passages in batch]
    constant = tokens[0][0][: common_length([each for group in tokens for each in group])]
    decoder = _decoder(model, constant=constant)
    plain = _decoder(model, constant=constant)
    plain._layer._pointwise = Pointwise()  # noqa: SLF001
    by_pieces = _decoder(model, constant=constant, attention=SDPA)
    head = torch.randn(model.config.hidden_size, device=model.device)
    shared = [Branch.of(group) for group in tokens]
    alone = [Branch((), [each]) for group in tokens for each in group]

    def score(engine: PackedDecoder, branches: list[Branch]) -> None:
        torch.sigmoid(engine.last_states(branches) @ head).tolist()

    def whole() -> None:
        fresh = [Branch.of(_tokens(prompts, query, passages)) for query, passages in batch]
        score(decoder, fresh)

    calls: dict[str, Callable[[], None]] = {
        "texts to scores": whole,
        "engine": lambda: score(decoder, shared),
        "engine, not compiled": lambda: score(plain, shared),
        "engine, not shared": lambda: score(decoder, alone),
    }
    if options.pieces:
        calls["engine, plain SDPA"] = lambda: score(by_pieces, shared)
    rate = _product_rate(model, options.rounds)
    seconds = _interleaved(calls, options.rounds)
    pairs = sum(len(group) for group in tokens)
    flops = sum(
        shared_flops(model.config, len(stem), [len(leaf) for leaf in leaves])
        for stem, leaves in shared
    )
    apart = separate_flops(model.config, [len(each) for group in tokens for each in group])
    return [
        {
            "size": size,
            "length": length,
            "contestant": name,
            "pairs_per_s": pairs / median(times),
            "min_s": min(times),
            "max_s": max(times),
            "of_products": (apart if "not shared" in name else flops) / median(times) / rate,
            "of_limit": flops / median(times) / DATA_SHEET,
            "tflops_of_products": rate / 1e12,
            "shared_tokens": len(shared[0].stem),
            "token_budget": decoder.token_budget,
        }
        for name, times in seconds.items()
    ]


def _texts(prompts: RerankPrompts, length: int, queries: int) -> list[tuple[str, list[str]]]:
    """Queries with candidates whose prompts have `length` tokens in the mean."""
    chance = random.Random(1)
    batch = []
    for _ in range(queries):
        query = " ".join(chance.choices(WORDS, k=4))
        empty = len(prompts.of(query, [""], None)[0].tokens)
        sample = " ".join(chance.choices(WORDS, k=400))
        per_word = (len(prompts.of(query, [sample], None)[0].tokens) - empty) / 400
        words = (length - empty) / per_word
        sizes = [max(1, round(words * chance.uniform(0.6, 1.4))) for _ in range(CANDIDATES)]
        batch.append((query, [" ".join(chance.choices(WORDS, k=size)) for size in sizes]))
    return batch


def _tokens(prompts: RerankPrompts, query: str, passages: list[str]) -> list[tuple[int, ...]]:
    return [each.tokens for each in prompts.of(query, passages, None)]


def _interleaved(calls: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    for call in calls.values():
        call()
        call()  # the first compiles, the second finds its kernels and its memory
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            _wait()
            started = time.perf_counter()
            call()
            _wait()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def _product_rate(model: Qwen3Model, rounds: int) -> float:
    """Operations a second of bare products in the model's number format."""
    run = products(model.dtype, model.device.type, PRODUCT_ROWS)
    many = 50 if model.device.type == "cuda" else 1

    def repeat() -> None:
        for _ in range(many):
            run()

    return many * product_flops(PRODUCT_ROWS) / median(_interleaved({"": repeat}, rounds)[""])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The packed Qwen3 engine on a GPU")
    parser.add_argument("--sizes", nargs="+", default=list(TARGETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--pieces", action="store_true", help="time the fallback attention too")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
