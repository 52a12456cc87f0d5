r"""Models behind a URL: how they are named, what they are sent, how their answers are read.

A model server is named by one setting:

    DIALECT+http[s]://HOST[:PORT][/BASE][?OPTION=VALUE&...]

    cohere+https://api.cohere.com?model=rerank-v3.5&key_env=COHERE_API_KEY
    jina+http://gpu:8000?model=Qwen/Qwen3-Reranker-4B
    tei+http://gpu:8080
    openai+http://gpu:8000?model=Qwen/Qwen3-Embedding-0.6B&dimensions=512
    dmr+http://localhost:12434?backend=llama.cpp&model=ai/qwen3-reranker

Dialects of rerankers: `cohere` (POST /v2/rerank), `jina` (POST /v1/rerank: Jina, vLLM, SGLang,
Infinity with path=/rerank, another Twofold), `tei` (POST /rerank with `texts`), `dmr` (Docker
Model Runner). Dialects of embedders: `openai` (POST /v1/embeddings), `tei` (POST /embed), `dmr`.

Options of both: `model` the served model's name; `key_env` the *name* of the environment
variable that holds the API key (a key in the URL is refused); `path` the endpoint, where it is
not the dialect's own; `backend` the engine in Docker Model Runner's paths; `timeout` seconds for
one request with its retries (30); `retries` (3); `batch` most texts in a request (the server's
own cap where it tells, and 32 otherwise); `max_bytes` most bytes of text in a request.

Options of a reranker: `template=qwen3` sends the whole prompt of Qwen3-Reranker, for a server
that was started without one; `instruction` the default instruction.

Options of an embedder: `dimensions` the length of the vectors (a longer answer is cut and
normalised again, which suits models trained for it); `max_tokens` the longest text that the
model takes whole; `query_prefix` and `passage_prefix` the words that the model's card puts in
front; `prompt_name` a prompt that a TEI server knows, for queries; `instruction` the default
instruction. Queries to a model whose name contains `Qwen3-Embedding` are sent as
`Instruct: {instruction}\nQuery:{query}`, as its card asks.
"""

from twofold.remote.servers import EmbeddingServer, RerankServer, Scored
from twofold.remote.url import EmbedOptions, Remote, RerankOptions, parse_remote

__all__ = [
    "EmbedOptions",
    "EmbeddingServer",
    "Remote",
    "RerankOptions",
    "RerankServer",
    "Scored",
    "parse_remote",
]
