"""What becomes of the compose file on this machine; nothing is started."""

import os
from pathlib import Path

import pytest

from infra.local.compose import Compose, read
from infra.local.layout import Layout, lay_out
from tests.support.live import ROOT, free_port

FILE = ROOT / "docker-compose.yaml"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Of a person who has neither Redis nor Qdrant installed."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return {"PATH": "/usr/bin:/bin", "TWOFOLD_PORT": str(free_port()), "HOME": str(tmp_path)}


@pytest.fixture
def compose(environment: dict[str, str]) -> Compose:
    return read(FILE, environment, "cpu")


def secrets_of(data: Path, service: str) -> dict[str, str]:
    folder = data / "run" / service / "secrets"
    return {path.name: path.read_text() for path in folder.iterdir()}


def text_of(layout: Layout) -> str:
    """Every command and value that is used."""
    return "\n".join(
        text
        for each in layout.planned.values()
        for text in (*each.program.command, *each.program.environment.values())
    )


def test_everything_runs_here_and_nothing_of_a_container_is_left(
    compose: Compose, environment: dict[str, str], tmp_path: Path
) -> None:
    layout = lay_out(compose, tmp_path, environment)
    assert list(layout.planned) == ["qdrant", "redis", "api", "ingest", "reranker"]
    assert layout.elsewhere == {}
    assert layout.url.endswith(environment["TWOFOLD_PORT"])
    said = text_of(layout)
    for container in ("qdrant:6333", "redis:6379", "0.0.0.0", "/run/secrets/", "/var/lib/twofold"):
        assert container not in said.replace(str(tmp_path), "")
    redis = layout.planned["redis"].ports[0]
    url = secrets_of(tmp_path, "api")["twofold_redis_url"]
    assert url.endswith(f"@127.0.0.1:{redis}/0")
    assert set(secrets_of(tmp_path, "reranker")) == {"twofold_redis_url"}
    assert "trying only" in layout.planned["qdrant"].program.note
    assert "test environment" in layout.planned["redis"].program.note


def test_servers_that_run_elsewhere_are_used_and_not_started(
    compose: Compose, environment: dict[str, str], tmp_path: Path
) -> None:
    environment |= {
        "TWOFOLD_REDIS_URL": "redis://:pw@cache.example:6379/3",
        "TWOFOLD_QDRANT_URL": "https://qdrant.example:6333",
    }
    layout = lay_out(compose, tmp_path, environment)
    assert list(layout.planned) == ["api", "ingest", "reranker"]
    assert layout.elsewhere == {"redis": "TWOFOLD_REDIS_URL", "qdrant": "TWOFOLD_QDRANT_URL"}
    api = layout.planned["api"].program.environment
    assert api["TWOFOLD_QDRANT_URL"] == "https://qdrant.example:6333"
    assert secrets_of(tmp_path, "api") == {"twofold_redis_url": environment["TWOFOLD_REDIS_URL"]}
    environment["TWOFOLD_QDRANT_API_KEY"] = "theirs"
    lay_out(compose, tmp_path, environment)
    assert secrets_of(tmp_path, "ingest")["twofold_qdrant_api_key"] == "theirs"


def test_programs_of_this_machine_come_before_what_the_tests_bring(
    compose: Compose,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("redis-server", "qdrant"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    layout = lay_out(compose, tmp_path / "data", environment)
    redis, qdrant = (layout.planned[name].program for name in ("redis", "qdrant"))
    assert redis.command[0] == str(tmp_path / "bin" / "redis-server")
    assert qdrant.command[:2] == (str(tmp_path / "bin" / "qdrant"), "--config-path")
    port = layout.planned["qdrant"].ports[0]
    assert qdrant.environment["QDRANT__SERVICE__HTTP_PORT"] == str(port)
    assert qdrant.environment["QDRANT__SERVICE__HOST"] == "127.0.0.1"


def test_settings_of_the_person_count_only_where_the_file_asks_for_them(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment |= {"TWOFOLD_RERANKER": "none", "TWOFOLD_DATA_DIR": "/home/me/precious"}
    layout = lay_out(read(FILE, environment, "cpu"), tmp_path, environment)
    for name in ("api", "ingest", "reranker"):
        told = layout.planned[name].program.environment
        assert told["TWOFOLD_RERANKER"] == "none"
        assert "precious" not in told.get("TWOFOLD_DATA_DIR", "")
