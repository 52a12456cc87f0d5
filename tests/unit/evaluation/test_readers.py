"""Judgements from files: what is read, and what a bad file is told."""

import json
from pathlib import Path

import pytest

from twofold.errors import InvalidRequest
from twofold.evaluation.readers import read


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "breads"
    (folder / "qrels").mkdir(parents=True)
    queries = [{"_id": f"q{n}", "text": f"question {n}", "metadata": {}} for n in (1, 2, 3)]
    documents = [
        {"_id": "d1", "title": "Rye", "text": "A cereal.", "metadata": {}},
        {"_id": "d2", "title": "", "text": "An oven."},
    ]
    write_lines(folder / "queries.jsonl", map(json.dumps, queries))
    write_lines(folder / "corpus.jsonl", map(json.dumps, documents))
    rows = ["query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td2\t0", "q2\td2\t1", "q3\td1\t0"]
    write_lines(folder / "qrels" / "test.tsv", rows)
    return folder


def write_lines(path: Path, lines) -> Path:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def refusal(*arguments, **options) -> str:
    with pytest.raises(InvalidRequest) as raised:
        read(*arguments, **options)
    return raised.value.message


# --- BEIR -----------------------------------------------------------------------------------


def test_a_beir_folder_is_read_and_queries_that_nothing_answers_are_left_out(beir):
    found = read(beir)
    assert found.name == "breads"
    assert found.queries == {"q1": "question 1", "q2": "question 2"}
    assert found.relevant() == {"q1": {"d1": 2}, "q2": {"d2": 1}}
    assert found.corpus == beir / "corpus.jsonl"
    assert (found.left_out, found.strict) == (1, False)


def test_a_split_is_chosen_by_name_and_asked_for_where_it_is_open(beir):
    (beir / "qrels" / "test.tsv").rename(beir / "qrels" / "dev.tsv")
    assert read(beir).queries
    write_lines(beir / "qrels" / "train.tsv", ["q2\td1\t1"])
    assert "say which judgements are meant: --split dev or train" in refusal(beir)
    assert "--split dev or train" in refusal(beir, split="test")
    assert read(beir, split="train").relevant() == {"q2": {"d1": 1}}


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("queries.jsonl", "{'_id': 1}", "queries.jsonl:4' is not valid: the line is not JSON"),
        ("queries.jsonl", '{"text": "a"}', "queries.jsonl:4' is not valid: _id: field required"),
        ("queries.jsonl", '{"_id": "q1", "text": "b"}', "two queries with the id 'q1'"),
        ("queries.jsonl", '{"_id": "q4", "text": " "}', "the query 'q4' has no text"),
        ("qrels/test.tsv", "q1 d1 1", "test.tsv:6' is not valid: the line has 1 columns"),
        ("qrels/test.tsv", "q1\td3\thigh", "the relevance 'high' is not a whole number"),
        ("qrels/test.tsv", "q1\td3\t0.5", "the relevance '0.5' is not a whole number"),
        ("qrels/test.tsv", "q1\td1\t1", "it gives 'd1' relevance 1 for the same query"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(beir, name, line, said):
    with (beir / name).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    assert said in refusal(beir)


def test_judgements_that_are_missing_or_of_another_set_are_told_apart(beir):
    qrels = beir / "qrels" / "test.tsv"
    write_lines(qrels, ["query-id\tcorpus-id\tscore", "x1\td1\t1"])
    assert "no judged query is among the queries: the judgements speak of 'x1'" in refusal(beir)
    write_lines(qrels, ["query-id\tcorpus-id\tscore", "q1\td1\t0"])
    assert "no row has a relevance above 0" in refusal(beir)
    qrels.unlink()
    assert "there are no judgements; put query-id, corpus-id and score" in refusal(beir)


def test_a_file_in_another_encoding_is_named(beir):
    (beir / "queries.jsonl").write_bytes('{"_id": "q1", "text": "Brötchen"}'.encode("latin-1"))
    assert "queries.jsonl' is not valid: it is not UTF-8" in refusal(beir)


# --- CSV ------------------------------------------------------------------------------------


def test_a_csv_groups_the_rows_of_a_query_and_takes_1_where_no_relevance_is_given(tmp_path):
    lines = [
        "\ufeffquery,document_id,relevance",
        'how hot?,"a, b.md",2',
        "how hot?,c.md,",
        "dry?,d,0",
    ]
    found = read(write_lines(tmp_path / "mine.csv", lines))
    assert found.queries == {"q1": "how hot?"}
    assert found.relevant() == {"q1": {"a, b.md": 2, "c.md": 1}}
    assert found.rows[0].place.endswith("mine.csv:2")
    assert (found.left_out, found.strict) == (1, True)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_may_come_in_any_order_with_others_and_another_delimiter(tmp_path, delimiter):
    lines = [["note", "document_id", "query"], ["", "d1", "how hot?"]]
    path = write_lines(tmp_path / "mine.csv", map(delimiter.join, lines))
    assert read(path).relevant() == {"q1": {"d1": 1}}


def test_a_query_over_two_lines_does_not_shift_the_lines_of_errors(tmp_path):
    lines = ["query,document_id", "", '"one', 'query",d1', "two,"]
    assert "mine.csv:5' is not valid: the document_id is empty" in refusal(
        write_lines(tmp_path / "mine.csv", lines)
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["question,text", "a,b"], "mine.csv:1' is not valid: there is no column 'document_id'"),
        (["how hot?,d1"], "there is no column 'query' in it, but how hot?, d1"),
        (["query,document_id", "how hot?"], "mine.csv:2' is not valid: the row has 1 columns"),
        (["query,document_id", ",d1"], "mine.csv:2' is not valid: the query is empty"),
        (["query,document_id", 'a,"b" c'], "mine.csv:2' is not valid: it is not CSV"),
        (["query,document_id"], "there is no judgement in it"),
        (["query,document_id,relevance", "a,d1,yes"], "'yes' is not a whole number"),
        (["query,document_id,relevance", "a,d1,1", "a,d1,0"], "mine.csv:2 gives it 1"),
    ],
)
def test_a_bad_csv_is_told_what_is_wrong_and_where(tmp_path, lines, said):
    assert said in refusal(write_lines(tmp_path / "mine.csv", lines))


# --- TREC -----------------------------------------------------------------------------------

TOPICS = """<top>
<num> Number: 301
<title> International Organized Crime

<desc> Description:
Identify organizations.
</top>
<top><num>302</num><title>Poliomyelitis
and Post-Polio</title></top>
"""


@pytest.fixture
def trec(tmp_path: Path) -> Path:
    (tmp_path / "topics.301-302").write_text(TOPICS, "utf-8")
    write_lines(tmp_path / "qrels.txt", ["301 0 FT1 1", "301 0 FT2 0", "302 0 FT3 2"])
    run = ["301 Q0 FT2 1 0.5 mine", "301 Q0 FT1 2 0.9 mine", "302 Q0 FT3 1 1 mine"]
    write_lines(tmp_path / "mine.run", run)
    return tmp_path


def test_topics_judgements_and_runs_are_found_in_a_folder(trec):
    found = read(trec)
    assert found.queries == {
        "301": "International Organized Crime",
        "302": "Poliomyelitis and Post-Polio",
    }
    assert found.relevant() == {"301": {"FT1": 1}, "302": {"FT3": 2}}
    assert found.runs == {"mine": {"301": ["FT1", "FT2"], "302": ["FT3"]}}
    assert found.corpus is None


def test_topics_may_be_lines_and_the_files_may_be_named(trec):
    topics = write_lines(trec / "asked.tsv", ["301\torganized crime"])
    found = read(topics, qrels=trec / "qrels.txt", runs=[trec / "mine.run"])
    assert found.queries == {"301": "organized crime"}
    assert list(found.runs) == ["mine"]


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("qrels.txt", "301 FT9 1", "qrels.txt:4' is not valid: the line has 3 columns"),
        ("mine.run", "301 Q0 FT9 first 0.1 mine", "mine.run:4' is not valid: rank and score"),
        ("topics.301-302", "<top> <num> 303 </top>", "a topic lacks <num> or <title>: <num> 303"),
    ],
)
def test_a_bad_line_of_trec_is_named(trec, name, line, said):
    with (trec / name).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    assert said in refusal(trec)


# --- None of them ---------------------------------------------------------------------------


def test_a_source_that_is_nothing_known_is_told_what_is(tmp_path, trec):
    assert "there is no such file or folder; give a BEIR folder" in refusal(tmp_path / "none")
    assert "name the judgements with --qrels" in refusal(trec / "topics.301-302")
    (trec / "qrels.txt").unlink()
    assert "twofold eval TOPICS --qrels FILE" in refusal(trec)
