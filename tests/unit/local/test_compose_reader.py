from pathlib import Path

import pytest

from infra.local.compose import read
from twofold.errors import ConfigurationError

SERVICE = """
services:
  web:
    image: twofold:1
    command: ["serve", "--port", "${PORT:-8000}"]
    environment: {PRICE: "$$5", NAME: "${NAME}", EMPTY: "${EMPTY-unset}"}
    volumes: ["files:/var/lib/twofold", "models:/models:ro"]
    tmpfs: ["/tmp:size=64m"]
    ports: ["127.0.0.1:9000:8000"]
    expose: ["9100"]
    healthcheck: {test: ["CMD", "true"], interval: 1m30s, start_interval: 500ms}
    secrets: [one, {source: two, target: /run/secrets/two.yaml}]
  worker:
    image: twofold:1
    profiles: [cpu]
  tool:
    image: twofold:1
    profiles: [tools]
    entrypoint: ["what is not started need not be understood"]
secrets:
  one: {file: ./secrets/one}
  two: {file: ./secrets/two}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "docker-compose.yaml"
    path.write_text(SERVICE)
    return path


def test_a_profile_chooses_its_services_and_those_without_one(file: Path) -> None:
    assert set(read(file, {}, "cpu").services) == {"web", "worker"}
    assert set(read(file, {}, "gpu").services) == {"web"}


def test_variables_are_filled_in_as_compose_does_it(file: Path) -> None:
    web = read(file, {"PORT": "", "NAME": "n", "EMPTY": ""}, "cpu").services["web"]
    assert web.command == ["serve", "--port", "8000"]
    assert web.environment == {"PRICE": "$5", "NAME": "n", "EMPTY": ""}
    assert read(file, {"PORT": "1"}, "cpu").services["web"].command[-1] == "1"


def test_a_variable_that_must_be_set_is_asked_for_by_name(file: Path) -> None:
    file.write_text(SERVICE.replace("${NAME}", "${NAME:?who are you}"))
    with pytest.raises(ConfigurationError, match=r"NAME .*who are you"):
        read(file, {}, "cpu")


def test_ports_volumes_secrets_and_durations_are_what_they_mean(file: Path) -> None:
    compose = read(file, {}, "cpu")
    web = compose.services["web"]
    assert web.published == {8000: 9000}
    assert web.listens == [8000, 9100]
    assert web.mounts == {"/var/lib/twofold": "files", "/models": "models"}
    assert web.memory == ["/tmp"]
    assert web.secret_files == {"/run/secrets/one": "one", "/run/secrets/two.yaml": "two"}
    assert compose.secrets == {"one": "./secrets/one", "two": "./secrets/two"}
    assert web.healthcheck is not None
    assert web.healthcheck.interval == 90
    assert web.healthcheck.start_interval == 0.5


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("entrypoint: [sh]", "services.worker.entrypoint"),
        ("env_file: [.env]", "services.worker.env_file"),
        ("restart: sometimes", "services.worker.restart"),
        ("healthcheck: {test: [CMD, true], interval: soon}", "services.worker.healthcheck"),
        ("depends_on: {web: {condition: service_completed_successfully}}", "depends_on"),
    ],
)
def test_what_would_mean_something_else_here_is_refused_by_name(
    file: Path, line: str, named: str
) -> None:
    file.write_text(SERVICE.replace("profiles: [cpu]", line))
    with pytest.raises(ConfigurationError, match=named):
        read(file, {}, "cpu")
