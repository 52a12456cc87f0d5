"""Contestants in processes of their own, as the one who compares them holds them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
TWOFOLD = ("twofold", "twofold_inprocess")
PEERS = ("langchain", "llama_index", "haystack", "txtai")
END_S = 60.0


class Running:
    """A contestant that waits for its next task."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._process = process
        about = self.do("about")
        self.facts: dict[str, str] = about["facts"]
        self._pid: int = about["pid"]

    def do(self, task: str, **more: Any) -> dict[str, Any]:
        """Have something done; see `child.Tasks`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": task, **more}) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} has died in '{task}'; see above")
        done: dict[str, Any] = json.loads(answer)
        return done

    def peak_mb(self) -> float:
        """Resident memory at its highest, of the contestant's process and those that it started."""
        root = psutil.Process(self._pid)
        family = [root, *root.children(recursive=True)]
        return sum(_highest_kb(each.pid) for each in family) / 1024


def _highest_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    [line] = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1])


@contextmanager
def running(name: str, kept: Path | None = None) -> Iterator[Running]:
    """A contestant; its process has ended when the context has.

    Args:
        name: Its file in this folder.
        kept: Folder of what is kept from one run to the next; None: nothing is.
    """
    python = sys.executable if name in TWOFOLD else str(PEERS_PYTHON)
    if not Path(python).exists():
        raise SystemExit(f"there is no {python}; run: make bench-peers")
    command = [python, "-W", "ignore", "-m", "benchmarks.peers.child", name]
    with subprocess.Popen(
        [*command, str(kept)] if kept else command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield Running(name, process)
        finally:
            # It ends, and what it started with it, when nothing more can be asked of it.
            try:
                process.communicate(timeout=END_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def all_running(names: Sequence[str], kept: Path | None = None) -> Iterator[list[Running]]:
    """Several of them at once, so that they can be asked in turn."""
    with ExitStack() as stack:
        yield [stack.enter_context(running(name, kept)) for name in names]
