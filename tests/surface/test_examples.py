"""Every example runs against one server, and prints what its reader is told to expect."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.live import ROOT, clean_environment, live_server

EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "quickstart.ipynb"
PRINTED = {
    "quickstart.py": ["reranker: applied", "1. A yew stave is left to dry"],
    "langchain_rag.py": ["1. oven.md[0:", "answer: 250 degrees", "reranked: oven.md"],
    "llama_index_query.py": ["oven.md[0:", "Query: How hot is the oven?", "awaited, from: rye.md"],
    "fastapi_app.py": ["200 {'passages': [{'text': 'The oven has 250", "'reranked': True", "422"],
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("examples")
    with live_server(folder, EMBEDDER="minilm", RERANKER="late-interaction") as server:
        yield server.url


def test_no_example_is_left_out():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*PRINTED, "demo.py"}
    assert list(EXAMPLES.glob("*.ipynb")) == [NOTEBOOK]


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_it_promises(name, url, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=tmp_path,
        env=clean_environment() | {"TWOFOLD_URL": url, "LANGSMITH_TRACING": "false"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert [words for words in PRINTED[name] if words not in done.stdout] == [], done.stdout


# The kernel is a process of its own; what its libraries leave open here is their affair.
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_and_shows_what_it_says(url, monkeypatch):
    for key in [key for key in os.environ if key.startswith("TWOFOLD_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("TWOFOLD_URL", url)
    shown = nbformat.read(NOTEBOOK, 4)
    ran = NotebookClient(nbformat.read(NOTEBOOK, 4), timeout=240).execute()
    assert outputs(ran) == outputs(shown)


def outputs(notebook: nbformat.NotebookNode) -> list[str]:
    """What each code cell shows, as text."""
    return [
        "".join(
            output.get("text") or output.get("data", {}).get("text/plain", "")
            for output in cell.outputs
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
