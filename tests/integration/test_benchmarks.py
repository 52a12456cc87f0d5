"""The code of benchmarks, run at a size that says nothing about speed."""

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks.peers import report
from benchmarks.peers.processes import PEERS_PYTHON, running
from benchmarks.peers.remembered import Vectors, remembering
from benchmarks.peers.seam import distinct
from tests.support.live import ROOT

DOCUMENTS = [
    ("bow", "A bow of yew dries for two years before it is tillered."),
    ("bread", "Rye bread is baked from sourdough that has stood overnight."),
    ("clock", "A pendulum clock is regulated by the nut under its bob."),
]


@pytest.fixture
def script(monkeypatch) -> Iterator[ModuleType]:
    """Imports a benchmark as it is when it is run by its path."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.mark.slow
def test_twofold_is_a_contestant_like_its_peers():
    question = "how is dough for rye bread made?"
    with running("twofold") as contestant:
        assert contestant.do("fill", documents=DOCUMENTS)["seconds"] > 0
        for rerank in (False, True):
            answer = contestant.do("ask", queries=[question], limit=2, rerank=rerank)
            assert answer["found"][0][0] == "bread"
            assert len(answer["found"][0]) == 2
            assert len(answer["milliseconds"]) == 1
        pressed = contestant.do(
            "press", queries=[question, "yew"], limit=1, rerank=False, clients=2, seconds=0.1
        )
        assert pressed["per_second"] > 0
        assert contestant.peak_mb() > 50
        assert contestant.facts["reached"] == "over HTTP"


@pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="`make bench-peers` has not been run")
def test_a_contestant_that_dies_ends_the_comparison_and_says_who_it_was():
    with pytest.raises(SystemExit, match="nobody has died"), running("nobody"):
        pytest.fail("it should not run")


def test_a_document_stands_where_its_best_passage_does():
    assert distinct(["a", "b", "a", "c", "b", "d"], 3) == ["a", "b", "c"]


def test_a_vector_is_computed_once_for_each_encoder_and_text(tmp_path):
    asked: list[list[str]] = []

    class Encoder:
        def encode(self, texts: list[str]) -> np.ndarray:
            asked.append(list(texts))
            return np.array([[len(text), 1.0] for text in texts], np.float32)

    with remembering(Encoder, tmp_path / "vectors.sqlite"):
        first = Encoder().encode(["a", "bb", "a"])
        second = Encoder().encode(["bb", "ccc"])
    assert first.tolist() == [[1, 1], [2, 1], [1, 1]]
    assert second.tolist() == [[2, 1], [3, 1]]
    assert asked == [["a", "bb"], ["ccc"]]
    Encoder().encode(["a"])
    assert asked[-1] == ["a"]  # outside the block nothing is remembered
    known = Vectors(tmp_path / "vectors.sqlite")
    with pytest.raises(ZeroDivisionError):
        known.of("Another", ["a"], lambda _: np.array([1 / 0]))
    known.close()


def figures(ms: float, rate: float, memory: float) -> dict[str, object]:
    stage = {"ms": {"p50": ms, "p95": 2 * ms}, "per_second_of_1": rate, "per_second_of_8": rate}
    return {"documents": 9, "first": stage, "both": stage, "peak_mb": memory, "facts": {}}


def test_the_page_shows_the_best_figure_in_bold_and_says_where_a_peer_wins(tmp_path):
    speed = {
        "plan": {"collections": ["a"], "ingested": 5, "rounds": 2, "questions": [3, 1]},
        "machine": {"processor": "p", "load average": [0.1]},
        "ingest": {
            "twofold": {"documents_per_s": {"p50": 30.0}, "peak_mb": 700.0},
            "txtai": {"documents_per_s": {"p50": 20.0}, "peak_mb": 800.0},
        },
        "search": {"twofold": figures(9.0, 90.0, 700.0), "txtai": figures(7.0, 140.0, 800.0)},
    }
    quality = {
        "collections": {
            "a": {"twofold": {"first": 0.5, "both": 0.71}, "txtai": {"first": 0.6, "both": 0.7}},
        },
        "facts": {"twofold": {"index": "exact"}, "txtai": {"index": "approximate"}},
    }
    page = report.write(quality, speed, tmp_path / "page.md").read_text()
    assert "| a | both stages | **0.710** | 0.700 |" in page
    assert "| a | first stage | 0.500 | **0.600** |" in page
    assert "| ingest, documents/s | **30.0** | 20.0 |" in page
    assert "| first stage, p50 ms | 9.0 | **7.0** |" in page
    assert "txtai answers faster than Twofold (first stage)" in page
    assert "txtai takes documents in faster" not in page
    report.draw(quality, speed, tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 1_000


def test_a_target_is_met_missed_or_not_measured(script):
    targets = script("targets")
    at_most = targets.Target("w", "s", "c", targets.at("a", "b"), 5.0, "ms")
    at_least = targets.Target("w", "s", "c", targets.at("a", "b"), 5.0, "ms", least=True)
    report = {"a": {"b": 6.0}, "machine": {"load average": [0.2]}}
    assert at_most.row(report)[2:4] == ["6 ms", "**missed**"]
    assert at_least.row(report)[2:4] == ["6 ms", "met"]
    assert at_most.row({"a": {}})[2] == "not measured"
    assert at_most.row(None)[2] == "not measured"
    ranked = {"collections": {"c": {"twofold": {"first": 0.1, "both": 0.5}, "x": {"both": 0.6}}}}
    assert targets.above_best_peer("c")(ranked) == pytest.approx(-0.1)


def test_the_embedded_store_is_measured_as_it_grows(script, tmp_path: Path):
    scaling = script("scaling")
    grown = asyncio.run(scaling.grow(tmp_path, [20, 40], indexed=0))
    assert [each["chunks"] for each in grown["sizes"]] == [20, 40]
    for each in grown["sizes"]:
        assert each["disk_bytes_per_chunk"] > 0
        assert each["ingest_chunks_per_s"] > 0
        assert set(each["recall_ms"]) == {"dense", "sparse", "hybrid"}


def test_what_lies_beyond_the_largest_size_is_on_a_straight_line(script):
    scaling = script("scaling")
    rows = [
        {
            "chunks": chunks,
            "recall_ms": {"hybrid": {"p50": ms}},
            "memory_bytes_per_chunk": {"own": 1_000.0, "mapped": 500.0},
            "disk_bytes_per_chunk": 2_000.0,
        }
        for chunks, ms in ((100_000, 20.0), (200_000, 30.0))
    ]
    line = scaling.straight_line(rows)
    assert line["hybrid_ms_at_1000000"] == pytest.approx(110.0)
    assert line["chunks_at_50_ms"] == pytest.approx(400_000)
    assert line["memory_gb_at_1000000"] == pytest.approx(1.5)
