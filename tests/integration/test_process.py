"""The server as an operator meets it: a real process with its own ways to start, die and return."""

import asyncio
import random
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from services.api.__main__ import listen, require_keys
from tests.support.keys import make_key
from tests.support.live import ROOT, SERVER, START_S, environment, free_port, live_server
from twofold import Client
from twofold.errors import TwofoldError


def refusal(folder: Path, port: int, **settings: str) -> str:
    """What a server that must not start says, all of it."""
    done = subprocess.run(
        SERVER,
        cwd=ROOT,
        env=environment(folder, port, settings),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
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
    with live_server(tmp_path) as server, Client(server.url) as client:
        stop_at = chance.randrange(60, 160)
        for n, name in enumerate(names):
            if n == stop_at:
                server.process.send_signal(signal.SIGKILL)
            path = tmp_path / name
            path.write_text(f"Note number {n} speaks of topic {n * 7919}.", encoding="utf-8")
            try:
                answer = client.add_files([path])
            except TwofoldError:
                break
            accepted |= {document.id for document in answer.documents}
    assert len(accepted) >= 60
    with live_server(tmp_path) as server, Client(server.url) as client:
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
    with live_server(tmp_path) as server:
        sentence = only_sentence(refusal(tmp_path, free_port()))
        assert str(server.process.pid) in sentence
        assert "TWOFOLD_DATA_DIR" in sentence


def test_a_data_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder", encoding="utf-8")
    assert "TWOFOLD_DATA_DIR" in only_sentence(refusal(tmp_path, free_port()))


def test_an_open_address_without_keys_is_refused(tmp_path: Path) -> None:
    sentence = only_sentence(refusal(tmp_path, free_port(), HOST="0.0.0.0"))
    assert "TWOFOLD_HOST" in sentence
    assert "twofold keys create" in sentence


def test_an_open_address_with_keys_is_fine(tmp_path: Path) -> None:
    make_key(tmp_path / "keys.json")
    require_keys("0.0.0.0", tmp_path / "keys.json")


def test_a_keys_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "keys.json"
    assert str(missing) in only_sentence(refusal(tmp_path, free_port(), API_KEYS_FILE=str(missing)))


@pytest.mark.parametrize(
    ("name", "value"), [("EMBEDDER", "gpt"), ("RERANKER", "best"), ("PORT", "eighty")]
)
def test_a_setting_that_is_not_usable_is_named(tmp_path: Path, name: str, value: str) -> None:
    sentence = only_sentence(refusal(tmp_path, free_port(), **{name: value}))
    assert f"TWOFOLD_{name}" in sentence


def test_a_server_stops_cleanly_when_told_to(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) in {0, -signal.SIGTERM}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_answer_waits_for_an_acknowledgement(host: str) -> None:
    """Nagle's algorithm is off for what is accepted: head and body of an answer are two writes."""

    async def accepted() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer: socket.socket = writer.get_extra_info("socket")
            told.set_result(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listen(host, 0)
        async with await asyncio.start_server(look, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            writer.close()
            return await asyncio.wait_for(told, 10)

    assert asyncio.run(accepted())
