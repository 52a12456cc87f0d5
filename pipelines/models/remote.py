"""Models behind a URL, as an `Embedder` and a `RerankModel`.

The grammar of the URLs, with every dialect and option, is the docstring of `twofold.remote`,
which also does the talking; here lists become arrays.
"""

from collections.abc import Sequence
from functools import cached_property

import httpx
import numpy as np

from pipelines.ports import Pairs, PairScores, RerankProfile, Vector
from twofold.errors import ConfigurationError, ModelUnavailable
from twofold.remote import (
    EmbeddingServer,
    EmbedOptions,
    RerankOptions,
    RerankServer,
    parse_remote,
)
from twofold.remote.url import Dialect, Remote


class RemoteReranker:
    """A reranking server as a `RerankModel`."""

    def __init__(self, server: RerankServer) -> None:
        self._server = server

    @property
    def name(self) -> str:
        return self._server.name

    @property
    def profile(self) -> RerankProfile:
        """Scores of Qwen3 rerankers are probabilities; of others nothing is known."""
        calibrated = "qwen3-reranker" in self.name.lower()
        return RerankProfile(
            depth=50,
            weight=0.9 if calibrated else 0.7,
            calibrated=calibrated,
            instructed=self._server.takes_instructions,
        )

    def score_batch(self, batch: Sequence[Pairs]) -> list[PairScores]:
        """Raises ModelUnavailable when a passage could not be scored."""
        return [self._score(pairs) for pairs in batch]

    def _score(self, pairs: Pairs) -> PairScores:
        scored = self._server.score(pairs.query, pairs.passages, instruction=pairs.instruction)
        return PairScores(
            np.asarray(scored.scores, dtype=np.float32), np.asarray(scored.truncated, dtype=bool)
        )

    def close(self) -> None:
        """Close the connections."""
        self._server.close()


class RemoteEmbedder:
    """An embedding server as an `Embedder`.

    Args:
        server: Where the vectors come from.
        dimensions: Cut the vectors to this length (Matryoshka representations,
            arXiv:2205.13147) where the server sends longer ones.
    """

    def __init__(self, server: EmbeddingServer, *, dimensions: int | None = None) -> None:
        self._server = server
        self._dimensions = dimensions

    @property
    def name(self) -> str:
        return self._server.name

    @cached_property
    def dimensions(self) -> int:
        """Raises ModelUnavailable when the server has to be asked and does not answer."""
        return self._dimensions or len(self._server.embed_passages(["dimensions"])[0])

    @property
    def max_tokens(self) -> int:
        return self._server.max_tokens

    @property
    def tokenizer_json(self) -> None:
        return None

    @property
    def instructed(self) -> bool:
        """Whether the server's model is one whose form of instruction is known."""
        return self._server.takes_instructions

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return self._unit(self._server.embed_queries(texts, instruction=instruction))

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return self._unit(self._server.embed_passages(texts))

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _unit(self, vectors: Sequence[Sequence[float]]) -> Vector:
        """Cut to the wanted length, then normalise."""
        if len({len(vector) for vector in vectors}) > 1:
            raise self._unreadable("its vectors differ in length")
        matrix = np.asarray(vectors, dtype=np.float32)
        if self._dimensions is not None:
            if matrix.shape[1] < self._dimensions:
                raise self._unreadable(
                    f"its vectors have {matrix.shape[1]} dimensions and {self._dimensions} are set"
                )
            matrix = matrix[:, : self._dimensions]
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        if not lengths.all():
            raise self._unreadable("a vector is zero")
        return np.asarray(matrix / lengths, dtype=np.float32)

    def _unreadable(self, reason: str) -> ModelUnavailable:
        return ModelUnavailable(role="embedder", url=self._server.url, reason=reason)


def remote_reranker(
    setting: str, *, transport: httpx.BaseTransport | None = None
) -> RemoteReranker:
    """The reranker that a setting such as `jina+http://host:8000` names; nothing is sent yet.

    Raises:
        ConfigurationError: The setting is not usable, or the variable of the key is not set.
    """
    remote, dialect = _with_dialect(setting)
    options = RerankOptions.read(remote)
    return RemoteReranker(
        RerankServer(remote.url, dialect, options, api_key=options.api_key(), transport=transport)
    )


def remote_embedder(
    setting: str, *, transport: httpx.BaseTransport | None = None
) -> RemoteEmbedder:
    """The embedder that a setting such as `openai+http://host:8000` names; as above."""
    remote, dialect = _with_dialect(setting)
    options = EmbedOptions.read(remote)
    server = EmbeddingServer(
        remote.url, dialect, options, api_key=options.api_key(), transport=transport
    )
    return RemoteEmbedder(server, dimensions=options.dimensions)


def _with_dialect(setting: str) -> tuple[Remote, Dialect]:
    remote = parse_remote(setting)
    if remote.dialect is None:
        raise ConfigurationError(
            setting=f"the model server {remote.url}",
            reason="it lacks a dialect; write jina+, cohere+, tei+, openai+ or dmr+ before http "
            "(`twofold doctor` finds out which one it speaks)",
        )
    return remote, remote.dialect
