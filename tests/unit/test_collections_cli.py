"""`twofold collections`: what it asks of the server, and what it prints."""

import json
from typing import Any

import httpx
import pytest

from twofold.cli import main

NOW = "2026-01-02T03:04:05Z"


def collection(state: str | None = None, **about: object) -> dict[str, Any]:
    made = {"embedder": "m", "dimensions": 8, "chunk_tokens": 100, "language": "german"}
    rebuild = {
        **made,
        "state": state,
        "switch": "auto",
        "total": 3,
        "done": 3,
        "started_at": NOW,
        "updated_at": NOW,
        **about,
    }
    return {
        "name": "docs",
        **made,
        "documents": {"ready": 3},
        "passages": 7,
        "rebuild": rebuild if state else None,
    }


class Server:
    """Answers one thing after another, and keeps what it was asked."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.path, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(200, json=answer)

    def run(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["collections", *arguments], transport=httpx.MockTransport(self))
        return int(ended.value.code or 0)


def test_only_what_is_said_is_asked_for(capsys):
    server = Server(collection())
    assert server.run("create", "docs", "--language", "german", "--chunk-tokens", "100") == 0
    wanted = {"name": "docs", "language": "german", "chunk_tokens": 100}
    assert server.asked == [("POST", "/collections", wanted)]
    assert "german" in capsys.readouterr().out


def test_a_rebuild_is_followed_to_its_end(capsys):
    server = Server(collection("building"), collection("building"), collection("done"))
    assert server.run("rebuild", "docs", "--embedder", "m", "--query", "rye", "--json") == 0
    method, path, body = server.asked[0]
    assert (method, path) == ("POST", "/collections/docs/rebuild")
    assert body == {"embedder": "m", "queries": [{"query": "rye"}]}
    assert json.loads(capsys.readouterr().out)["rebuild"]["state"] == "done"


def test_one_that_waits_for_somebody_says_why_and_is_no_success(capsys):
    failure = {"id": "d", "name": "d.pdf", "error": {"code": "x", "message": "Too odd."}}
    waits = collection("waiting", reason="Some have failed.", failed=1, failures=[failure])
    assert Server(waits).run("rebuild", "docs") == 1
    out = capsys.readouterr().out
    assert "Some have failed." in out
    assert "Too odd." in out
    assert Server(waits).run("rebuild", "docs", "--manual") == 0


def test_switch_and_cancel_are_calls_of_their_own():
    server = Server(collection("done"))
    assert server.run("rebuild", "docs", "--switch", "--no-wait") == 0
    assert server.run("rebuild", "docs", "--cancel") == 0
    assert [each[:2] for each in server.asked] == [
        ("POST", "/collections/docs/rebuild/switch"),
        ("DELETE", "/collections/docs/rebuild"),
    ]
    assert server.run("rebuild", "docs", "--switch", "--cancel") == 2


def test_nothing_is_deleted_without_a_yes(monkeypatch):
    server = Server(collection())
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    assert server.run("delete", "docs") == 1
    assert [each[0] for each in server.asked] == ["GET"]
    assert server.run("delete", "docs", "--yes") == 0
    assert server.asked[-1][:2] == ("DELETE", "/collections/docs")


def test_instructions_are_set_and_taken_away():
    server = Server(collection())
    assert server.run("instruct", "docs", "--query", "find bread", "--rerank", "") == 0
    change = {"query_instruction": "find bread", "rerank_instruction": None}
    assert server.asked == [("PATCH", "/collections/docs", change)]
    assert server.run("instruct", "docs") == 2


def test_the_list_has_a_line_for_each(capsys):
    assert Server({"collections": [collection("done")]}).run("list") == 0
    assert "docs" in capsys.readouterr().out
