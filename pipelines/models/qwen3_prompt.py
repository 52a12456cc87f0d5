"""The prompts of Qwen3-Reranker and Qwen3-Embedding, as token ids, to the letter of their cards.

https://huggingface.co/Qwen/Qwen3-Reranker-0.6B, https://huggingface.co/Qwen/Qwen3-Embedding-0.6B
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from twofold.errors import ModelUnfit

DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

RERANK_PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
RERANK_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
RERANK_BODY = "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
EMBED_QUERY = "Instruct: {instruction}\nQuery:{query}"
END_TOKEN = "<|endoftext|>"  # noqa: S105 - not a password


class Prompt(NamedTuple):
    """A sequence for the model.

    Attributes:
        tokens: Token ids.
        truncated: Whether the text was cut to fit.
    """

    tokens: tuple[int, ...]
    truncated: bool


class PromptTokenizer:
    """The tokenizer of a checkpoint, without padding and with a limit of its own.

    Loaded as transformers loads it, then used through its Rust core: settings such as the padding
    side have no bearing on what comes out.
    """

    def __init__(self, folder: Path, name: str) -> None:
        loaded = _load(folder, name)
        self.json: str = _plain(loaded).to_str()
        self._core = _plain(loaded)
        self._name = name

    def id_of(self, token: str) -> int:
        """Id of a token that the model cannot do without.

        Raises:
            ModelUnfit: The vocabulary lacks it.
        """
        found = self._core.token_to_id(token)
        if found is None:
            raise ModelUnfit(
                model=self._name,
                reason=f"its tokenizer has no token '{token}', so it is not a Qwen3 tokenizer",
            )
        return found

    def exact(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, nothing added and nothing cut."""
        self._core.no_truncation()
        return tuple(self._core.encode(text, add_special_tokens=False).ids)

    def cut(self, texts: Sequence[str], limit: int) -> list[Prompt]:
        """Token ids with what the tokenizer itself adds, at most `limit` each."""
        self._core.enable_truncation(limit)
        encodings = self._core.encode_batch_fast(list(texts))
        return [Prompt(tuple(each.ids), bool(each.overflowing)) for each in encodings]


class RerankPrompts:
    """Query and document as the reranker was trained to read them."""

    def __init__(self, tokenizer: PromptTokenizer, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._prefix = tokenizer.exact(RERANK_PREFIX)
        self._suffix = tokenizer.exact(RERANK_SUFFIX)
        self.body_tokens = max_tokens - len(self._prefix) - len(self._suffix)

    def of(self, query: str, documents: Sequence[str], instruction: str | None) -> list[Prompt]:
        """One prompt a document; the body is cut from its end, the suffix never is."""
        bodies = [
            RERANK_BODY.format(
                instruction=DEFAULT_INSTRUCTION if instruction is None else instruction,
                query=query,
                document=document,
            )
            for document in documents
        ]
        return [
            Prompt(self._prefix + body + self._suffix, truncated)
            for body, truncated in self._tokenizer.cut(bodies, self.body_tokens)
        ]


class EmbedPrompts:
    """Queries with their instruction, documents as they are; both closed by the end token."""

    def __init__(self, tokenizer: PromptTokenizer, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._end = tokenizer.id_of(END_TOKEN)
        self._max_tokens = max_tokens
        self._adds_end = tokenizer.cut([""], max_tokens)[0].tokens[-1:] == (self._end,)

    def queries(self, texts: Sequence[str], instruction: str | None) -> list[tuple[int, ...]]:
        """Token ids of queries under an instruction, or under the card's default."""
        task = DEFAULT_INSTRUCTION if instruction is None else instruction
        return self.passages([EMBED_QUERY.format(instruction=task, query=text) for text in texts])

    def passages(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of texts as they are."""
        if self._adds_end:
            return [prompt.tokens for prompt in self._tokenizer.cut(texts, self._max_tokens)]
        cut = self._tokenizer.cut(texts, self._max_tokens - 1)
        return [(*prompt.tokens, self._end) for prompt in cut]


def _load(folder: Path, name: str) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise ModelUnfit(
            model=name, reason=f"its tokenizer cannot be read ({error}); download it again"
        ) from error


def _plain(loaded: PreTrainedTokenizerBase) -> Tokenizer:
    core = Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    core.no_truncation()
    core.no_padding()
    return core
