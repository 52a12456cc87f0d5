"""`twofold tune` over a server whose scores make one choice the best."""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

import httpx
import pytest

from pipelines.settings import Settings, read_settings
from twofold.cli import main
from twofold.evaluation import grid
from twofold.evaluation.grid import Choice
from twofold.evaluation.measures import measure
from twofold.evaluation.shrink import shrink
from twofold.evaluation.smaller import Kept
from twofold.evaluation.tune import Costs, parts_of
from twofold.evaluation.tuned import TuneReport

CANDIDATES = 41
WHOLE = 256
NOW = "2026-01-01T00:00:00Z"

# By the rank that the first stage gives, what the reranker says; by the kind of query.
Scores = Callable[[str, int], float]


def best_at_20_with_weight_4(kind: str, rank: int) -> float:
    """Deep answers want some weight and a depth that reaches 17 and not 26; first ones want little.

    Recall falls evenly from 1 to 0. A `deep` answer (rank 17: recall .6, rerank .8) passes the
    first (recall 1, rerank 0) if .8 w > .4 (1 - w): w above 1/3. A `first` answer (rerank .5) is
    passed by rank 21 (recall .5, rerank 1) if .5 w > .5 (1 - w): w above 1/2; so depth 20 saves
    it as well, until another of rank 11 (recall .75, rerank .9) does at w above 5/13.
    """
    if rank >= 26:
        return 3.0
    if kind == "deep":
        return 0.8 if rank == 17 else 0.0
    return {1: 0.5, 11: 0.8}.get(rank, 0.0)


def backwards(kind: str, rank: int) -> float:
    return rank / CANDIDATES


def right(kind: str, rank: int) -> float:
    return 1.0 if rank == (17 if kind == "deep" else 1) else 0.0


class Server:
    """Twofold as far as it is asked: every query has the same 41 passages, each of a document.

    Attributes:
        scores: What its reranker says.
        weight: Of the second stage by default.
        depth: Of the second stage by default.
        store: Where its vectors are.
        shortest: Length of the shortest vectors that it answers with; whole ones have 256.
        blind: With which vectors it finds the passages in another order.
        searches: How many came.
    """

    def __init__(
        self,
        scores: Scores,
        *,
        weight: float = 0.9,
        depth: int = 50,
        store: str = "embedded",
        shortest: int = WHOLE,
        blind: Sequence[Kept] = (),
    ) -> None:
        self.scores = scores
        self.weight = weight
        self.depth = depth
        self.store = store
        self.shortest = shortest
        self.blind = blind
        self.searches = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/healthz":
                return httpx.Response(200, json={"status": "ok", "version": "0.1.0"})
            case "/documents":
                rows = [document(rank) for rank in range(1, CANDIDATES + 1)]
                return httpx.Response(200, json={"documents": rows, "cursor": None})
            case "/collections/docs":
                return httpx.Response(200, json=COLLECTION)
            case "/readyz":
                report = {"ready": True, "parts": {}, "embedder": "fake", "reranker": "fake"}
                return httpx.Response(200, json={**report, "store": self.store})
            case "/search":
                return self._search(json.loads(request.content))
        raise AssertionError(f"no such call: {request.url}")

    def _search(self, asked: dict) -> httpx.Response:
        self.searches += 1
        recall = asked.get("recall", {})
        kept = Kept(recall.get("dimensions") or WHOLE, recall.get("quantization"))
        if kept.dimensions < self.shortest:
            details = {"field": "dimensions", "reason": "vectors of fake have 256 and no other"}
            error = {"code": "invalid", "message": "", "details": details, "request_id": "r"}
            return httpx.Response(422, json={"error": error})
        return httpx.Response(200, json=self._answer(asked, kept))

    def _answer(self, asked: dict, kept: Kept) -> dict:
        depth = asked.get("rerank", {}).get("depth") or self.depth
        limit = asked.get("recall", {}).get("limit", 100)
        ranks = list(range(1, min(limit, CANDIDATES) + 1))
        if kept in self.blind:
            ranks.reverse()
        kind = asked["query"].split()[0]
        report = {"status": "applied", "scored": depth, "depth": depth, "model": "fake", "ms": 1}
        return {
            "results": [self._result(kind, rank, depth) for rank in ranks],
            "rerank": report,
            "timings_ms": {"rerank": 2.0 * depth, "total": 10.0 + 2.0 * depth},
            "candidates": len(ranks),
            "method": {
                "recall": "",
                "fusion": "",
                "embedder": "fake",
                "query_instruction": None,
                "rerank_instruction": None,
                "recall_limit": limit,
                "recall_fusion": "weighted",
                "depth": depth,
                "weight": self.weight,
                "calibrated": True,
                "trust": {"dense": 2.0, "sparse": 4.0, "sparse_weight": 0.5},
                "query_cached": False,
            },
        }

    def _result(self, kind: str, rank: int, depth: int) -> dict:
        recall = 1 - (rank - 1) / (CANDIDATES - 1)
        rerank = self.scores(kind, rank) if rank <= depth else None
        return {
            "rank": rank,
            "score": recall,
            "document_id": f"d{rank}",
            "chunk_id": f"c{rank:02}",
            "name": f"{rank}.md",
            "text": "",
            "start": 0,
            "end": 0,
            "recall_rank": rank,
            "scores": {"dense": recall, "sparse": None, "recall": recall, "rerank": rerank},
            "explanation": {
                "dense_rank": rank,
                "recall_rank": rank,
                "fused_rank": rank,
                "moved": 0,
            },
        }


COLLECTION = {
    "name": "docs",
    "embedder": "fake",
    "dimensions": WHOLE,
    "chunk_tokens": 200,
    "language": "english",
    "passages": 4_000,
}


def document(rank: int) -> dict:
    return {
        "id": f"d{rank}",
        "collection": "docs",
        "name": f"{rank}.md",
        "media_type": "text/plain",
        "size": 1,
        "sha256": "0" * 64,
        "version": 1,
        "status": "ready",
        "chunks": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }


@pytest.fixture
def judgements(tmp_path: Path) -> Path:
    """Ten queries with a deep answer and ten with the first one."""
    path = tmp_path / "mine.csv"
    rows = [f"deep {n},d17\nfirst {n},d1" for n in range(10)]
    path.write_text("query,document_id\n" + "\n".join(rows) + "\n", "utf-8")
    return path


@pytest.fixture
def tune(judgements, tmp_path, capsys, monkeypatch):
    """Tune over a server: its report and the settings file."""
    monkeypatch.chdir(tmp_path)

    def tune(server: Server, *arguments: str) -> tuple[TuneReport, str]:
        command = ["tune", str(judgements), "--collection", "docs", "--json", *arguments]
        with pytest.raises(SystemExit) as done:
            main(command, transport=httpx.MockTransport(server))
        out, err = capsys.readouterr()
        assert not done.value.code, err
        return TuneReport.model_validate_json(out), (tmp_path / "twofold.env").read_text("utf-8")

    return tune


def test_the_best_depth_and_weight_are_found_and_judged_on_queries_that_did_not_choose(tune):
    report, _ = tune(Server(best_at_20_with_weight_4))
    assert report.decision == "tuned"
    assert (report.chosen.depth, report.chosen.weight) == (20, 0.4)
    assert report.held_out == report.chosen.score == 1.0
    assert report.default_score < 0.7
    assert report.against_default.p < 0.001
    assert report.sentence.startswith("Tuning helps: +1.000 nDCG@10")
    assert len(report.folds) == 5


def test_the_grid_costs_no_more_than_two_searches_a_query_and_one(tune):
    server = Server(best_at_20_with_weight_4)
    report, _ = tune(server)
    assert report.grid > 500
    assert server.searches <= 2 * report.queries + 2  # one for the defaults, one for dimensions


def test_what_does_not_fit_the_budget_is_not_chosen(tune):
    report, _ = tune(Server(best_at_20_with_weight_4), "--budget-ms", "35")
    assert report.chosen.depth <= 10
    assert report.chosen.ms is not None
    assert report.chosen.ms <= 35
    assert not report.default.fits
    costs = {each.depth: each.ms for each in report.best_by_depth}
    assert (costs[0], costs[10], costs[50]) == (10.0, 30.0, 110.0)


def test_reranking_that_hurts_is_left_out(tune):
    report, file = tune(Server(backwards))
    assert report.decision == "without"
    assert report.chosen.depth == 0
    assert report.sentence.startswith("Reranking does not help here:")
    assert "TWOFOLD_RERANK_DEPTH=0" in file
    assert "TWOFOLD_RERANK_WEIGHT" not in file


def test_a_default_that_is_as_good_is_kept(tune):
    report, file = tune(Server(right, weight=0.6, depth=20), "--budget-ms", "500")
    assert report.decision == "default"
    assert report.chosen == report.default
    assert "The default is as good" in file
    assert "TWOFOLD_RERANK_DEPTH=20\nTWOFOLD_RERANK_WEIGHT=0.6\n" in file


def test_smaller_vectors_that_lose_nothing_are_chosen_and_how_they_are_made_is_said(tune):
    server = Server(right, weight=0.6, depth=20, shortest=32, blind=[Kept(64)])
    report, file = tune(server, "--budget-ms", "500")
    vectors = report.vectors
    assert [each.dimensions for each in vectors.trials] == [256, 128, 64]
    assert [each.dimensions for each in vectors.trials if each.chosen] == [128]
    assert [each.bytes_in_memory for each in vectors.trials] == [1024, 512, 256]
    assert vectors.command == "twofold collections rebuild docs --dimensions 128"
    assert vectors.command in file
    assert vectors.held_out is not None
    assert vectors.held_out.mean == 0.0
    assert vectors.trials[2].against_whole.p < 0.05
    assert any("embedded store scans whole vectors" in note for note in report.notes)
    assert "QUANTIZATION" not in file


def test_a_page_says_the_same_and_needs_nothing_from_outside(tune, tmp_path):
    page = tmp_path / "tuned.html"
    server = Server(right, weight=0.6, depth=20, shortest=64, blind=[Kept(64)])
    report, file = tune(server, "--budget-ms", "500", "--html", str(page))
    text = page.read_text("utf-8")
    for shown in (report.sentence, report.vectors.sentence, report.vectors.command, file):
        assert escape(shown) in text
    assert '<tr class="default"><td>128 dimensions</td><td>512</td>' in text
    assert "default-src &#x27;none&#x27;" in text
    assert not re.search(r"(src|href)=|https?://(?!localhost|127)", text)


def test_copies_are_tried_and_set_where_a_qdrant_server_keeps_the_vectors(tune):
    blind = [Kept(64), Kept(64, "int8"), *(Kept(each, "binary") for each in (256, 128, 64))]
    server = Server(right, weight=0.6, depth=20, store="qdrant", shortest=64, blind=blind)
    report, file = tune(server, "--budget-ms", "500")
    [chosen] = [each for each in report.vectors.trials if each.chosen]
    assert (chosen.dimensions, chosen.quantization, chosen.bytes_in_memory) == (128, "int8", 128)
    assert "TWOFOLD_QDRANT_QUANTIZATION=int8\n" in file
    assert not [note for note in report.notes if "embedded" in note]


def test_copies_that_were_named_are_tried_and_not_set_where_no_server_keeps_them(tune):
    server = Server(right, weight=0.6, depth=20)
    report, file = tune(server, "--budget-ms", "500", "--quantization", "int8")
    [chosen] = [each for each in report.vectors.trials if each.chosen]
    assert (chosen.dimensions, chosen.quantization) == (256, "int8")
    assert "\nTWOFOLD_QDRANT" not in file
    assert any("take a Qdrant server" in note for note in report.notes)


def test_copies_are_not_tried_on_so_few_passages_that_they_find_them_all(tune, monkeypatch):
    monkeypatch.setitem(COLLECTION, "passages", 3_999)
    report, file = tune(Server(right, weight=0.6, depth=20, store="qdrant"), "--budget-ms", "500")
    assert {each.quantization for each in report.vectors.trials} == {None, "int8"}
    assert any("Not tried: binary. Of 3,999 passages" in note for note in report.notes)
    monkeypatch.setitem(COLLECTION, "passages", 1_999)
    report, file = tune(Server(right, weight=0.6, depth=20, store="qdrant"), "--budget-ms", "500")
    assert report.vectors.trials == []
    assert "QUANTIZATION" not in file


def test_vectors_stay_as_they_are_where_smaller_ones_lose(tune):
    server = Server(right, weight=0.6, depth=20, shortest=64, blind=[Kept(128), Kept(64)])
    report, _ = tune(server, "--budget-ms", "500")
    assert [each.dimensions for each in report.vectors.trials if each.chosen] == [256]
    assert report.vectors.command is None
    assert report.vectors.sentence.startswith("Vectors stay as they are: with each kind")


def test_a_model_without_smaller_dimensions_is_said_to_have_none(tune):
    report, _ = tune(Server(right, weight=0.6, depth=20), "--budget-ms", "500")
    assert report.vectors.trials == []
    expected = "Fewer dimensions were not tried: vectors of fake have 256 and no other."
    assert expected in report.notes


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--dimensions", "128", "vectors of fake have 256 and no other"),
        ("--dimensions", "many", "neither auto nor none nor numbers such as 512,256"),
        ("--quantization", "int4", "neither auto nor none nor some of int8, binary"),
    ],
)
def test_vectors_that_cannot_be_are_refused(judgements, capsys, tmp_path, option, value, said):
    output = tmp_path / "out.env"
    command = ["tune", str(judgements), "-c", "docs", "-o", str(output), option, value]
    with pytest.raises(SystemExit) as done:
        main(command, transport=httpx.MockTransport(Server(right)))
    assert done.value.code == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert option in shown
    assert not output.exists()


def test_a_server_reads_the_file_that_was_written(tune, tmp_path, monkeypatch):
    tune(Server(best_at_20_with_weight_4))
    monkeypatch.setenv("TWOFOLD_SETTINGS_FILE", str(tmp_path / "twofold.env"))
    settings = read_settings()
    assert (settings.rerank_depth, settings.rerank_weight) == (20, 0.4)
    assert settings.recall_fusion == "weighted"
    monkeypatch.setenv("TWOFOLD_RERANK_DEPTH", "7")
    assert read_settings().rerank_depth == 7
    assert Settings.model_fields["recall_limit"].default is None


def test_a_budget_that_nothing_fits_is_refused(judgements, capsys, tmp_path):
    output = tmp_path / "out.env"
    command = ["tune", str(judgements), "-c", "docs", "-o", str(output), "--budget-ms", "5"]
    with pytest.raises(SystemExit) as done:
        main(command, transport=httpx.MockTransport(Server(right)))
    assert done.value.code == 2
    assert "the fastest search takes 10 ms" in " ".join(capsys.readouterr().err.split())
    assert not output.exists()


def test_too_few_queries_are_refused(tmp_path, capsys):
    path = tmp_path / "few.csv"
    path.write_text("query,document_id\ndeep,d17\n", "utf-8")
    with pytest.raises(SystemExit) as done:
        main(["tune", str(path), "-c", "docs"], transport=httpx.MockTransport(Server(right)))
    assert done.value.code == 2
    assert "1 queries cannot be divided into 5 parts" in " ".join(capsys.readouterr().err.split())


# --- The parts ------------------------------------------------------------------------------


def made_up() -> Iterator[tuple[list[str], dict[str, int]]]:
    rng = random.Random(5)
    for _ in range(200):
        documents = [f"d{n}" for n in rng.sample(range(30), rng.randint(1, 25))]
        relevant = {f"d{n}": rng.randint(1, 3) for n in rng.sample(range(30), rng.randint(1, 14))}
        yield documents, relevant


def test_ndcg_is_that_of_ir_measures():
    for documents, relevant in made_up():
        expected = measure({"q": relevant}, {"q": documents})["nDCG@10"]["q"]
        assert grid.ndcg(documents, relevant) == pytest.approx(expected)


def test_the_default_is_always_in_the_grid():
    default = Choice(70, "rrf", 17, 0.33)
    assert default in grid.choices(default, limits=[20], depths=[5])


def test_a_loss_that_these_queries_cannot_rule_out_keeps_vectors_as_they_are():
    # One of forty queries loses half of what it had: .0125 in the mean, by chance perhaps.
    whole, short = Kept(64), Kept(32)
    scores = {whole: [1.0] * 40, short: [0.5] + [1.0] * 39}
    assert shrink(scores, whole, parts_of(40, 0)).kept == whole
    assert shrink({**scores, short: [0.9] + [1.0] * 39}, whole, parts_of(40, 0)).kept == short


def test_a_loss_that_is_sure_and_next_to_nothing_costs_no_memory():
    whole, short, shorter = Kept(64), Kept(32), Kept(16)
    scores = {whole: [1.0] * 40, short: [0.9999] * 40, shorter: [0.995] * 40}
    assert shrink(scores, whole, parts_of(40, 0)).kept == short


def test_too_few_queries_say_nothing_about_vectors():
    scores = {Kept(64): [1.0] * 19, Kept(32): [1.0] * 19}
    assert shrink(scores, Kept(64), parts_of(19, 0)).kept == Kept(64)


def test_the_time_of_a_choice_is_made_of_what_was_measured_of_its_stages():
    costs = Costs({100: [10.0, 20.0]}, {20: [30.0, 50.0]}, percent=50)
    assert costs(Choice(100, "weighted", 20, 0.5)) == 50.0  # of 40, 50, 60, 70
    assert costs(Choice(100, "weighted", 0, 0.0)) == 10.0
    assert costs(Choice(100, "weighted", 30, 0.5)) is None
