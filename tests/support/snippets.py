"""The code blocks of a page, as a reader would run them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.live import ROOT, clean_environment

FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = re.compile(r"(?:localhost|127\.0\.0\.1):8000")
INTERPRETERS = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
FAILURES = ('{"error":{', '"status":"failed"', '"results":[]')


class Snippet(NamedTuple):
    """A code block and where it stands."""

    language: str
    skipped: bool
    code: str
    place: str

    def run(self, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run it against a server, in the root of the repository."""
        environment = clean_environment()
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        environment["TWOFOLD_URL"] = url
        environment["TMPDIR"] = str(folder)
        code = SERVER.sub(url.removeprefix("http://"), self.code)
        return subprocess.run(
            [*INTERPRETERS[self.language], code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def must_work(self, url: str, folder: Path) -> None:
        """Run it and look at what it prints: no error, and something found."""
        done = self.run(url, folder)
        assert done.returncode == 0, f"{self.place}\n{done.stdout}{done.stderr}"
        for bad in FAILURES:
            assert bad not in done.stdout, f"{self.place}\n{done.stdout}"


def snippets(page: Path) -> Iterator[Snippet]:
    """Every code block of a Markdown page that names its language."""
    text = page.read_text("utf-8")
    for match in FENCE.finditer(text):
        language, info, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        yield Snippet(language, "skip" in info, code, f"{page.relative_to(ROOT)}:{line}")


def runnable(page: Path) -> list[Snippet]:
    """Those that a reader can type, in order."""
    return [each for each in snippets(page) if each.language in INTERPRETERS and not each.skipped]


def dead_links(page: Path) -> list[str]:
    """Relative links to files that are not there."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8"))
    return [link for link in links if not (page.parent / link).exists()]
