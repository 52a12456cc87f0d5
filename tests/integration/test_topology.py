"""The services of docker-compose.yaml as processes: what `make up` starts, driven from outside."""

import json
import signal
import sys
from pathlib import Path

import pytest
import redis
import yaml

from infra.local.compose import read
from tests.support.live import ROOT
from tests.support.topology import HEAL_S, START_S, STOP_S, Up, up
from twofold import Client
from twofold.errors import TwofoldError
from twofold.schema import SearchResponse

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

COMPOSE = ROOT / "docker-compose.yaml"
DOCUMENTS = sorted((ROOT / "examples" / "demo" / "documents").iterdir())
DEADLINE_MS = 60_000  # on a busy machine the scores of a first batch take seconds
QUESTIONS = json.loads((ROOT / "examples" / "demo" / "questions.json").read_text())


def keeps_what_it_is_given(topology: Up) -> None:
    """Redis runs with the options of the compose file, and asks for the password."""
    url = (topology.data / "run" / "api" / "secrets" / "twofold_redis_url").read_text()
    with redis.Redis.from_url(url) as client:
        info = client.info()
    assert isinstance(info, dict)
    assert info["aof_enabled"] == 1
    assert info["maxmemory_policy"] == "noeviction"
    assert info["maxmemory"] == 1 << 30
    stranger = redis.Redis.from_url(f"redis://{url.partition('@')[2]}")
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.get("anything")


def both_stages(client: Client, question: str) -> SearchResponse | None:
    """An answer of both stages; None while a part is on its way back."""
    try:
        answer = client.search(question, deadline_ms=DEADLINE_MS)
    except TwofoldError:
        return None
    return answer if answer.rerank.status == "applied" else None


def upload(client: Client, folder: Path, name: str) -> str:
    """A small document that is ready; returns its id."""
    path = folder / f"{name}.txt"
    path.write_text(f"The {name} was replaced while everything else went on.")
    [document] = client.add_files([path], wait=HEAL_S).documents
    assert document.status == "ready", document
    return document.id


@pytest.mark.slow
@pytest.mark.timeout(START_S + 5 * 3 * HEAL_S + STOP_S)
def test_the_services_of_the_compose_file_serve_heal_and_stop_without_docker(
    tmp_path: Path,
) -> None:
    wanted = read(COMPOSE, {}, "cpu").services
    with up(tmp_path) as topology:
        topology.wait_until_healthy()
        assert set(topology.services) == set(wanted)
        keeps_what_it_is_given(topology)
        with Client(topology.url) as client:
            serves(topology, client)
            for name in wanted:
                topology.kill(name)
                heals(topology, client, tmp_path, name)
            names = [each.name for each in client.documents()]
            assert sorted(names) == sorted(
                [*(path.name for path in DOCUMENTS), *(f"{name}.txt" for name in wanted)]
            )
        topology.process.send_signal(signal.SIGINT)
        assert topology.process.wait(STOP_S) == 0, topology.said()
        assert topology.processes() == []


def serves(topology: Up, client: Client) -> None:
    """Uploads become ready, and a question is answered by both stages."""
    accepted = client.add_files(DOCUMENTS, wait=START_S)
    assert {each.status for each in accepted.documents} == {"ready"}, topology.said()
    readiness = client.ready()
    assert readiness.workers == {"embedder": 1, "reranker": 1, "ingestion": 1}
    assert readiness.store == "qdrant"
    for each in QUESTIONS[:3]:
        answer = client.search(each["question"], deadline_ms=DEADLINE_MS)
        assert answer.rerank.status == "applied", f"{answer.rerank.reason}\n{topology.said()}"
        assert answer.results[0].name == each["document"]


def heals(topology: Up, client: Client, folder: Path, name: str) -> None:
    """After a SIGKILL of one service: old and new documents are found, by both stages."""
    first = QUESTIONS[0]
    answer = topology.until(lambda: both_stages(client, first["question"]), HEAL_S)
    assert answer.results[0].name == first["document"]
    document = upload(client, folder, name)
    answer = topology.until(lambda: both_stages(client, f"was the {name} replaced"), HEAL_S)
    assert document in {each.document_id for each in answer.results}


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
