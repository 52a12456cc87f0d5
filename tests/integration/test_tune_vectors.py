"""`twofold tune` over a server whose model has smaller vectors: tried without being built."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipelines import rebuild
from pipelines.build import Models
from pipelines.ports import Vector
from tests.support.server import threaded_server
from twofold.cli import main
from twofold.client import Client
from twofold.evaluation.tuned import TuneReport
from twofold.schema import DocumentText

NAMES = [f"{number:02}" for number in range(24)]
Tune = Callable[..., TuneReport]


class Halved:
    """What it knows of a text is in one half of a vector; that a word is a query's, it ignores.

    Queries have no word in common with documents, so that BM25 finds nothing.

    Args:
        told: In which half, 0 or 1.
    """

    dimensions = 128
    min_dimensions = 64
    max_tokens = 200
    tokenizer_json = None

    def __init__(self, told: int) -> None:
        self.name = f"half-{told}"
        self._first = 64 * told

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Vector:
        return self._embed(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Vector:
        vectors = np.full((len(texts), self.dimensions), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                bucket = hashlib.sha256(word.removeprefix("query").encode()).digest()[0] % 64
                vectors[row, self._first + bucket] += 1
        unit: Vector = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def words_of(name: str) -> list[str]:
    return [f"{name}{letter}" for letter in "abcde"]


@pytest.fixture
def judgements(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    rows = [f"{' '.join(f'query{word}' for word in words_of(name))},{name}" for name in NAMES]
    path.write_text("query,document_id\n" + "\n".join(rows) + "\n", "utf-8")
    return path


@pytest.fixture(params=[0, 1], ids=["in the first half", "in the second half"])
def told(request: pytest.FixtureRequest) -> int:
    half: int = request.param
    return half


@pytest.fixture
def url(tmp_path: Path, told: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(rebuild, "LINGER_S", 0.2)
    monkeypatch.setattr(rebuild, "LOOK_S", 0.05)
    models = Models(Halved(told), None)
    with threaded_server(tmp_path / "server", models=models) as address, Client(address) as client:
        texts = [DocumentText(id=name, text=" ".join(words_of(name))) for name in NAMES]
        added = client.add_texts(texts, collection="docs", wait=60)
        assert {each.status for each in added.documents} == {"ready"}
        yield address


def run(url: str, *arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(["--url", url, *arguments])
    return int(done.value.code or 0)


def test_dimensions_go_where_nothing_is_lost_and_nothing_else_of_the_server_changes(
    url: str, told: int, judgements: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "twofold.env"
    tuning = ("tune", str(judgements), "-c", "docs", "--budget-ms", "60000", "-o", str(file))
    with Client(url) as client:
        before = client.collections()
        assert run(url, *tuning, "--json") == 0
        report = TuneReport.model_validate_json(capsys.readouterr().out)
        assert client.collections() == before

        whole, half = report.vectors.trials
        assert (whole.dimensions, half.dimensions) == (128, 64)
        assert whole.score > 0.95
        if told == 1:
            assert half.score < 0.5
            assert whole.chosen
            assert report.vectors.command is None
            return
        assert half.score == whole.score
        assert half.chosen
        command = "twofold collections rebuild docs --dimensions 64"
        assert report.vectors.command == command
        assert f": {command}\n" in file.read_text("utf-8")
        asked = judgements.read_text("utf-8").splitlines()[5].partition(",")[0]
        tried = client.search(asked, collection="docs", recall={"dimensions": 64})

        assert run(url, *command.split()[1:]) == 0
        assert client.collection("docs").dimensions == 64
        made = client.search(asked, collection="docs")
    shown = [(each.document_id, pytest.approx(each.score, abs=1e-5)) for each in made.results]
    assert [(each.document_id, each.score) for each in tried.results] == shown
