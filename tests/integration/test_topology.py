"""The services of docker-compose.yaml as processes: what `make up` starts, driven from outside."""

import sys
from pathlib import Path

import pytest
import yaml

from tests.support.live import ROOT
from tests.support.topology import HEAL_S, START_S, up

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

COMPOSE = ROOT / "docker-compose.yaml"


def redis_alone(folder: Path, **changes: object) -> Path:
    """A compose file with one service."""
    said = yaml.safe_load(COMPOSE.read_text())
    api = said["services"]["api"] | {"depends_on": {"redis": {"condition": "service_healthy"}}}
    path = folder / "docker-compose.yaml"
    services = {"redis": said["services"]["redis"] | changes, "api": api}
    path.write_text(yaml.safe_dump({"services": services, "secrets": said["secrets"]}))
    return path


def test_a_runner_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    with up(tmp_path, "--file", str(redis_alone(tmp_path))) as topology:
        topology.until(lambda: topology.services.get("api", {}).get("pid"), START_S)
        assert topology.processes()
        topology.process.kill()
        topology.process.wait()
        topology.process.poll = lambda: None  # type: ignore[method-assign]
        topology.until(lambda: not topology.processes(), HEAL_S)


def test_a_service_that_does_not_start_ends_it_all_with_its_last_words(tmp_path: Path) -> None:
    command = ["redis-server", "--no-such-option", "yes"]
    with up(tmp_path, "--file", str(redis_alone(tmp_path, command=command))) as topology:
        assert topology.process.wait(START_S) == 1
        assert "The service redis does not start" in topology.said()
        assert "no-such-option" in topology.said()
        assert topology.processes() == []
