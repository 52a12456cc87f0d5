import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.live import ROOT, clean_environment

MATERIAL = ROOT / "examples" / "demo"
QUESTIONS = json.loads((MATERIAL / "questions.json").read_text("utf-8"))
COMMAND = [sys.executable, str(ROOT / "examples" / "demo.py")]
WIDE = {"COLUMNS": "200", "TERM": "dumb", "PYTHONUNBUFFERED": "1"}
FORMATS = {".csv", ".docx", ".html", ".json", ".jsonl", ".md", ".pdf", ".txt"}


def run_demo(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment() | WIDE | settings
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=240
    )


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    return run_demo()


@pytest.fixture
def ranks(demo: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """By question: where the answer stood after the first stage and after both."""
    summary = demo.stdout.partition("Where the answering passage stood")[2]
    rows = re.findall(
        r"^(.+?)\s{2,}(\S+\.\w+)\s+(\d+|-)\s+(\d+|-)\s+\d+\s*$", summary, re.MULTILINE
    )
    return {question.strip(): (first, both) for question, _, first, both in rows}


@pytest.mark.slow
def test_every_question_of_the_demo_has_its_answer_first(demo, ranks):
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert {question: both for question, (_, both) in ranks.items()} == {
        each["question"]: "1" for each in QUESTIONS
    }


@pytest.mark.slow
def test_several_answers_of_the_demo_are_not_first_without_the_second_stage(ranks):
    assert sum(int(first) > 1 for first, _ in ranks.values()) >= 4


def test_the_demo_does_not_touch_a_server_that_is_already_there():
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 8000))
            other.listen()
        except OSError:
            pass  # somebody listens there already, which does as well
        done = run_demo("--keep")
    assert done.returncode == 1
    assert "port 8000 is taken" in done.stdout


def test_the_demo_says_why_when_the_server_does_not_start():
    done = run_demo(TWOFOLD_RERANKER="no-such-model")
    assert done.returncode == 1
    assert "the server did not start" in done.stdout
    assert "no-such-model" in done.stdout


@pytest.mark.slow
def test_an_interrupted_demo_leaves_no_server_behind():
    with subprocess.Popen(
        COMMAND, env=clean_environment() | WIDE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    port = re.search(r"127\.0\.0\.1:(\d+)", first_line)
    assert process.returncode == 130
    assert port, first_line
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port[1]))) != 0


def test_the_demo_has_a_document_of_every_format_and_asks_for_them_by_name():
    documents = {path.name for path in (MATERIAL / "documents").iterdir()}
    assert {Path(name).suffix for name in documents} == FORMATS
    assert {each["document"] for each in QUESTIONS} <= documents
