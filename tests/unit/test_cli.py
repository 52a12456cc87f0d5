"""The command line over a fake server: what it prints where, and its exit status."""

import json
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from twofold import __version__
from twofold.cli import main
from twofold.schema import Document, DocumentContent, DocumentList, KeyList, PassageList

NOW = "2026-01-01T00:00:00Z"


class Server:
    """Twofold in a dictionary: documents whose name begins with `bad` fail."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, object]] = {}
        self.forms: list[str] = []
        self.searches: list[dict[str, object]] = []
        self.ready = True
        self.workers: dict[str, int] = {}
        self.warnings: list[str] = []
        self.collections = ["bows", "bread", "yew"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.raw_path.decode().partition("?")[0])
        match request.method, path.split("/", 2)[1:]:
            case "POST", ["documents", "compare"]:
                return httpx.Response(200, json={"documents": self._unchanged(request)})
            case "POST", ["documents"]:
                return self._add(request)
            case "GET", ["documents"]:
                wanted = request.url.params.get_list("status")
                rows = [
                    row for row in self.documents.values() if row["status"] in wanted or not wanted
                ]
                return httpx.Response(200, json={"documents": rows, "cursor": None})
            case "GET", ["documents", tailed] if tailed.endswith("/content"):
                about = {"id": tailed.removesuffix("/content"), "collection": "default"}
                text = "Yew dries\x1b slowly."
                return httpx.Response(200, json={**about, "version": 1, "text": text})
            case "GET", ["documents", tailed] if tailed.endswith("/chunks"):
                about = {"id": tailed.removesuffix("/chunks"), "collection": "default"}
                chunk = {"chunk_id": "c", "ordinal": 0, "text": "Yew dries\x1b slowly."}
                chunks = [{**chunk, "start": 0, "end": 18}]
                return httpx.Response(200, json={**about, "version": 1, "chunks": chunks})
            case "POST", ["documents", tailed] if tailed.endswith("/retry"):
                row = self.documents[tailed.removesuffix("/retry")]
                row["status"] = "ready"
                return httpx.Response(202, json={**row, "status": "queued", "error": None})
            case "GET", ["documents", document_id]:
                return self._row(document_id)
            case "DELETE", ["documents", document_id]:
                answer = self._row(document_id)
                self.documents.pop(document_id, None)
                return answer
            case "POST", ["search"]:
                self.searches.append(json.loads(request.content))
                return httpx.Response(200, json={**FOUND, "warnings": self.warnings})
            case "GET", ["collections"]:
                collections = [
                    {"name": name, "embedder": "minilm", "dimensions": 384, "chunk_tokens": 256,
                     "language": "english"}
                    for name in self.collections
                ]  # fmt: skip
                return httpx.Response(200, json={"collections": collections})
            case "GET", ["healthz"]:
                return httpx.Response(200, json={"status": "ok", "version": "0.1.0"})
            case "GET", ["readyz"]:
                state = {"ready": self.ready, "parts": {"store": "ok" if self.ready else "full"}}
                models = {"embedder": "minilm", "reranker": "late-interaction"}
                documents = {"documents": {"ready": 3}, "workers": self.workers}
                status = 200 if self.ready else 503
                return httpx.Response(status, json={**state, **models, **documents})
        raise AssertionError(f"no such call: {request.method} {path}")

    def _add(self, request: httpx.Request) -> httpx.Response:
        body = request.content.decode(errors="replace")
        self.forms.append(body)
        names = [part.split('"')[0] for part in body.split('filename="')[1:]]
        for name in names:
            failed = Path(name).name.startswith("bad")
            error = {"code": "corrupt", "message": "It is damaged."} if failed else None
            self.documents[f"id-{name}"] = {
                "id": f"id-{name}",
                "collection": "default",
                "name": name,
                "media_type": "text/plain",
                "size": 1,
                "sha256": "0" * 64,
                "version": 1,
                "status": "failed" if failed else "ready",
                "error": error,
                "chunks": 0 if failed else 2,
                "created_at": NOW,
                "updated_at": NOW,
            }
        queued = [
            {
                **self.documents[f"id-{name}"],
                "status": "queued",
                "error": None,
                "verdict": "created",
            }
            for name in names
        ]
        return httpx.Response(202, json={"documents": queued})

    def _unchanged(self, request: httpx.Request) -> list[dict[str, object]]:
        names = [f"id-{file['name']}" for file in json.loads(request.content)["files"]]
        known = [self.documents[name] for name in names if name in self.documents]
        return [{**row, "verdict": "unchanged"} for row in known if row["status"] == "ready"]

    def _row(self, document_id: str) -> httpx.Response:
        if document_id in self.documents:
            return httpx.Response(200, json=self.documents[document_id])
        error = {"code": "document_not_found", "message": f"No document '{document_id}'."}
        return httpx.Response(404, json={"error": error})


FOUND = {
    "results": [
        {
            "rank": 1,
            "score": 0.91,
            "document_id": "d1",
            "chunk_id": "c1",
            "name": "guides/yew.md",
            "text": "A stave of yew dries for a year\x1b[2J before it is [red]tillered[/red].",
            "start": 0,
            "end": 10,
            "page": 7,
            "headings": ["Wood", "Seasoning"],
            "recall_rank": 4,
            "scores": {"dense": 0.81, "sparse": 12.3, "recall": 0.7, "rerank": None},
        }
    ],
    "rerank": {
        "status": "partial",
        "scored": 20,
        "depth": 50,
        "model": "late-interaction",
        "ms": 143.2,
        "reason": "the deadline came first",
    },
    "timings_ms": {"embed": 4, "recall": 8, "queue": 0, "rerank": 143, "fuse": 0.2, "total": 156},
    "candidates": 100,
}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def run(server, capsys, monkeypatch):
    """Run a command line: its exit status, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str, handler=server) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(arguments, transport=httpx.MockTransport(handler))
        output = capsys.readouterr()
        return int(done.value.code or 0), output.out, output.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "guides").mkdir()
    for name in ("yew.md", "ash.md"):
        (tmp_path / "guides" / name).write_text(name)
    return tmp_path / "guides"


def test_version(run):
    assert run("--version") == (0, f"twofold {__version__}\n", "")


def test_adding_a_folder_reports_every_document(run, folder):
    status, out, err = run("add", str(folder))
    assert (status, err) == (0, "")
    assert "guides/ash.md" in out
    assert "guides/yew.md" in out
    assert out.strip().endswith("2 created")


def test_a_document_that_fails_is_reported_with_its_reason_and_in_the_exit_status(run, folder):
    (folder / "bad.pdf").write_text("x")
    status, out, _ = run("add", str(folder))
    assert status == 1
    assert "It is damaged." in out
    assert "2 created, 1 failed" in out.replace("1 failed, 2 created", "2 created, 1 failed")


def test_of_many_documents_only_the_failures_are_listed(run, folder):
    for number in range(30):
        (folder / f"{number}.md").write_text("x")
    (folder / "bad.pdf").write_text("x")
    _, out, _ = run("add", str(folder))
    assert "bad.pdf" in out
    assert "yew.md" not in out
    assert "32 created" in out


def test_the_same_command_again_sends_nothing(run, server, folder):
    run("add", str(folder))
    status, out, _ = run("add", str(folder))
    assert (status, len(server.forms)) == (0, 1)
    assert out.strip().endswith("2 unchanged")


def test_what_failed_before_is_sent_again(run, server, folder):
    (folder / "bad.pdf").write_text("x")
    run("add", str(folder))
    status, _, _ = run("add", str(folder))
    assert (status, len(server.forms)) == (1, 2)
    assert 'filename="guides/bad.pdf"' in server.forms[1]
    assert "yew.md" not in server.forms[1]


def test_many_files_are_told_of_once_each_while_the_rest_is_sent(run, folder, monkeypatch):
    monkeypatch.setattr("twofold.progress.WINDOW", 10)
    for number in range(150):
        (folder / f"{number}.md").write_text("x")
    (folder / "gone.md").symlink_to("nowhere")
    documents = json.loads(run("add", str(folder), "--json")[1])["documents"]
    assert len({each["name"] for each in documents}) == len(documents) == 152
    assert {each["status"] for each in documents} == {"ready"}


def test_of_endless_failures_the_first_are_named_and_the_others_counted(run, folder, monkeypatch):
    monkeypatch.setattr("twofold.outcomes.MAX_FAILURES", 5)
    for number in range(30):
        (folder / f"bad{number}.pdf").write_text("x")
    status, out, _ = run("add", str(folder))
    assert status == 1
    assert "and 25 more that failed" in out
    assert "30 failed" in out


def test_without_waiting_an_upload_is_done_when_it_is_accepted(run, folder):
    status, out, _ = run("add", "--no-wait", str(folder))
    assert (status, "2 queued" in out) == (0, True)


def test_metadata_is_read_as_json_where_it_is_json(run, server, folder):
    run(
        "add",
        str(folder),
        "-m",
        "year=2020",
        "-m",
        "author=Åke",
        "-m",
        'tags=["a","b"]',
        "-m",
        "a=b=c",
    )
    [metadata] = [line for line in server.forms[0].split("\r\n") if line.startswith('{"')]
    assert json.loads(metadata) == {"year": 2020, "author": "Åke", "tags": ["a", "b"], "a": "b=c"}


def test_an_empty_folder_is_said_to_be_empty(run, tmp_path):
    status, out, _ = run("add", str(tmp_path))
    assert (status, out) == (0, "There are no files to add.\n")


def test_a_search_shows_source_scores_and_what_the_second_stage_did(run):
    status, out, err = run("search", "how long does yew dry?")
    assert (status, err) == (0, "")
    for shown in (
        "0.910",
        "0.810",
        "12.3",
        "4↑",
        "guides/yew.md p. 7",
        "Wood › Seasoning",
        "A stave of yew dries for a year",
        "rerank partial",
        "20 of 50",
        "late-interaction",
        "the deadline came first",
        "total 156.0 ms",
    ):
        assert shown in out


def test_a_passage_cannot_command_the_terminal(run):
    _, out, _ = run("search", "yew")
    assert "\x1b" not in out
    assert "[red]tillered[/red]" in out


@pytest.mark.parametrize("columns", ["20", "60", "89", "90", "200"])
def test_a_search_fits_any_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run("search", "yew")
    assert max(map(len, out.splitlines())) <= int(columns)


def test_colour_is_for_terminals_that_want_it(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in run("search", "yew")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in run("search", "yew")[1]


def test_the_options_of_a_search_reach_the_server(run, server):
    filter_ = {"and": [{"key": "year", "gte": 2020}]}
    run(
        *("search", "yew", "-n", "3", "-c", "bows", "--depth", "7", "--deadline-ms", "500"),
        *("--filter", json.dumps(filter_), "--instruction", "Find recipes."),
    )
    run("search", "yew", "--no-rerank")
    first, second = server.searches
    assert first["limit"] == 3
    assert first["collection"] == "bows"
    assert first["deadline_ms"] == 500
    assert first["filter"] == filter_
    assert first["recall"] == {"instruction": "Find recipes."}
    assert first["rerank"] == {"enabled": True, "depth": 7, "instruction": "Find recipes."}
    assert second["rerank"]["enabled"] is False


def test_what_had_no_effect_is_a_warning_beside_the_results(run, server):
    server.warnings = ["minilm takes no instruction,\x1b[2J so it had no effect."]
    _, out, err = run("search", "yew")
    assert err == "warning: minilm takes no instruction, [2J so it had no effect.\n"
    assert "warning" not in out
    _, out, err = run("search", "yew", "--json")
    assert json.loads(out)["warnings"] == server.warnings
    assert err == ""


def test_a_terminal_sees_the_bytes_of_an_upload_and_programs_do_not(run, folder, monkeypatch):
    assert run("add", str(folder))[2] == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    (folder / "elm.md").write_bytes(b"x" * 3_000_000)
    _, _, err = run("add", str(folder))
    assert "uploaded" in err
    assert "3.0/3.0 MB" in err
    (folder / "elm.md").write_bytes(b"y" * 3_000_000)
    assert run("add", str(folder), "--json")[2] == ""


def test_json_is_the_answer_of_the_server_and_nothing_else(run, folder):
    assert json.loads(run("search", "yew", "--json")[1])["results"][0]["rank"] == 1
    assert len(json.loads(run("add", str(folder), "--json")[1])["documents"]) == 2
    assert json.loads(run("status", "--json")[1])["ready"] is True
    listed = DocumentList.model_validate_json(run("documents", "list", "--json")[1])
    assert [each.name for each in listed.documents] == ["guides/ash.md", "guides/yew.md"]


def test_the_status_is_in_the_exit_status(run, server):
    status, out, _ = run("status")
    assert status == 0
    assert "late-interaction" in out
    assert "3 ready" in out
    server.ready = False
    status, out, _ = run("status")
    assert status == 1
    assert "not ready" in out
    assert "full" in out


def test_the_status_counts_the_workers_of_each_part(run, server):
    assert "workers" not in run("status")[1]
    server.workers = {"store": 12}
    lines = run("status")[1].splitlines()
    assert lines[-2].split() == ["part", "state", "workers"]
    assert lines[-1].split() == ["store", "ok", "12"]


@pytest.fixture
def complete(run, server, monkeypatch):
    """What Tab offers after a command line, in bash."""

    def complete(line: str, handler=server) -> list[str]:
        words = line.split()
        monkeypatch.setenv("_TWOFOLD_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - (not line.endswith(" "))))
        status, out, err = run(handler=handler)
        assert (status, err) == (0, "")
        return out.split()

    return complete


def test_the_shell_completes_the_names_of_collections(complete):
    assert complete("twofold search yew -c ") == ["bows", "bread", "yew"]
    assert complete("twofold add . --collection b") == ["bows", "bread"]
    assert complete("twofold --url http://there documents list -c br") == ["bread"]
    assert complete("twofold eval judged.csv --url http://there -c y") == ["yew"]
    for command in ("show", "instruct", "rebuild", "delete"):
        assert complete(f"twofold collections {command} y") == ["yew"]
    assert complete("twofold collections create ") == []


def test_no_name_is_completed_and_nothing_said_where_the_server_is_away(complete):
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there", request=request)

    def strange(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<html>")

    def refusing(request: httpx.Request) -> httpx.Response:
        error = {"code": "unauthenticated", "message": "Send a key."}
        return httpx.Response(401, json={"error": error})

    for handler in (away, strange, refusing):
        assert complete("twofold search yew -c ", handler) == []


def test_documents_are_listed_by_state_and_deleted_by_id(run, folder):
    (folder / "bad.pdf").write_text("x")
    run("add", str(folder))
    _, out, _ = run("documents", "list", "--status", "failed")
    assert "guides/bad.pdf" in out
    assert "yew.md" not in out
    deleted = run("documents", "delete", "id-guides/bad.pdf")
    assert deleted[:2] == (0, "Deleted guides/bad.pdf (id-guides/bad.pdf).\n")
    status, _, err = run("documents", "delete", "id-guides/bad.pdf")
    assert (status, err) == (1, "twofold: No document 'id-guides/bad.pdf'.\n")


def test_one_document_that_is_not_there_does_not_stop_the_others(run, server, folder):
    run("add", str(folder))
    ids = ("id-guides/ash.md", "id-of-nobody", "id-guides/yew.md")
    status, out, err = run("documents", "delete", *ids, "--json")
    assert status == 1
    assert [each.id for each in DocumentList.model_validate_json(out).documents] == [*ids[::2]]
    assert "No document 'id-of-nobody'" in err
    assert not server.documents


def test_a_document_is_shown_with_its_text_and_its_passages(run, folder):
    run("add", str(folder))
    document_id = "id-guides/yew.md"
    _, out, _ = run("documents", "show", document_id)
    assert "guides/yew.md" in out
    assert "ready" in out
    assert run("documents", "show", document_id, "--text")[1] == "Yew dries\x1b slowly.\n"
    assert "Yew dries slowly." in run("documents", "show", document_id, "--passages")[1]
    for option, model in (
        ((), Document),
        (("--text",), DocumentContent),
        (("--passages",), PassageList),
    ):
        _, out, err = run("documents", "show", document_id, *option, "--json")
        assert model.model_validate_json(out).id == document_id
        assert err == ""


def test_a_failed_document_is_tried_again_and_waited_for(run, server, folder):
    (folder / "bad.pdf").write_text("x")
    run("add", str(folder))
    document_id = "id-guides/bad.pdf"
    status, out, _ = run("documents", "wait", document_id, "id-guides/yew.md", "--json")
    assert status == 1, "one of them cannot be searched"
    assert [each["status"] for each in json.loads(out)["documents"]] == ["failed", "ready"]
    assert run("documents", "retry", document_id)[:2] == (
        0,
        f"Queued guides/bad.pdf ({document_id}).\n",
    )
    assert run("documents", "wait", document_id)[0] == 0


@pytest.mark.parametrize("columns", ["20", "40", "80", "200"])
def test_a_list_of_documents_fits_any_terminal_and_keeps_ids_whole(
    run, folder, monkeypatch, columns
):
    run("add", str(folder))
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run("documents", "list")
    assert "id-guides/yew.md" in out
    assert len(out.splitlines()) <= 2 * 3


def test_a_program_that_reads_a_list_gets_whole_lines(run, server, folder, monkeypatch):
    name = "a long name of a document " * 3 + ".md"
    (folder / name).write_text("x")
    run("add", str(folder))
    monkeypatch.delenv("COLUMNS")
    _, out, _ = run("documents", "list")
    assert len(out.splitlines()) == 1 + len(server.documents)


def test_a_search_that_finds_nothing_says_so_in_its_exit_status(run):
    nothing = {**FOUND, "results": []}
    status, out, _ = run("search", "yew", handler=lambda _: httpx.Response(200, json=nothing))
    assert status == 1
    assert "Nothing found." in out


@pytest.mark.parametrize(
    ("code", "status"), [("unauthenticated", 401), ("forbidden", 403), ("quota_exceeded", 429)]
)
def test_a_refusal_has_an_exit_status_of_its_own(run, code, status):
    error = {"code": code, "message": "Ask for a key that may."}
    headers = {"Retry-After": "3600"}
    answer = httpx.Response(status, json={"error": error}, headers=headers)
    assert run("search", "yew", handler=lambda _: answer) == (
        4,
        "",
        "twofold: Ask for a key that may.\n",
    )


def test_keys_are_managed_through_the_server_where_no_file_is_named(run, monkeypatch):
    monkeypatch.delenv("TWOFOLD_API_KEYS_FILE", raising=False)
    key = {"id": "0" * 12, "name": "ci", "tenant": "acme", "scopes": ["read"], "created_at": NOW}

    def handler(request: httpx.Request) -> httpx.Response:
        match request.method:
            case "POST":
                assert json.loads(request.content)["scopes"] == ["read"]
                return httpx.Response(201, json={**key, "key": "tf_secret"})
            case "GET":
                return httpx.Response(200, json={"keys": [key]})
        return httpx.Response(200, json=key)

    made = run("keys", "create", "--name", "ci", "--scope", "read", handler=handler)
    assert made[:2] == (0, "tf_secret\n")
    assert "acme" in run("keys", "list", handler=handler)[1]
    revoked = run("keys", "revoke", "0" * 12, "--json", handler=handler)[1]
    assert KeyList.model_validate_json(revoked).keys[0].id == "0" * 12
    elsewhere = run("keys", "create", "--name", "ci", "--tenant", "other", handler=handler)
    assert elsewhere[:2] == (2, "")


def test_an_interruption_is_no_traceback(run):
    def interrupted(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    status, out, err = run("status", handler=interrupted)
    assert (status, out) == (130, "")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "yew", "--limit", "-1"),
        ("search", "yew", "--limit", "many"),
        ("search", "yew", "--filter", "{"),
        ("search", "yew", "--filter", '{"key": "year"}'),
        ("search", ""),
        ("add", "/no/such/folder"),
        ("add", "/dev/null", "-m", "year"),
        ("add", "/dev/null", "-m", "a b=1"),
        ("documents", "list", "--status", "lost"),
        ("--url", "http://host:port", "status"),
        ("doctor",),
        ("serch", "yew"),
        ("add",),
    ],
)
def test_a_command_that_is_wrong_is_said_so_on_standard_error(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err
    assert "Traceback" not in err


def test_a_server_that_does_not_answer_has_an_exit_status_of_its_own(run):
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.UnsupportedProtocol("no such cable")

    def somebody_else(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<h1>Welcome to nginx</h1>")

    for handler in (away, somebody_else):
        status, out, err = run("status", handler=handler)
        assert (status, out) == (3, "")
        assert len(err.splitlines()) == 1
