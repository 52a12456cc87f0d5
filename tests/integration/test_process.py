"""The server as an operator meets it: a real process with its own ways to start, die and return."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from twofold import Client
from twofold.errors import TwofoldError

START_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(data: Path, port: int, **settings: str) -> subprocess.Popen[bytes]:
    options = {"DATA_DIR": str(data), "PORT": str(port), **settings}
    environment = {**os.environ, **{f"TWOFOLD_{name}": value for name, value in options.items()}}
    return subprocess.Popen([sys.executable, "-m", "services.api"], env=environment)


def await_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server did not become ready")


@contextmanager
def serving(data: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    process = start(data, port)
    try:
        await_ready(port, process)
        yield port, process
    finally:
        process.kill()
        process.wait(10)


def refusal(data: Path, port: int, **settings: str) -> str:
    """What a server that must not start says, all of it."""
    options = {"DATA_DIR": str(data), "PORT": str(port), **settings}
    environment = {**os.environ, **{f"TWOFOLD_{name}": value for name, value in options.items()}}
    done = subprocess.run(
        [sys.executable, "-m", "services.api"],
        env=environment, capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr


def only_sentence(stderr: str) -> str:
    [sentence] = [line for line in stderr.splitlines() if line.startswith("twofold: ")]
    assert "Traceback" not in stderr
    return sentence


def test_every_accepted_document_survives_kill_9_and_none_twice(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    names = [f"note-{n}.txt" for n in range(200)]
    accepted: set[str] = set()
    with serving(tmp_path / "data") as (port, process):
        client = Client(f"http://127.0.0.1:{port}")
        stop_at = chance.randrange(60, 160)
        for n, name in enumerate(names):
            if n == stop_at:
                process.send_signal(signal.SIGKILL)
            path = tmp_path / name
            path.write_text(f"Note number {n} speaks of topic {n * 7919}.", encoding="utf-8")
            try:
                answer = client.add_files([path])
            except TwofoldError:
                break
            accepted |= {document.id for document in answer.documents}
    assert len(accepted) >= 60
    with serving(tmp_path / "data") as (port, _):
        client = Client(f"http://127.0.0.1:{port}")
        client.wait(accepted, timeout=120)
        rows = list(client.documents())
        assert accepted <= {row.id for row in rows}
        assert len({row.name for row in rows}) == len(rows)
        assert {row.status for row in rows} == {"ready"}
        for row in rows[::20]:
            number = int(row.name.removeprefix("note-").removesuffix(".txt"))
            found = client.search(f"topic {number * 7919}", limit=100).results
            assert [each.document_id for each in found].count(row.id) == 1


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        assert str(port) in only_sentence(refusal(tmp_path, port))


def test_a_data_folder_in_use_is_one_sentence_with_the_holder(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, process):
        sentence = only_sentence(refusal(tmp_path, free_port()))
        assert str(process.pid) in sentence
        assert "TWOFOLD_DATA_DIR" in sentence


def test_a_data_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    assert "TWOFOLD_DATA_DIR" in only_sentence(refusal(tmp_path / "file" / "data", free_port()))


def test_an_open_address_without_keys_is_refused(tmp_path: Path) -> None:
    sentence = only_sentence(refusal(tmp_path, free_port(), HOST="0.0.0.0"))
    assert "TWOFOLD_HOST" in sentence


@pytest.mark.parametrize(
    ("name", "value"), [("EMBEDDER", "gpt"), ("RERANKER", "best"), ("PORT", "eighty")]
)
def test_a_setting_that_is_not_usable_is_named(tmp_path: Path, name: str, value: str) -> None:
    sentence = only_sentence(refusal(tmp_path, free_port(), **{name: value}))
    assert f"TWOFOLD_{name}" in sentence


def test_a_server_stops_cleanly_when_told_to(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, -signal.SIGTERM}
