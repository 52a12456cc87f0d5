"""Promise 7: a hostile file costs at most one child, and never the parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines.parse import sandbox
from pipelines.parse.sandbox import DECODED, SandboxedParser
from pipelines.ports import Parsed
from tests.support import hostile_parsers
from twofold.errors import ParseError

HOSTILE_CHILD = Path(hostile_parsers.__file__).with_name("hostile_child.py")
linux = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is a Linux fence")

REFUSED = [
    "opens_a_socket",
    "opens_a_pair_of_sockets",
    "writes_a_file",
    "makes_a_folder",
    "removes_a_file",
    "reads_a_file",
    "makes_memory_into_a_file",
    "forks",
    "runs_a_program",
    "kills_its_parent",
    "starts_threads",
]
OPENING = [
    "opens_a_socket",
    "opens_a_pair_of_sockets",
    "writes_a_file",
    "reads_a_file",
    "makes_memory_into_a_file",
]
BROKEN = [
    "dies_of_a_segmentation_fault",
    "aborts",
    "ends_early",
    "raises",
    "raises_without_a_word",
    "writes_garbage",
    "answers_half",
    "answers_with_a_lone_surrogate",
    "points_outside_the_text",
    "points_backwards",
    "names_no_kind",
]


@pytest.fixture
def attack(tmp_path, monkeypatch):
    """Run one of the hostile parsers; say which fences it meets by the suffix."""
    monkeypatch.setattr(sandbox, "_CHILD", HOSTILE_CHILD)

    def run(name: str, suffix: str = "", **limits) -> Parsed:
        path = tmp_path / "upload"
        path.write_text(name)
        return SandboxedParser(**limits).parse(path, name=f"x{suffix}", media_type=None)

    return run


@linux
@pytest.mark.parametrize("name", REFUSED)
def test_a_parser_reaches_nothing_outside(attack, name):
    assert attack(name).text.startswith("refused")


@pytest.mark.parametrize("name", OPENING)
def test_the_limits_alone_keep_sockets_and_files_shut(attack, name):
    assert attack(name, ".limits").text.startswith("refused: Too many open files")


@linux
@pytest.mark.parametrize("name", OPENING)
def test_the_filter_alone_keeps_sockets_and_files_shut(attack, name):
    assert attack(name, ".filter").text.startswith("refused: Operation not permitted")


def test_a_parser_sees_no_environment(attack, monkeypatch):
    monkeypatch.setenv("TWOFOLD_SECRET", "hunter2")
    assert "hunter2" not in attack("shows_its_environment").text


def test_a_parser_inherits_no_descriptor_of_the_server(attack, tmp_path):
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        assert int(attack("counts_its_descriptors").text) <= 4


def test_what_a_library_prints_is_not_the_answer(attack):
    assert attack("prints").text == "the answer"


@linux
def test_memory_ends_at_the_limit(attack):
    with pytest.raises(ParseError, match="1000 MB") as caught:
        attack("takes_memory")
    assert caught.value.failure == "parser_memory"


@linux
def test_address_space_ends_at_the_limit(attack):
    assert attack("maps_memory").text.startswith("refused")


def test_computing_ends_at_the_limit(attack):
    with pytest.raises(ParseError) as caught:
        attack("spins", cpu_s=1)
    assert caught.value.failure == "parser_timeout"
    assert caught.value.retryable


@pytest.mark.parametrize("name", ["sleeps_and_ignores_signals", "hangs_up_and_sleeps"])
def test_waiting_ends_at_the_limit_whatever_is_ignored(attack, name):
    with pytest.raises(ParseError) as caught:
        attack(name, wall_s=1.0)
    assert caught.value.failure == "parser_timeout"


def test_a_flood_ends_at_the_limit(attack):
    with pytest.raises(ParseError) as caught:
        attack("floods", output_bytes=3_000_000)
    assert caught.value.failure == "too_large"
    assert "3 MB" in caught.value.message


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_an_error_and_not_a_crash(attack, name):
    with pytest.raises(ParseError) as caught:
        attack(name)
    assert caught.value.failure == "parser_crashed"
    assert caught.value.retryable


def test_endless_nesting_is_refused(attack):
    with pytest.raises(ParseError) as caught:
        attack("nests_too_deep")
    assert caught.value.failure == "corrupt"


def test_a_file_without_text_is_empty(attack):
    with pytest.raises(ParseError) as caught:
        attack("says_nothing")
    assert caught.value.failure == "empty"


@linux
def test_no_child_is_left_behind(attack):
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = children.read_text()
    with pytest.raises(ParseError):
        attack("sleeps_and_ignores_signals", wall_s=0.5)
    assert children.read_text() == before


@linux
def test_the_child_dies_with_its_parent(tmp_path):
    upload = tmp_path / "upload"
    upload.write_text("sleeps_and_ignores_signals")
    program = f"""
from pathlib import Path
from pipelines.parse import sandbox
sandbox._CHILD = Path({str(HOSTILE_CHILD)!r})
sandbox.SandboxedParser().parse(Path({str(upload)!r}), name="x", media_type=None)
"""
    root = Path(sandbox.__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program], cwd=root) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        child = _eventually(lambda: children.read_text().split())[0]
        _eventually(lambda: b"hostile_child" in Path(f"/proc/{child}/cmdline").read_bytes())
        # It has to have asked for the signal before the parent goes.
        _eventually(lambda: "Seccomp:\t2" in Path(f"/proc/{child}/status").read_text())
        parent.send_signal(signal.SIGKILL)
    _eventually(lambda: not Path(f"/proc/{child}").exists())


def _eventually(condition, deadline_s: float = 20.0):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_an_empty_file_is_refused_without_a_child(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.subprocess, "Popen", None)
    (tmp_path / "upload").touch()
    with pytest.raises(ParseError, match="empty"):
        SandboxedParser().parse(tmp_path / "upload", name="a.pdf", media_type=None)


def test_text_that_came_as_json_needs_no_child(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.subprocess, "Popen", None)
    (tmp_path / "upload").write_text("%PDF-1.4 is how\r\na PDF begins\n\nnot this text")
    parsed = SandboxedParser().parse(tmp_path / "upload", name="notes.pdf", media_type=DECODED)
    assert parsed.text == "%PDF-1.4 is how\na PDF begins\n\nnot this text"
    assert [parsed.text[block.start : block.end] for block in parsed.blocks] == [
        "%PDF-1.4 is how\na PDF begins",
        "not this text",
    ]


@pytest.mark.parametrize(("content", "failure"), [(b" \n\t", "empty"), (b"x" * 2_000, "too_large")])
def test_text_that_came_as_json_meets_the_same_limits(tmp_path, content, failure):
    (tmp_path / "upload").write_bytes(content)
    with pytest.raises(ParseError) as caught:
        SandboxedParser(output_bytes=1_000).parse(
            tmp_path / "upload", name="notes", media_type=DECODED
        )
    assert caught.value.failure == failure


def test_text_that_claims_utf8_and_is_not_is_still_read(tmp_path):
    (tmp_path / "upload").write_bytes("Zwölf Boxkämpfer jagen Viktor".encode("latin-1"))
    parsed = SandboxedParser().parse(tmp_path / "upload", name="notes.txt", media_type=DECODED)
    assert parsed.text == "Zwölf Boxkämpfer jagen Viktor"


def test_the_child_imports_nothing_heavy(tmp_path):
    program = (
        "import sys, json; sys.argv = ['child', json.dumps({'path': sys.path, 'suffix': '.md',"
        "'media_type': None, 'limits': {'memory_bytes': 10**9, 'cpu_s': 5, 'wall_s': 5}})];"
        "import os, pipelines.parse.child as child; heavy = {'pydantic', 'numpy', 'httpx', 'torch',"
        "'twofold', 'pypdfium2', 'selectolax', 'charset_normalizer'};"
        "os._exit = lambda _: os.write(2, str(heavy & set(sys.modules)).encode());"
        "child.main()"
    )
    (tmp_path / "upload").write_text("# Hello")
    with (tmp_path / "upload").open("rb") as file:
        root = Path(sandbox.__file__).parents[2]
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, stdin=file, capture_output=True, cwd=root, check=True)
    assert b"Hello" in done.stdout
    assert done.stderr == b"set()"
