"""Models in a process of their own: how it starts, how it ends, and what comes of a death."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.models.apart import models_apart, parent
from pipelines.models.apart.parent import EmbedderApart, ModelProcess
from pipelines.ports import Closeable, Embedder, Instructable, Shortenable, shortest
from pipelines.settings import Settings
from tests.support.checkpoints import make_reranker
from twofold.errors import ConfigurationError, ModelUnfit, ServiceError, StartupError, Unavailable

PATIENCE_S = 30.0
ROOT = Path(__file__).parents[3]
MINILM = Settings(embedder="minilm", reranker="late-interaction")


@pytest.fixture
def embedder() -> Iterator[Embedder]:
    embedder = models_apart(MINILM).embedder
    yield embedder
    assert isinstance(embedder, Closeable)
    embedder.close()


def child_of(process_id: int | None = None) -> psutil.Process:
    """The one process that computes for this one."""
    children = psutil.Process(process_id).children()
    [child] = [each for each in children if parent.COMMAND[-1] in each.cmdline()]
    return child


def kill() -> None:
    child = child_of()
    child.send_signal(signal.SIGKILL)
    # Not waited for: that is the parent's to do.
    until(lambda: child.status() == psutil.STATUS_ZOMBIE)


def until(holds: "object") -> None:
    assert callable(holds)
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def test_what_is_known_of_a_model_is_known_here(embedder: Embedder) -> None:
    assert isinstance(embedder, EmbedderApart)
    assert (embedder.name, embedder.dimensions, embedder.max_tokens) == (
        "all-MiniLM-L6-v2",
        384,
        254,
    )
    assert embedder.tokenizer_json is not None
    assert isinstance(embedder, Instructable)
    assert not isinstance(embedder, Shortenable)
    assert shortest(embedder) == 384


def test_a_setting_that_names_nothing_is_refused_as_ever() -> None:
    with pytest.raises(ConfigurationError, match="TWOFOLD_RERANKER='nonsense'"):
        models_apart(Settings(embedder="minilm", reranker="nonsense"))


def test_weights_that_know_nothing_are_refused_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a folder is looked for from here
    settings = Settings(embedder="minilm", reranker=f"qwen3:{make_reranker(Path('tiny'))}")
    with pytest.raises(ModelUnfit, match="TWOFOLD_SELF_TEST"):
        models_apart(settings)


def test_a_process_that_ends_without_a_word_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "COMMAND", (sys.executable, "-c", "raise SystemExit(7)"))
    with pytest.raises(StartupError, match="ended with"):
        models_apart(MINILM)


def test_what_a_model_raises_is_raised_here(embedder: Embedder) -> None:
    with pytest.raises(TypeError):
        embedder.embed_passages([7])  # type: ignore[list-item]
    assert embedder.embed_passages(["bread"]).shape == (1, 384)


def test_a_call_that_it_dies_in_fails_and_the_next_one_finds_another(embedder: Embedder) -> None:
    failures: list[Exception] = []

    def embed() -> None:
        try:
            embedder.embed_passages(["gravity moves planets around the sun " * 50] * 2_000)
        except ServiceError as error:
            failures.append(error)

    calling = threading.Thread(target=embed)
    busy = child_of()
    before = sum(busy.cpu_times()[:2])
    calling.start()
    until(lambda: sum(busy.cpu_times()[:2]) > before + 0.3)
    kill()
    calling.join(PATIENCE_S)
    [failure] = failures
    assert "died" in str(failure)
    assert not isinstance(failure, Unavailable)  # what it was given may be why
    assert embedder.embed_queries(["bread"]).shape == (1, 384)


def test_one_that_always_dies_is_left_dead_for_a_while(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelProcess, "_start", lambda self: (self._child, self.told))
    kill()
    for _ in range(parent.DEATHS):
        with pytest.raises((ServiceError, OSError)):
            embedder.embed_queries(["bread"])
    with pytest.raises(Unavailable, match="died 3 times"):
        embedder.embed_queries(["bread"])


def test_it_ends_when_it_is_let_go() -> None:
    models = models_apart(MINILM)
    child = child_of()
    for each in (models.embedder, models.reranker):
        assert isinstance(each, Closeable)
        each.close()
    assert not child.is_running()
    with pytest.raises(Unavailable, match="ending"):
        models.embedder.embed_queries(["bread"])


def test_it_ends_with_its_parent_however_that_ends() -> None:
    program = """
import time
from pipelines.models.apart import models_apart
from pipelines.settings import Settings
models = models_apart(Settings(embedder="minilm", reranker="none"))
print("ready", flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        child = child_of(process.pid)
        process.kill()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_models_behind_urls_compute_elsewhere_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "chosen_models", lambda settings: settings.embedder)
    remote = Settings(embedder="tei+http://models", reranker="none")
    assert models_apart(remote) == "tei+http://models"  # type: ignore[comparison-overlap]
