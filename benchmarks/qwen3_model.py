"""Qwen3 models of the published sizes with random weights, and texts of wanted lengths.

No weights are downloaded: time and memory do not depend on what the weights say. The tokenizer
has 151,669 ids as the real one has, "yes" at 9693 and "no" at 2152, and knows few words.
"""

import json
import random
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests.support.checkpoints import (
    CHAT_TEMPLATE,
    CONTROL,
    CORPUS,
    THINK,
    make_tokenizer,
    save_tokenizer,
    write_json,
)

IDS = 151_669
SHAPES = {
    "0.6B": {"hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16},
    "4B": {"hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32},
    "8B": {"hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32},
    "quick": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4},
}
INNER = {"0.6B": 3072, "4B": 9728, "8B": 12_288, "quick": 768}
WORDS = " ".join(CORPUS[:6]).split()


def config_of(shape: str) -> Qwen3Config:
    """The published config of a size."""
    return Qwen3Config(
        vocab_size=IDS,
        intermediate_size=INNER[shape],
        num_key_value_heads=2 if shape == "quick" else 8,
        head_dim=128,
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=shape != "8B",
        **SHAPES[shape],
    )


def save_real_size_tokenizer(folder: Path, *, ends: bool) -> None:
    """A tokenizer with the ids of the real one where they matter."""
    trained = json.loads(make_tokenizer(ends=False).to_str())
    fixed = {"yes": 9_693, "no": 2_152}
    words = [token for token in trained["model"]["vocab"] if token not in {*fixed, *CONTROL}]
    vocabulary = {token: index for index, token in enumerate(words)} | fixed
    taken = set(vocabulary.values())
    unused = {f"<unused-{index}>": index for index in range(151_643) if index not in taken}
    trained["model"]["vocab"] = vocabulary | unused
    trained["added_tokens"] = []
    tokenizer = Tokenizer.from_str(json.dumps(trained))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in CONTROL])
    between = IDS - tokenizer.get_vocab_size() - len(THINK)
    tokenizer.add_tokens([f"<reserved-{index}>" for index in range(between)])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in THINK])
    if ends:
        from tokenizers.processors import TemplateProcessing

        tokenizer.post_processor = TemplateProcessing(
            single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 151_643)]
        )
    assert tokenizer.get_vocab_size() == IDS
    save_tokenizer(tokenizer, folder)


def save_models(folder: Path, shape: str) -> tuple[Path, Path]:
    """A reranker and an embedding model of that shape, with the same weights on disk once."""
    torch.manual_seed(0)
    reranker, embedder = folder / "reranker", folder / "embedder"
    Qwen3ForCausalLM(config_of(shape)).bfloat16().save_pretrained(reranker)
    embedder.mkdir()
    for name in ("model.safetensors", "config.json"):
        (embedder / name).hardlink_to(reranker / name)
    save_real_size_tokenizer(reranker, ends=False)
    save_real_size_tokenizer(embedder, ends=True)
    (reranker / "chat_template.jinja").write_text(CHAT_TEMPLATE, "utf-8")
    _save_modules(embedder, config_of(shape).hidden_size)
    return reranker, embedder


def text_of(tokens: int, tokenizer: Tokenizer, chance: random.Random) -> str:
    """A text of about so many tokens (never more, and at most a word less)."""
    text = ""
    while True:
        longer = f"{text} {chance.choice(WORDS)}".strip()
        if len(tokenizer.encode(longer, add_special_tokens=False).ids) > tokens:
            return text
        text = longer


def weights_of_layers(config: Qwen3Config) -> float:
    """N: the weights of all layers, without embeddings."""
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    attention = config.hidden_size * (2 * queries + 2 * keys)
    return config.num_hidden_layers * (
        attention + 3 * config.hidden_size * config.intermediate_size
    )


def shared_flops(config: Qwen3Config, prefix: int, lengths: list[int]) -> float:
    """Operations of one query: 2N(P + sum s) + 2lqd(P^2 + sum (s^2 + 2sP))."""
    linear = 2 * weights_of_layers(config) * (prefix + sum(lengths))
    pairs = prefix**2 + sum(length**2 + 2 * length * prefix for length in lengths)
    return linear + _per_pair(config) * pairs


def separate_flops(config: Qwen3Config, lengths: list[int]) -> float:
    """Operations of sequences that share nothing: 2NL + 2lqd L^2 each."""
    linear = 2 * weights_of_layers(config) * sum(lengths)
    return linear + _per_pair(config) * sum(length**2 for length in lengths)


def _per_pair(config: Qwen3Config) -> float:
    return 2.0 * config.num_hidden_layers * config.num_attention_heads * config.head_dim


def _save_modules(folder: Path, hidden: int) -> None:
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)
    pooling = {"word_embedding_dimension": hidden, "pooling_mode_lasttoken": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    (folder / "2_Normalize").mkdir()
