"""A reranker and an embedder behind a URL: batches, caps, prompts, honest truncation."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import ClassVar, NamedTuple, TypeVar

import httpx

from twofold.errors import ConfigurationError, ModelUnavailable
from twofold.remote import dialects, prompts
from twofold.remote.http import JsonClient, TooMuch
from twofold.remote.url import Dialect, EmbedOptions, RerankOptions

PARALLEL = 4
"""Requests in flight at once: enough to keep a server's own batching busy."""
DEFAULT_BATCH = 32
DEFAULT_BYTES = 10 * 1024 * 1024
ENVELOPE_BYTES = 16 * 1024
"""Kept free under a cap for the parts of a body that are not texts."""
SHORTEST_CUT = 256
"""A text that is still refused at this many characters was not refused for its length."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class Scored(NamedTuple):
    """Scores of one query's passages in their order; `truncated` where the end was cut off."""

    scores: list[float]
    truncated: list[bool]


class _Server:
    """What both roles share: the connection, the caps, the splitting."""

    _kind: ClassVar[dialects.ModelKind]

    def __init__(
        self,
        url: str,
        dialect: Dialect,
        options: RerankOptions | EmbedOptions,
        *,
        role: str,
        paths: Mapping[Dialect, str],
        api_key: str | None,
        transport: httpx.BaseTransport | None,
        sleep: Callable[[float], None],
    ) -> None:
        if dialect not in paths:
            raise ConfigurationError(
                setting=f"dialect '{dialect}'", reason=f"a {role} speaks {', '.join(paths)}"
            )
        self.url = url
        self.dialect = dialect
        self._endpoint = dialects.endpoint(url, options.path or paths[dialect], options.backend)
        self._model = options.model
        self._asked_batch = options.batch
        self._max_bytes = options.max_bytes or dialects.MAX_BYTES.get(dialect, DEFAULT_BYTES)
        self._learned_batch: int | None = None
        self._info: dict[str, object] | None = None
        self._warned = False
        self._http = JsonClient(
            url,
            role=role,
            api_key=api_key,
            timeout=options.timeout,
            retries=options.retries,
            transport=transport,
            sleep=sleep,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _warn_once(self, message: str, *values: object) -> None:
        if not self._warned:
            self._warned = True
            log.warning(message, *values)

    @property
    def info(self) -> Mapping[str, object]:
        """What TEI's `GET /info` says; empty for every other server, and while it is away."""
        if self._info is None and self.dialect == "tei":
            try:
                reply = self._http.get(dialects.endpoint(self.url, "/info"))
            except ModelUnavailable as error:
                if error.details.get("status") != 404:
                    return {}
                reply = {}  # some gateways pass on the endpoint and not /info
            self._info = dialects.read_info(reply, self._kind)
        return self._info or {}

    def served_model(self) -> str | None:
        """The name in the setting, else of the one model that the server says it serves.

        Raises:
            ModelUnavailable: It does not say.
        """
        if self._model is not None:
            return self._model
        if isinstance(told := self.info.get("model_id"), str):
            return told
        listing = "/engines/v1/models" if self.dialect == "dmr" else "/v1/models"
        listed = self._http.get(dialects.endpoint(self.url, listing))
        names = dialects.read_models(listed, self._kind)
        return names[0] if len(names) == 1 else None

    @property
    def batch(self) -> int:
        """Most texts in one request."""
        told = self.info.get("max_client_batch_size")
        caps = [self._asked_batch, told if isinstance(told, int) else None, self._learned_batch]
        known = [cap for cap in caps if cap]
        return min(known) if known else DEFAULT_BATCH

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Neighbours that fit both caps; a text that is over the byte cap alone goes alone."""
        room = max(self._max_bytes - ENVELOPE_BYTES, 1)
        most = self.batch
        part: list[str] = []
        size = 0
        for text in texts:
            weight = len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) + 2
            if part and (len(part) == most or size + weight > room):
                yield part
                part, size = [], 0
            part.append(text)
            size += weight
        if part:
            yield part

    def _split(
        self, texts: Sequence[str], call: Callable[[Sequence[str]], list[T]]
    ) -> list[tuple[T, bool]]:
        """One answer per text, with whether the text had to be cut; several requests at once."""
        batches = list(self._batches(texts))
        if len(batches) < 2:
            return [each for batch in batches for each in self._halving(batch, call)]
        with ThreadPoolExecutor(PARALLEL) as pool:
            answers = pool.map(lambda batch: self._halving(batch, call), batches)
            return [each for answer in answers for each in answer]

    def _halving(
        self, texts: Sequence[str], call: Callable[[Sequence[str]], list[T]]
    ) -> list[tuple[T, bool]]:
        """Half of the texts, then half of the text, until the server takes it."""
        try:
            return [(answer, False) for answer in call(texts)]
        except TooMuch as refusal:
            if len(texts) > 1:
                half = (len(texts) + 1) // 2
                log.info("%s takes no batch of %d: halved", self.url, len(texts))
                answers = self._halving(texts[:half], call) + self._halving(texts[half:], call)
                if not any(cut for _, cut in answers):  # else it was a text, and not the batch
                    self._learned_batch = min(self._learned_batch or half, half)
                return answers
            if len(texts[0]) <= SHORTEST_CUT:
                raise self._http.unavailable(
                    f"it refuses a single text of {len(texts[0])} characters: {refusal}",
                    status=413,
                ) from None
            (answer, _) = self._halving([texts[0][: len(texts[0]) // 2]], call)[0]
            return [(answer, True)]

    def _read(self, read: Callable[[object, int], list[T]], reply: object, count: int) -> list[T]:
        try:
            return read(reply, count)
        except dialects.UnreadableReply as error:
            raise self._http.unavailable(str(error), status=200) from None


class RerankServer(_Server):
    """A cross-encoder behind a URL.

    Args:
        url: Base URL, without secrets.
        dialect: One of `cohere`, `jina`, `tei`, `dmr`.
        options: As the setting gives them.
        api_key: Sent as a bearer token.
        transport: Replaces the network in tests.
        sleep: Replaces the pause between tries in tests.
    """

    _kind = "rerank"

    def __init__(
        self,
        url: str,
        dialect: Dialect,
        options: RerankOptions | None = None,
        *,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        options = options or RerankOptions()
        super().__init__(
            url,
            dialect,
            options,
            role="reranker",
            paths=dialects.RERANK_PATHS,
            api_key=api_key,
            transport=transport,
            sleep=sleep,
        )
        self._instruction = options.instruction
        self._template = options.template

    @cached_property
    def name(self) -> str:
        """The served model, or the URL where neither setting nor server tells it."""
        try:
            served = self.served_model()
        except ModelUnavailable:
            served = None
        return served or f"{self.dialect}+{self.url}"

    @property
    def takes_instructions(self) -> bool:
        """Whether an instruction reaches the model."""
        return self._template is not None or self.dialect == "jina"

    def score(
        self, query: str, passages: Sequence[str], *, instruction: str | None = None
    ) -> Scored:
        """Scores of the passages in their order, as the server gives them.

        Raises:
            ModelUnavailable: Not every passage could be scored.
        """
        instruction = instruction or self._instruction
        if instruction and not self.takes_instructions:
            self._warn_once(
                "%s has no place for an instruction in the dialect '%s'; it is not sent. "
                "For a Qwen3 reranker add template=qwen3 to its URL.",
                self.url,
                self.dialect,
            )

        def call(part: Sequence[str]) -> list[float]:
            body = self._body(query, [text or " " for text in part], instruction)
            return self._read(
                dialects.read_scores, self._http.post(self._endpoint, body), len(part)
            )

        answers = self._split(passages, call)
        return Scored([score for score, _ in answers], [cut for _, cut in answers])

    def _body(self, query: str, passages: list[str], instruction: str | None) -> dialects.Body:
        if self._template is None:
            return dialects.rerank_body(
                self.dialect, query, passages, model=self._model, instruction=instruction
            )
        return dialects.rerank_body(
            self.dialect,
            prompts.qwen3_rerank_query(query, instruction),
            prompts.qwen3_rerank_passages(passages),
            model=self._model,
            truncate=False,
        )


class EmbeddingServer(_Server):
    """An embedding model behind a URL; arguments as of `RerankServer`.

    Its dialects are `openai`, `tei` and `dmr`.
    """

    _kind = "embedding"

    def __init__(
        self,
        url: str,
        dialect: Dialect,
        options: EmbedOptions | None = None,
        *,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options or EmbedOptions()
        super().__init__(
            url,
            dialect,
            self._options,
            role="embedder",
            paths=dialects.EMBED_PATHS,
            api_key=api_key,
            transport=transport,
            sleep=sleep,
        )

    @cached_property
    def name(self) -> str:
        """The served model: from the setting, else as the server tells it.

        Raises:
            ConfigurationError: Neither names one; a collection must know its model for certain.
            ModelUnavailable: The server does not answer.
        """
        try:
            served = self.served_model()
        except ModelUnavailable as error:
            if error.details.get("status") is None:
                raise
            served = None
        if served is None:
            raise ConfigurationError(
                setting=f"the embedder at {self.url}",
                reason="it does not say which one model it serves; add ?model=NAME to the URL",
            )
        return served

    @property
    def max_tokens(self) -> int:
        """Longest text that the model takes whole; 512 when neither setting nor server tells."""
        told = self.info.get("max_input_length")
        return self._options.max_tokens or (told if isinstance(told, int) else 512)

    @property
    def takes_instructions(self) -> bool:
        """Whether an instruction reaches the model."""
        return "qwen3-embedding" in self.name.lower() and not self._options.query_prefix

    def embed_queries(
        self, texts: Sequence[str], *, instruction: str | None = None
    ) -> list[Sequence[float]]:
        """Vectors of queries in their order, each under the prompt that its model wants.

        Raises:
            ModelUnavailable: Not every text could be embedded.
        """
        instruction = instruction or self._options.instruction
        if self.takes_instructions:
            texts = [prompts.qwen3_embedding_query(text, instruction) for text in texts]
        else:
            if instruction:
                self._warn_once(
                    "Twofold knows no form of instruction for '%s'; it is not sent. "
                    "Add query_prefix=... to its URL if its card names one.",
                    self.name,
                )
            texts = [self._options.query_prefix + text for text in texts]
        return self._embed(texts, self._options.prompt_name)

    def embed_passages(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """Vectors of passages in their order; raises as `embed_queries`."""
        return self._embed([self._options.passage_prefix + text for text in texts], None)

    def _embed(self, texts: Sequence[str], prompt_name: str | None) -> list[Sequence[float]]:
        model = self.name if self.dialect != "tei" else None

        def call(part: Sequence[str]) -> list[Sequence[float]]:
            body = dialects.embed_body(
                self.dialect,
                [text or " " for text in part],  # empty inputs are refused by most servers
                model=model,
                dimensions=self._options.dimensions,
                prompt_name=prompt_name,
            )
            return self._read(
                dialects.read_vectors, self._http.post(self._endpoint, body), len(part)
            )

        return [vector for vector, _ in self._split(texts, call)]
