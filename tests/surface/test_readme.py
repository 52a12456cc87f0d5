import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.settings import Settings
from tests.support.live import ROOT, clean_environment, live_server
from twofold.schema import SearchResponse

README = (ROOT / "README.md").read_text("utf-8")
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = re.compile(r"(?:localhost|127\.0\.0\.1):8000")


class Snippet(NamedTuple):
    language: str
    skipped: bool
    code: str
    line: int


def snippets() -> Iterator[Snippet]:
    for match in FENCE.finditer(README):
        language, info, code = match.groups()
        yield Snippet(language, "skip" in info, code, README.count("\n", 0, match.start()) + 1)


def run(snippet: Snippet, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    interpreters = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    environment = clean_environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["TWOFOLD_URL"] = url
    environment["TMPDIR"] = str(folder)
    return subprocess.run(
        [*interpreters[snippet.language], SERVER.sub(url.removeprefix("http://"), snippet.code)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="the README talks to the server with curl")
def test_every_snippet_of_the_readme_works_in_the_order_in_which_it_is_read(tmp_path):
    runnable = [each for each in snippets() if each.language in ("sh", "python")]
    assert {"sh", "python"} <= {each.language for each in runnable if not each.skipped}
    with live_server(tmp_path, EMBEDDER="minilm", RERANKER="late-interaction") as server:
        for snippet in runnable:
            if snippet.skipped:
                continue
            done = run(snippet, server.url, tmp_path)
            assert done.returncode == 0, f"README.md:{snippet.line}\n{done.stdout}{done.stderr}"
            for bad in ('{"error":{', '"status":"failed"', '"results":[]'):
                assert bad not in done.stdout, f"README.md:{snippet.line}\n{done.stdout}"


def test_the_answer_shown_in_the_readme_is_one_that_the_api_could_give():
    shown = [each.code for each in snippets() if each.language == "json"]
    assert shown
    for answer in shown:
        response = SearchResponse.model_validate_json(answer)
        for result in response.results:
            assert result.end - result.start >= len(result.text.rstrip("… "))


def test_every_setting_is_in_the_readme_with_its_default_and_no_other():
    rows = dict(re.findall(r"^\| `TWOFOLD_(\w+)` \| ([^|]*) \|", README, re.MULTILINE))
    defaults = {
        name.upper(): "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert {name: default.strip("` ") for name, default in rows.items()} == defaults


def test_every_file_that_the_readme_links_to_exists():
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_result_of_the_demo_is_seen_without_scrolling():
    head = "\n".join(README.splitlines()[:40])
    assert "make demo" in head
    assert "both stages" in head
