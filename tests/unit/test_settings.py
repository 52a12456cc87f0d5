from pathlib import Path

import pytest

from pipelines.build import worker_streams
from pipelines.settings import Settings, read_settings
from twofold.errors import ConfigurationError

REDIS, QDRANT = "redis://127.0.0.1:6379/0", "http://127.0.0.1:6333"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "QDRANT_URL", "PORT", "SECRETS_DIR"):
        monkeypatch.delenv(f"TWOFOLD_{name}", raising=False)


def test_nothing_set_is_one_process():
    assert not read_settings().distributed


def test_both_servers_set_is_distributed(monkeypatch):
    monkeypatch.setenv("TWOFOLD_REDIS_URL", REDIS)
    monkeypatch.setenv("TWOFOLD_QDRANT_URL", QDRANT)
    assert read_settings().distributed


@pytest.mark.parametrize(
    ("given", "missing"), [("REDIS_URL", "QDRANT_URL"), ("QDRANT_URL", "REDIS_URL")]
)
def test_one_server_without_the_other_is_refused_by_the_name_of_what_is_missing(
    monkeypatch, given, missing
):
    monkeypatch.setenv(f"TWOFOLD_{given}", "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=f"TWOFOLD_{missing} is not usable.*{given} is;"):
        _ = read_settings().distributed


def test_copies_of_vectors_are_refused_where_no_server_would_keep_them(monkeypatch):
    monkeypatch.setenv("TWOFOLD_QDRANT_QUANTIZATION", "int8")
    with pytest.raises(ConfigurationError, match="take a Qdrant server"):
        _ = read_settings().distributed
    monkeypatch.setenv("TWOFOLD_QDRANT_QUANTIZATION", "none")
    assert not read_settings().distributed


def test_a_secret_may_lie_in_a_file_and_is_never_shown(monkeypatch, tmp_path: Path):
    (tmp_path / "twofold_redis_url").write_text(f"{REDIS}\n")
    monkeypatch.setenv("TWOFOLD_SECRETS_DIR", str(tmp_path))
    settings = read_settings()
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == REDIS
    assert REDIS not in repr(settings)


def test_the_environment_wins_over_a_file(monkeypatch, tmp_path: Path):
    (tmp_path / "twofold_port").write_text("9000")
    monkeypatch.setenv("TWOFOLD_SECRETS_DIR", str(tmp_path))
    assert read_settings().port == 9000
    monkeypatch.setenv("TWOFOLD_PORT", "9001")
    assert read_settings().port == 9001


def test_a_folder_of_secrets_that_is_not_there_is_named(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("TWOFOLD_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="there is no folder"):
        read_settings()


def test_a_value_that_is_not_usable_is_named_by_its_variable(monkeypatch):
    monkeypatch.setenv("TWOFOLD_PORT", "many")
    with pytest.raises(ConfigurationError, match="TWOFOLD_PORT"):
        read_settings()


def test_every_embedder_is_named_once_with_the_default_first():
    settings = Settings(embedder="minilm", other_embedders=" qwen3:a , minilm,qwen3:b,")
    assert settings.embedders == ["minilm", "qwen3:a", "qwen3:b"]
    assert Settings(embedder="minilm", other_embedders="").embedders == ["minilm"]


def test_a_worker_reads_a_stream_for_each_embedder_that_is_not_behind_a_url():
    settings = Settings(
        embedder="minilm", other_embedders="qwen3:a,openai+http://gpu:8000", reranker="none"
    )
    streams = [stream.key for stream in worker_streams(settings)]
    assert streams == ["twofold:embed:minilm", "twofold:embed:qwen3:a"]
