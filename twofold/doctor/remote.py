"""The self-test of a model server; its dialect is found by asking, unless it is given."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TypeAlias, TypeVar

import httpx

from twofold.doctor.embedder import diagnose_embedder
from twofold.doctor.reranker import diagnose_reranker
from twofold.doctor.verdict import Verdict
from twofold.errors import ConfigurationError, ModelUnavailable, TwofoldError
from twofold.remote import (
    EmbeddingServer,
    EmbedOptions,
    Remote,
    RerankOptions,
    RerankServer,
    parse_remote,
)
from twofold.remote.url import DIALECTS, Dialect

LONG_WORDS = 8_000
"""About 9,000 tokens: beyond the 8,192 at which most servers of Qwen3 rerankers cut."""

Server = TypeVar("Server", RerankServer, EmbeddingServer)
Way: TypeAlias = tuple[Dialect, str | None]
"""A dialect, and the path where it is not the dialect's own."""

RERANK_WAYS: tuple[Way, ...] = (
    ("jina", None),
    ("cohere", None),
    ("tei", None),
    ("jina", "/rerank"),
    ("dmr", None),
)
EMBED_WAYS: tuple[Way, ...] = (("openai", None), ("tei", None), ("dmr", None))


def run_doctor(
    *,
    reranker: str | None = None,
    embedder: str | None = None,
    dialect: str | None = None,
    transport: httpx.BaseTransport | None = None,
) -> list[Verdict]:
    """Test the servers that are named, the reranker first.

    Args:
        reranker: URL with options as `twofold.remote` lists them, with or without a dialect.
        embedder: The same.
        dialect: What they speak, where the URL does not say it; else it is found out.
        transport: Replaces the network in tests.

    Raises:
        ConfigurationError: A URL or an option cannot be used. A server that does not answer gets
            a verdict instead.
    """
    verdicts = []
    if reranker is not None:
        remote = _with_dialect(parse_remote(reranker), dialect)
        verdicts.append(_guarded("reranker", remote, transport, doctor_reranker))
    if embedder is not None:
        remote = _with_dialect(parse_remote(embedder), dialect)
        verdicts.append(_guarded("embedder", remote, transport, doctor_embedder))
    return verdicts


def doctor_reranker(remote: Remote, transport: httpx.BaseTransport | None = None) -> Verdict:
    """Test a reranking server.

    Raises:
        ModelUnavailable: It does not answer, or in no known dialect.
    """
    options = RerankOptions.read(remote)
    key = options.api_key()

    def connect(way: Way, retries: int) -> RerankServer:
        dialect, path = way
        chosen = options.model_copy(update={"path": options.path or path, "retries": retries})
        return RerankServer(remote.url, dialect, chosen, api_key=key, transport=transport)

    def ask(server: RerankServer) -> object:
        return server.score("capital of France", ["Paris", "Oslo"])

    way = _find("reranker", remote, RERANK_WAYS, connect, ask)
    with closing(connect(way, options.retries)) as server:
        verdict = _test_reranker(server, way[0])
    return _with_setting(verdict, "TWOFOLD_RERANKER", remote, way)


def doctor_embedder(remote: Remote, transport: httpx.BaseTransport | None = None) -> Verdict:
    """Test an embedding server.

    Raises:
        ModelUnavailable: It does not answer, or in no known dialect.
        ConfigurationError: It does not say which one model it serves, and none is named.
    """
    options = EmbedOptions.read(remote)
    key = options.api_key()

    def connect(way: Way, retries: int) -> EmbeddingServer:
        dialect, path = way
        chosen = options.model_copy(update={"path": options.path or path, "retries": retries})
        return EmbeddingServer(remote.url, dialect, chosen, api_key=key, transport=transport)

    def ask(server: EmbeddingServer) -> object:
        return server.embed_passages(["Paris"])

    way = _find("embedder", remote, EMBED_WAYS, connect, ask)
    with closing(connect(way, options.retries)) as server:
        verdict = diagnose_embedder(
            server.embed_queries,
            server.embed_passages,
            subject=f"embedder {server.name} at {remote.url} ({way[0]})",
            model=server.name,
            unit_length=False,
        )
    return _with_setting(verdict, "TWOFOLD_EMBEDDER", remote, way)


def _test_reranker(server: RerankServer, dialect: Dialect) -> Verdict:
    name = "" if server.name.endswith(server.url) else f" {server.name}"

    def score(query: str, passages: Sequence[str]) -> Sequence[float]:
        return server.score(query, passages).scores

    def instructed(query: str, passages: Sequence[str], instruction: str) -> Sequence[float]:
        return server.score(query, passages, instruction=instruction).scores

    return diagnose_reranker(
        score,
        subject=f"reranker{name} at {server.url} ({dialect})",
        model=server.name,
        instructed=instructed if server.takes_instructions else None,
        long_words=LONG_WORDS,
    )


def _find(
    role: str,
    remote: Remote,
    ways: Sequence[Way],
    connect: Callable[[Way, int], Server],
    ask: Callable[[Server], object],
) -> Way:
    """The first way of asking that gets a readable answer.

    A server that cannot be reached, or that refuses the key, is not asked again another way.
    """
    if remote.dialect is not None:
        return remote.dialect, None
    refusals: list[tuple[Way, TwofoldError]] = []
    for way in ways:
        try:
            with closing(connect(way, 0)) as server:
                ask(server)
        except ModelUnavailable as error:
            status = error.details.get("status")
            if status is None or status in (401, 403):
                raise
            refusals.append((way, error))
        except ConfigurationError as error:  # this dialect has to name a model
            refusals.append((way, error))
        else:
            return way
    tried = "; ".join(
        f"{dialect}{path or ''}: {error.details['reason']}" for (dialect, path), error in refusals
    )
    raise ModelUnavailable(
        role=role, url=remote.url, reason=f"it speaks no dialect that Twofold knows ({tried})"
    )


def _with_dialect(remote: Remote, name: str | None) -> Remote:
    if name is None:
        return remote
    if name not in DIALECTS:
        raise ConfigurationError(
            setting=f"dialect '{name}'", reason=f"known are {', '.join(DIALECTS)}"
        )
    return replace(remote, dialect=DIALECTS[name])


def _with_setting(verdict: Verdict, variable: str, remote: Remote, way: Way) -> Verdict:
    """Add the setting that makes Twofold use a server that was found fit."""
    if not verdict.ok or remote.dialect is not None:
        return verdict
    dialect, path = way
    options = "&".join(
        f"{name}={value}" for name, value in {"path": path, **remote.options}.items() if value
    )
    setting = f"{dialect}+{remote.url}" + (f"?{options}" if options else "")
    return replace(verdict, notes=(*verdict.notes, f"To use it: {variable}='{setting}'"))


def _guarded(
    role: str,
    remote: Remote,
    transport: httpx.BaseTransport | None,
    examine: Callable[[Remote, httpx.BaseTransport | None], Verdict],
) -> Verdict:
    try:
        return examine(remote, transport)
    except ModelUnavailable as error:
        return Verdict(f"{role} at {remote.url}", "unreachable", error.message)
