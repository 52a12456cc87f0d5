"""Tiny Qwen3 checkpoints, made in a second: real configs, a trained tokenizer, random weights.

They have everything that a published folder has and nothing of its size, so that transformers and
sentence-transformers load the same folder as Twofold does. Their opinions are random.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import (
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
THINK = ["<think>", "</think>"]
CORPUS = [
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".',
    "Given a web search query, retrieve relevant passages that answer the query",
    "system user assistant <Instruct>: <Query>: <Document>: Instruct: Query:",
    "yes no yes no yes no Beijing is the capital of China and has a great wall nearby",
    "A bow of yew dries for a year before it is tillered, says the bowyer to the baker",
    "gravity pulls bodies towards each other and moves planets around the sun",
    "你好世界 中国的首都是北京 万有引力 مرحبا بالعالم عاصمة الصين 🎯🚀 naïve café",
]
CHAT_TEMPLATE = (
    "<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
    '<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}'
    '\n<Document>: {{ messages | selectattr("role", "eq", "document") '
    '| map(attribute="content") | first }}<|im_end|>\n'
    "<|im_start|>assistant\n<think>\n\n</think>\n\n\n"  # Jinja drops the last newline
)
TINY: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "intermediate_size": 96,
    "max_position_embeddings": 32_768,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    "initializer_range": 0.15,
}


def make_tokenizer(*, ends: bool, corpus: Sequence[str] = CORPUS) -> Tokenizer:
    """A byte-level BPE in the manner of Qwen's; `ends`: it closes a text with its end token."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(
        vocab_size=700, show_progress=False, initial_alphabet=alphabet, special_tokens=CONTROL
    )
    tokenizer.train_from_iterator([*corpus] * 4, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in THINK])
    if ends:
        end = ("<|endoftext|>", tokenizer.token_to_id("<|endoftext|>"))
        tokenizer.post_processor = TemplateProcessing(
            single="$A <|endoftext|>", pair="$A $B <|endoftext|>", special_tokens=[end]
        )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, **settings: object) -> None:
    """Write tokenizer.json and its config, whose `settings` may overrule padding and the like."""
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {
        str(tokenizer.token_to_id(token)): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": token in CONTROL,
        }
        for token in [*CONTROL, *THINK]
    }
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": added,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 131_072,
        "padding_side": "left",
        **settings,
    }
    write_json(folder / "tokenizer_config.json", config)


def make_reranker(
    folder: Path, *, seed: int = 0, tied: bool = True, ends: bool = False, **overrides: object
) -> Path:
    """A reranker as published: `Qwen3ForCausalLM` with the rows "yes" and "no" in its head."""
    tokenizer = make_tokenizer(ends=ends)
    config = _config(tokenizer, tied, overrides)
    torch.manual_seed(seed)
    return _save(Qwen3ForCausalLM(config), tokenizer, folder)


def make_classifier(folder: Path, *, labels: int = 1, seed: int = 0, **overrides: object) -> Path:
    """A reranker converted to sequence classification, with one row or two."""
    tokenizer = make_tokenizer(ends=False)
    config = _config(tokenizer, True, {"num_labels": labels, **overrides})
    torch.manual_seed(seed)
    return _save(Qwen3ForSequenceClassification(config), tokenizer, folder)


def make_embedder(folder: Path, *, seed: int = 0, ends: bool = True, **overrides: object) -> Path:
    """An embedding model with the module files that sentence-transformers reads."""
    tokenizer = make_tokenizer(ends=ends)
    config = _config(tokenizer, True, overrides)
    torch.manual_seed(seed)
    _save(Qwen3ForCausalLM(config), tokenizer, folder)
    kinds = [
        ("", "sentence_transformers.models.Transformer"),
        ("1_Pooling", "sentence_transformers.models.Pooling"),
        ("2_Normalize", "sentence_transformers.models.Normalize"),
    ]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": kind}
        for index, (path, kind) in enumerate(kinds)
    ]
    task = "Given a web search query, retrieve relevant passages that answer the query"
    prompts = {"query": f"Instruct: {task}\nQuery:", "document": ""}
    write_json(folder / "modules.json", modules)
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts})
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": config.hidden_size, "pooling_mode_lasttoken": True},
    )
    (folder / "2_Normalize").mkdir()
    return folder


def write_json(path: Path, value: object) -> None:
    """Write a small JSON file, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), "utf-8")


def _config(tokenizer: Tokenizer, tied: bool, overrides: dict[str, object]) -> Qwen3Config:
    end = tokenizer.token_to_id("<|endoftext|>")
    return Qwen3Config(
        **{
            **TINY,
            "vocab_size": tokenizer.get_vocab_size(),
            "tie_word_embeddings": tied,
            "eos_token_id": end,
            **overrides,
        }
    )


def _save(model: PreTrainedModel, tokenizer: Tokenizer, folder: Path) -> Path:
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:  # all ones would hide a norm that is forgotten
                weight.copy_(1 + 0.3 * torch.randn_like(weight))
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, "utf-8")
    return folder
