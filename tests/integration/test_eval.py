"""`twofold eval` and `twofold tune` against a real server: what they upload, ask and print."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from html.parser import HTMLParser
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.build import Models
from pipelines.settings import Settings
from tests.support.models import WordEmbedder
from tests.support.server import threaded_server
from twofold.cli import main
from twofold.client import Client
from twofold.evaluation import replay
from twofold.evaluation.judgements import Judgement, judged
from twofold.evaluation.observe import ask_defaults, observe
from twofold.evaluation.replay import Mix
from twofold.evaluation.report import Report
from twofold.evaluation.tuned import TuneReport
from twofold.schema import DocumentText

ADJECTIVES = ("rye", "wheat", "spelt", "oat", "barley", "millet")
NOUNS = ("crust", "crumb", "dough", "starter", "oven", "peel")
HOSTILE = "<script>alert(1)</script>"


class Output(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with threaded_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def run(url, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> Output:
        with pytest.raises(SystemExit) as done:
            main(["--url", url, *arguments])
        return Output(int(done.value.code or 0), *capsys.readouterr())

    return run


def documents() -> Iterator[tuple[str, str, str]]:
    """Id, title and text of 36 documents about bread, each with some words that no other has."""
    syllables = ("".join(pair) for pair in product(("ba", "ke", "lo", "mi", "ru"), repeat=4))
    for adjective in ADJECTIVES:
        for noun in NOUNS:
            rare = " and ".join(islice(syllables, 5))
            text = f"The {adjective} {noun} rests. A {noun} of {adjective} is warm with {rare}."
            yield f"{adjective}-{noun}", f"{adjective} {noun} {HOSTILE}", text


@pytest.fixture(scope="module")
def breads(tmp_path_factory) -> Path:
    """A BEIR folder: one question for each document, and one document without text."""
    folder = tmp_path_factory.mktemp("sets") / "Breads of 2024"
    (folder / "qrels").mkdir(parents=True)
    rows = list(documents())
    corpus = [{"_id": key, "title": title, "text": text} for key, title, text in rows]
    corpus.append({"_id": "empty", "title": "", "text": " "})
    queries = [
        {"_id": f"q-{key}", "text": f"where is the {' and '.join(key.split('-'))} {HOSTILE}"}
        for key, _, _ in rows
    ]
    judgements = [
        ("query-id", "corpus-id", "score"),
        *((f"q-{key}", key, "1") for key, _, _ in rows),
    ]
    write(folder / "corpus.jsonl", map(json.dumps, corpus))
    write(folder / "queries.jsonl", map(json.dumps, queries))
    write(folder / "qrels" / "test.tsv", map("\t".join, judgements))
    return folder


def write(path: Path, lines) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


class Evaluated(NamedTuple):
    report: Report
    page: str


@pytest.fixture(scope="module")
def evaluated(url, breads) -> Evaluated:
    """What the command said of the set when the server saw it for the first time."""
    page, out = breads.parent / "report.html", io.StringIO()
    command = ["--url", url, "eval", str(breads), "--json", "--depths", "2,5", "--html", str(page)]
    with redirect_stdout(out), pytest.raises(SystemExit) as done:
        main(command)
    assert not done.value.code
    return Evaluated(Report.model_validate_json(out.getvalue()), page.read_text("utf-8"))


@pytest.fixture(scope="module")
def collection(evaluated) -> str:
    """Where the set was uploaded to."""
    return evaluated.report.collection


# --- The whole command ----------------------------------------------------------------------


def test_a_set_is_uploaded_and_every_stage_measured(evaluated):
    report = evaluated.report
    assert (report.queries, report.documents) == (36, 36)
    assert report.collection == "eval-breads-of-2024"
    assert [row.name for row in report.rows] == [
        "dense",
        "BM25",
        "first stage",
        *(f"{way}, {depth}" for way in ("reranker alone", "both stages") for depth in (2, 5, 50)),
    ]
    assert report.default.name == "both stages, 50"
    assert report.replayed == (36, 36)
    assert all(0 <= value <= 1 for row in report.rows for value in row.measures.values())
    assert report.first.measures["recall@100"] > 0.9
    assert report.moves is not None
    assert report.moves.moved >= report.moves.right + report.moves.wrong
    assert any("without text" in note for note in report.notes)


def test_every_stage_and_depth_has_a_time_of_searches_that_nobody_had_asked_before(evaluated):
    report = evaluated.report
    assert {*report.stages} == {"query embedding", "recall", *(f"rerank {n}" for n in (2, 5, 50))}
    # The first query had been asked once, to learn what the server does by itself.
    assert report.stages["recall"].searches == 35
    assert sum(report.stages[f"rerank {depth}"].searches for depth in (2, 5, 50)) == 35
    timed = [row.latency for row in report.rows if row.stage in ("first", "fused")]
    assert all(found is not None and 0 < found.p50 <= found.p95 for found in timed)


def test_the_page_is_whole_and_needs_nothing_from_outside(evaluated):
    check_page(evaluated.page, evaluated.report)


def check_page(text: str, report: Report) -> None:
    """The page is whole, needs nothing from outside, and runs nothing that came from a document."""
    parser = Outline()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert parser.scripts == 1
    assert HOSTILE not in text
    assert text.count("<svg") == 2
    assert "currentColor" in text
    addresses = set(re.findall(r"https?://[^\"'\s<>]+", text))
    assert addresses - {report.server.url} <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", text)
    assert not re.search(r"url\((?!#)", text)
    assert parser.rows > 36
    assert report.verdict.sentence in parser.text


class Outline(HTMLParser):
    """Whether tags are closed, and what a reader sees."""

    VOID = frozenset({"meta", "br", "path", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = self.rows = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.rows += tag == "tr"
        if tag not in self.VOID - {"path", "use"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_second_run_uploads_nothing_and_finds_the_same(run, url, breads, collection):
    with Client(url) as client:
        before = {each.id: each.version for each in client.documents(collection)}
        first, second = (
            Report.model_validate_json(run("eval", str(breads), "--json").out) for _ in range(2)
        )
        assert {each.id: each.version for each in client.documents(collection)} == before
    assert [row.measures for row in first.rows] == [row.measures for row in second.rows]
    assert first.verdict.kind == second.verdict.kind
    assert any("remembered these searches" in note for note in second.notes)


def test_people_read_a_verdict_a_table_and_what_moved(run, breads, collection):
    done = run("eval", str(breads), "--collection", collection)
    assert done.status == 0, done.err
    for shown in ("eranking", "nDCG@10", "first stage", "BM25", "(default)", "relevant ones up"):
        assert shown in done.out


# --- Derived runs ---------------------------------------------------------------------------


def test_runs_that_are_computed_are_those_that_the_server_gives_when_it_is_asked(url, collection):
    texts = {f"q{n}": text for n, text in enumerate(("warm rye crust", "oven of oat", "dough"))}
    rows = [Judgement(query_id, "rye-crust", 1, "") for query_id in texts]
    judgements = judged("three", texts, rows, source=Path("three"))
    with Client(url) as client:
        mix = Mix.of(ask_defaults(client, collection, "bread").method)
        asked_all = observe(
            client, judgements, collection=collection, depths=[3, 12], limits=[100], whole=30
        )
        seen = list(asked_all)
        for each in seen:
            text, whole = texts[each.query_id], each.passages

            def asked(text: str = text, **options: object) -> list[str]:
                answer = client.search(text, collection=collection, limit=200, **options)
                return [result.chunk_id for result in answer.results]

            off = {"enabled": False}
            assert ids(replay.dense(whole)) == asked(recall={"mode": "dense"}, rerank=off)
            assert ids(replay.sparse(whole)) == asked(recall={"mode": "sparse"}, rerank=off)
            assert ids(whole) == asked(rerank=off)
            for depth in (1, 3, 12, 30):
                found = replay.fused(whole, depth=depth, mix=mix)
                assert ids(found) == asked(rerank={"depth": depth})
                alone = replay.fused(whole, depth=depth, mix=mix._replace(weight=1.0))
                assert ids(alone) == asked(rerank={"depth": depth}, fusion={"method": "rerank"})
            clean = [limit for limit in range(1, 30) if cuts_no_tie(whole, limit)]
            assert len(clean) >= 2
            for limit in clean[:3]:
                shorter = replay.recalled(
                    whole, limit=limit, fusion="weighted", trust=each.method.trust
                )
                assert ids(shorter) == asked(recall={"limit": limit}, rerank=off)


def cuts_no_tie(passages: Sequence[replay.Passage], limit: int) -> bool:
    """Whether it is clear which passages are in lists of this length; else either would do."""
    for column in ("dense", "sparse"):
        listed = [getattr(each, column) for each in passages]
        scores = sorted((score for score in listed if score is not None), reverse=True)
        if len(scores) > limit and scores[limit - 1] - scores[limit] < 1e-5:
            return False
    return True


def ids(passages: Sequence[replay.Passage]) -> list[str]:
    return [passage.chunk_id for passage in passages]


# --- Judgements about a collection that is there --------------------------------------------


def test_a_csv_may_name_documents_by_id_or_by_name(run, collection, tmp_path):
    title = f"oat oven {HOSTILE}"
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("query", "document_id"), ("rye crust", "rye-crust"), ("oat oven", title)]
        )
    report = Report.model_validate_json(
        run("eval", str(path), "--collection", collection, "--json").out
    )
    assert report.queries == 2
    assert report.first.measures["recall@10"] == 1.0
    assert report.verdict.kind == "cannot be told"


def test_an_instruction_that_no_model_hears_is_in_the_notes(run, url, tmp_path):
    with Client(url) as client:
        client.create_collection("told", query_instruction="Find loaves.")
        client.add_texts([DocumentText(id="a", text="A loaf of rye.")], collection="told", wait=60)
    judgements = write(tmp_path / "told.csv", ["query,document_id", "rye,a"])
    report = Report.model_validate_json(run("eval", str(judgements), "-c", "told", "--json").out)
    assert any("takes no instruction" in note for note in report.notes)


def test_a_document_that_is_not_there_is_named_with_line_and_neighbour(run, collection, tmp_path):
    path = write(
        tmp_path / "mine.csv", ["query,document_id", "rye crust,rye-crust", "oat,oat-ovens"]
    )
    done = run("eval", str(path), "--collection", collection)
    assert done.status == 2
    said = " ".join(done.err.split())
    assert "mine.csv:3' is not valid: there is no document with the id or name 'oat-ovens'" in said
    assert "did you mean 'oat-oven'?" in said


def test_a_csv_without_a_collection_and_a_collection_that_is_not_there(run, tmp_path):
    path = write(tmp_path / "mine.csv", ["query,document_id", "rye crust,rye-crust"])
    assert "say which collection is searched" in " ".join(run("eval", str(path)).err.split())
    done = run("eval", str(path), "--collection", "nothing")
    assert (done.status, "No collection 'nothing'" in done.err) == (1, True)


def test_runs_of_other_systems_stand_in_the_same_table(run, collection, tmp_path):
    write(tmp_path / "topics.tsv", ["1\trye crust", "2\toat oven"])
    write(tmp_path / "qrels.txt", ["1 0 rye-crust 1", "2 0 oat-oven 1"])
    write(tmp_path / "other.run", ["1 Q0 rye-crust 1 2.0 x", "2 Q0 rye-crust 1 2.0 x"])
    done = run("eval", str(tmp_path), "--collection", collection, "--json")
    report = Report.model_validate_json(done.out)
    [other] = [row for row in report.rows if row.stage == "run"]
    assert (other.name, other.measures["success@1"]) == ("other", 0.5)


# --- Synthetic queries ----------------------------------------------------------------------


def test_made_up_queries_are_labelled_everywhere_and_the_same_for_the_same_seed(
    run, collection, tmp_path
):
    page, saved = tmp_path / "report.html", tmp_path / "made.csv"
    command = ("eval", "--synthetic", "12", "--collection", collection, "--seed", "5")
    done = run(*command, "--json", "--html", str(page), "--save", str(saved))
    assert done.status == 0, done.err
    report = Report.model_validate_json(done.out)
    assert report.synthetic is not None
    assert "seed 5" in report.synthetic
    assert report.verdict.sentence.startswith("On synthetic queries, which nobody asked:")
    assert "Synthetic." in page.read_text("utf-8")
    assert any("SIGIR 2007" in note for note in report.notes)
    shown = run(*command)
    assert "SYNTHETIC" in shown.out
    texts = {row.text for row in report.per_query}
    with saved.open(newline="") as file:
        assert {row["query"] for row in csv.DictReader(file)} == texts
    again = run("eval", str(saved), "--collection", collection, "--json")
    assert {row.text for row in Report.model_validate_json(again.out).per_query} == texts
    other = run("eval", "--synthetic", "12", "--collection", collection, "--seed", "6", "--json")
    assert {row.text for row in Report.model_validate_json(other.out).per_query} != texts


def test_queries_are_read_from_files_or_made_up_and_not_both(run, breads, collection):
    assert run("eval").status == 2
    both = run("eval", str(breads), "--synthetic", "3", "--collection", collection)
    assert (both.status, "name judgements, or let some be made up" in both.err) == (2, True)
    assert run("eval", "--synthetic", "3").status == 2


# --- Tuning ---------------------------------------------------------------------------------


def test_a_tuning_leaves_settings_that_a_server_searches_by(run, breads, tmp_path):
    file = tmp_path / "twofold.env"
    tuning = ("tune", str(breads), "--budget-ms", "60000", "--json", "--output", str(file))
    with threaded_server(tmp_path / "fresh") as fresh:  # where nothing is remembered
        done = run("--url", fresh, *tuning)
    assert done.status == 0, done.err
    report = TuneReport.model_validate_json(done.out)
    assert report.queries == 36
    assert f"TWOFOLD_RERANK_DEPTH={report.chosen.depth}" in file.read_text("utf-8")
    settings = Settings(_env_file=file)
    said = settings.model_dump(
        include={name.removeprefix("TWOFOLD_").lower() for name in report.settings}
    )
    with threaded_server(tmp_path / "tuned", **said) as address, Client(address) as client:
        client.add_texts([DocumentText(id="a", text="Rye is a cereal.")], wait=60)
        answer = client.search("rye", explain=True)
    assert answer.method is not None
    chosen = report.chosen
    assert (answer.method.recall_limit, answer.method.recall_fusion) == (
        chosen.limit,
        chosen.fusion,
    )
    assert (answer.rerank.status == "disabled") == (chosen.depth == 0)
    if chosen.depth:
        assert (answer.method.depth, answer.method.weight) == (chosen.depth, chosen.weight)


def test_times_that_the_server_remembers_are_no_ground_to_tune_on(
    run, breads, collection, tmp_path
):
    file = tmp_path / "twofold.env"
    run("tune", str(breads), "--output", str(file))
    done = run("tune", str(breads), "--output", str(file))
    assert done.status == 2
    assert "no time could be measured" in " ".join(done.err.split())


# --- Without a second stage, without a server -----------------------------------------------


def test_without_a_second_stage_the_first_is_measured_alone(run, breads, tmp_path):
    page = tmp_path / "report.html"
    command = ("eval", str(breads), "--json", "--html", str(page))
    with threaded_server(tmp_path / "none", models=Models(WordEmbedder(), None)) as address:
        report = Report.model_validate_json(run("--url", address, *command).out)
        tuning = ("tune", str(breads), "-o", str(tmp_path / "twofold.env"))
        away = run("--url", address, *tuning)
    assert [row.name for row in report.rows] == ["dense", "BM25", "first stage"]
    assert report.default.stage == "first"
    assert report.verdict.kind == "absent"
    assert "runs no second stage" in page.read_text("utf-8")
    assert away.status == 2  # its times are remembered from the evaluation


def test_a_second_stage_that_is_off_by_default_is_measured_and_not_the_default(
    run, breads, tmp_path
):
    with threaded_server(tmp_path / "off", rerank_depth=0) as address:
        command = ("--url", address, "eval", str(breads), "--depths", "5", "--json")
        report = Report.model_validate_json(run(*command).out)
    assert report.default.stage == "first"
    assert {row.depth for row in report.rows if row.stage == "fused"} == {5, 50}
    assert report.verdict.kind != "absent"


def test_depths_that_are_none_are_refused(run, breads):
    for depths in ("ten", "0,10", "5000", ""):
        done = run("eval", str(breads), "--depths", depths)
        assert (done.status, "--depths" in done.err) == (2, True)


def test_a_server_that_was_named_and_is_away_is_not_replaced(breads, capsys):
    with pytest.raises(SystemExit) as done:
        main(["--url", "http://127.0.0.1:9", "eval", str(breads)])
    assert done.value.code == 3
    assert "Cannot reach Twofold at http://127.0.0.1:9" in capsys.readouterr().err
