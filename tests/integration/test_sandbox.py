"""Promise 7: a hostile file costs at most one child, and never the parent."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipelines.parse import confine, nursery, sandbox
from pipelines.parse.sandbox import DECODED, SandboxedParser
from pipelines.ports import Parsed
from tests.support import hostile_parsers
from twofold.errors import ParseError

HOSTILE_ZYGOTE = Path(hostile_parsers.__file__).with_name("hostile_zygote.py")
ROOT = Path(sandbox.__file__).parents[2]
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


class Sandbox:
    """A sandbox with hostile parsers; the suffix says which fences are down."""

    def __init__(self, folder: Path, **limits) -> None:
        self.parser = SandboxedParser(script=HOSTILE_ZYGOTE, **limits)
        self._folder = folder

    def __call__(self, name: str, suffix: str = "") -> Parsed:
        path = self._folder / f"upload-{threading.get_native_id()}"
        path.write_text(name)
        return self.parser.parse(path, name=f"x{suffix}", media_type=None)

    @property
    def zygote(self) -> int:
        return self.parser._nursery._zygotes[-1].process.pid


@pytest.fixture
def sandboxed(tmp_path):
    """A maker of sandboxes with limits of their own."""
    with ExitStack() as stack:

        def make(**limits) -> Sandbox:
            made = Sandbox(tmp_path, **limits)
            stack.callback(made.parser.close)
            return made

        yield make


@pytest.fixture(scope="module")
def attack(tmp_path_factory):
    """The sandbox with its usual limits."""
    made = Sandbox(tmp_path_factory.mktemp("uploads"))
    yield made
    made.parser.close()


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


@pytest.mark.parametrize("name", ["spins", "spins_and_ignores_signals"])
def test_computing_ends_at_the_limit(sandboxed, name):
    with pytest.raises(ParseError) as caught:
        sandboxed(cpu_s=1)(name)
    assert caught.value.failure == "parser_timeout"
    assert caught.value.retryable


@pytest.mark.parametrize("name", ["sleeps_and_ignores_signals", "hangs_up_and_sleeps"])
def test_waiting_ends_at_the_limit_whatever_is_ignored(sandboxed, name):
    with pytest.raises(ParseError) as caught:
        sandboxed(wall_s=1.0)(name)
    assert caught.value.failure == "parser_timeout"


def test_a_flood_ends_at_the_limit(sandboxed):
    with pytest.raises(ParseError) as caught:
        sandboxed(output_bytes=3_000_000)("floods")
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
def test_no_child_is_left_behind(sandboxed):
    attack = sandboxed(wall_s=0.5)
    with pytest.raises(ParseError):
        attack("sleeps_and_ignores_signals")
    assert not _children(attack.zygote)


@linux
def test_children_die_with_the_service(tmp_path):
    upload = tmp_path / "upload"
    upload.write_text("sleeps_and_ignores_signals")
    program = f"""
from pathlib import Path
from pipelines.parse.sandbox import SandboxedParser
parser = SandboxedParser(script=Path({str(HOSTILE_ZYGOTE)!r}))
parser.parse(Path({str(upload)!r}), name="x", media_type=None)
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as service:
        [zygote] = _eventually(lambda: _children(service.pid))
        [child] = _eventually(lambda: _children(zygote))
        _eventually(lambda: "Seccomp:\t2" in Path(f"/proc/{child}/status").read_text())
        service.send_signal(signal.SIGKILL)
    for process in (child, zygote):
        _eventually(lambda gone=Path(f"/proc/{process}"): not gone.exists())


# --- The zygote -----------------------------------------------------------------------------


def test_no_process_is_started_before_the_first_file(sandboxed, monkeypatch):
    monkeypatch.setattr(nursery.subprocess, "Popen", None)
    sandboxed()


def test_a_zygote_that_died_is_replaced(sandboxed):
    attack = sandboxed()
    assert attack("prints").text == "the answer"
    os.kill(attack.zygote, signal.SIGKILL)
    assert attack("prints").text == "the answer"


@linux
def test_a_file_whose_zygote_dies_is_read_by_the_next_one(sandboxed):
    attack = sandboxed()
    attack("prints")
    first = attack.zygote
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(attack, "takes_a_second")
        _eventually(lambda: _children(first))
        os.kill(first, signal.SIGKILL)
        assert slow.result().text == "done"
    assert attack.zygote != first


def test_a_zygote_that_cannot_be_started_is_an_error_worth_another_try(tmp_path):
    (tmp_path / "upload").write_text("text")
    parser = SandboxedParser(script=tmp_path / "nowhere.py")
    with pytest.raises(ParseError, match="could not be started") as caught:
        parser.parse(tmp_path / "upload", name="a.md", media_type=None)
    assert caught.value.retryable
    parser.close()


def test_a_crash_changes_the_address_layout_and_disturbs_nobody(sandboxed):
    attack = sandboxed()
    attack("prints")
    first = attack.zygote
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(attack, "takes_a_second")
        _eventually(lambda: _children(first))
        with pytest.raises(ParseError):
            attack("dies_of_a_segmentation_fault")
        assert attack("prints").text == "the answer"
        assert slow.result().text == "done"
    assert attack.zygote != first


@linux
def test_many_files_from_many_threads_leak_nothing(sandboxed):
    attack = sandboxed()
    names = ["prints", "raises", "says_nothing", "counts_its_descriptors"] * 10

    def outcome(name: str) -> str:
        try:
            return attack(name).text
        except ParseError as error:
            return error.failure

    outcome("prints")
    before = _descriptors(os.getpid()), _descriptors(attack.zygote)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(outcome, names))
    assert outcomes == ["the answer", "parser_crashed", "empty", "4"] * 10
    # The zygote closes what it had of a child when it has noticed its end.
    _eventually(lambda: _descriptors(os.getpid()) <= before[0])
    _eventually(lambda: _descriptors(attack.zygote) <= before[1])


@linux
@pytest.mark.parametrize("end", ["close", "collect"])
def test_the_zygote_ends_with_its_parser(tmp_path, end):
    attack = Sandbox(tmp_path)
    attack("prints")
    zygote = attack.zygote
    if end == "close":
        attack.parser.close()
        with pytest.raises(ParseError):
            attack("prints")
    else:
        del attack
        gc.collect()
    assert not Path(f"/proc/{zygote}").exists()


@linux
@pytest.mark.skipif(os.getuid() != 0, reason="dropping what a container drops takes root")
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_all_fences_hold_in_a_container_without_privileges(tmp_path):
    """No capabilities, no new privileges, a root that is read-only."""
    upload = tmp_path / "upload"
    upload.write_text("reads_a_file")
    program = f"""
from pathlib import Path
from pipelines.parse.sandbox import SandboxedParser
parser = SandboxedParser(script=Path({str(HOSTILE_ZYGOTE)!r}))
for suffix in ("", ".limits", ".filter"):
    parsed = parser.parse(Path({str(upload)!r}), name="x" + suffix, media_type=None)
    print(parsed.text, Path("/proc/self/status").read_text().count("NoNewPrivs:\t1"))
"""
    inside = (
        "mount -o remount,bind,ro / && "
        'exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- "$0" -c "$1"'
    )
    command = ["unshare", "--mount", "sh", "-c", inside, sys.executable, program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if "remount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("this system allows no mount namespace")
    assert done.stdout.splitlines() == [
        "refused: Operation not permitted 1",
        "refused: Too many open files 1",
        "refused: Operation not permitted 1",
    ], done.stderr


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _eventually(condition, deadline_s: float = 20.0):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_an_empty_file_is_refused_without_a_child(tmp_path, monkeypatch):
    monkeypatch.setattr(nursery.subprocess, "Popen", None)
    (tmp_path / "upload").touch()
    with pytest.raises(ParseError, match="empty"):
        SandboxedParser().parse(tmp_path / "upload", name="a.pdf", media_type=None)


def test_text_that_came_as_json_needs_no_child(tmp_path, monkeypatch):
    monkeypatch.setattr(nursery.subprocess, "Popen", None)
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


def test_a_child_has_nothing_heavy_imported(attack):
    assert attack("shows_heavy_imports").text == "[]"


@linux
def test_everything_confines_a_parser_on_linux():
    assert confine.missing() == []


def test_a_system_without_a_fence_is_told_of_at_start(monkeypatch, caplog):
    monkeypatch.setattr(confine.sys, "platform", "darwin")
    SandboxedParser()
    assert "seccomp" in caplog.text
