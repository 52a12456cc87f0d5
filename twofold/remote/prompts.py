"""The prompt formats of the Qwen3 retrieval models, for servers that do not apply them.

Sources: the model cards of Qwen/Qwen3-Reranker-0.6B and Qwen/Qwen3-Embedding-0.6B.
"""

from collections.abc import Sequence

DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

_SYSTEM = (
    "<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
_ASSISTANT = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def qwen3_rerank_query(query: str, instruction: str | None) -> str:
    """The part of the reranker's prompt that all passages of a query share."""
    return f"{_SYSTEM}<Instruct>: {instruction or DEFAULT_INSTRUCTION}\n<Query>: {query}\n"


def qwen3_rerank_passages(passages: Sequence[str]) -> list[str]:
    """The rest of the prompt, which a server puts behind the query as it is."""
    return [f"<Document>: {passage}{_ASSISTANT}" for passage in passages]


def qwen3_embedding_query(query: str, instruction: str | None) -> str:
    """A query as Qwen3-Embedding was trained on it; passages stay as they are."""
    return f"Instruct: {instruction or DEFAULT_INSTRUCTION}\nQuery:{query}"
