"""Which files are added, under which names, and what one that is refused does to the others."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest

from twofold import Client
from twofold.adding import Walk, Watch, find, follow, send
from twofold.errors import InvalidRequest, Unauthenticated
from twofold.schema import Document

URL = "http://twofold.test"


def document(name: str, status: str = "ready", progress: float = 1.0) -> dict[str, object]:
    return {
        "id": f"id of {name}",
        "collection": "default",
        "name": name,
        "media_type": "text/plain",
        "size": 1,
        "sha256": "0" * 64,
        "version": 1,
        "status": status,
        "progress": progress,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }


def refusal(status: int, code: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": message}})


def names_in(request: httpx.Request) -> list[str]:
    return [
        part.split(b'filename="')[1].split(b'"')[0].decode()
        for part in request.content.split(b"\r\n")
        if b"filename=" in part
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, one of them deeper, among things that are no documents."""
    top = tmp_path / "guides"
    for name in ("yew.md", "wood/ash.md", ".git/config", "wood/.hidden.md"):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    os.mkfifo(top / "pipe")
    (top / "dangling.md").symlink_to(top / "nowhere.md")
    return top


# --- Names ----------------------------------------------------------------------------------


def test_a_folder_is_walked_and_hidden_and_special_files_are_left_out(folder):
    assert find([folder]) == {
        "guides/yew.md": folder / "yew.md",
        "guides/wood/ash.md": folder / "wood" / "ash.md",
    }
    assert list(find([folder], Walk(recursive=False))) == ["guides/yew.md"]


def test_a_name_does_not_depend_on_where_the_command_is_run(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert set(find([Path("guides")])) == set(find([folder]))
    monkeypatch.chdir(folder)
    assert set(find([Path()])) == set(find([folder]))


def test_a_file_that_is_named_is_taken_even_if_hidden(folder):
    assert list(find([folder / "wood" / ".hidden.md"])) == [".hidden.md"]


def test_the_same_file_twice_is_one_file(folder):
    assert len(find([folder / "yew.md", folder / "yew.md"])) == 1


def test_two_files_that_would_be_stored_under_one_name_are_refused(folder, tmp_path):
    other = tmp_path / "yew.md"
    other.write_text("another")
    with pytest.raises(InvalidRequest, match=r"both be stored as 'yew\.md'"):
        find([folder / "yew.md", other])


def test_a_path_that_does_not_exist_is_an_error_and_not_an_empty_folder(tmp_path):
    with pytest.raises(InvalidRequest, match="no file or folder"):
        find([tmp_path / "nowhere"])


def test_a_name_that_is_not_utf_8_is_still_a_name(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md"))
    path.write_text("x")
    assert list(find([path])) == ["\ufffd.md"]


# --- Sending --------------------------------------------------------------------------------


def sent(
    handler, files: dict[str, Path], known: Mapping[str, str] = MappingProxyType({})
) -> tuple[set[str], dict[str, str]]:
    """Names that were accepted, and the reason of each that was not."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/documents/compare":
            return handler(request)
        asked = {each["name"]: each["sha256"] for each in json.loads(request.content)["files"]}
        there = [
            {**document(name), "verdict": "unchanged"}
            for name, content in known.items()
            if asked.get(name) == hashlib.sha256(content.encode()).hexdigest()
        ]
        return httpx.Response(200, json={"documents": there})

    with Client(URL, transport=httpx.MockTransport(answer)) as client:
        answers = list(send(client, files, collection="default", metadata={}))
    return (
        {each.name for answer in answers for each in answer.documents},
        {each.name: each.error.message for answer in answers for each in answer.rejected},
    )


def test_a_file_that_cannot_be_read_does_not_stop_the_others(folder, tmp_path):
    def accept(request: httpx.Request) -> httpx.Response:
        documents = [{**document(name), "verdict": "created"} for name in names_in(request)]
        return httpx.Response(202, json={"documents": documents})

    files = {"yew.md": folder / "yew.md", "gone.md": tmp_path / "gone.md"}
    assert sent(accept, files) == ({"yew.md"}, {"gone.md": "No such file or directory"})


def test_when_a_whole_request_is_refused_each_file_gets_its_own_reason(folder):
    def refuse(request: httpx.Request) -> httpx.Response:
        return refusal(415, "unsupported_format", f"{names_in(request)[0]} cannot be read.")

    accepted, rejected = sent(refuse, find([folder]))
    assert accepted == set()
    assert rejected == {name: f"{name} cannot be read." for name in find([folder])}


def test_a_key_that_is_refused_is_refused_once_and_not_for_each_file(folder):
    requests = []

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return refusal(401, "unauthenticated", "Send a key.")

    with pytest.raises(Unauthenticated):
        sent(refuse, find([folder]))
    assert len(requests) == 1


def test_what_the_server_has_unchanged_is_not_sent_again(folder):
    uploaded = []

    def accept(request: httpx.Request) -> httpx.Response:
        uploaded.extend(names_in(request))
        documents = [{**document(name), "verdict": "updated"} for name in names_in(request)]
        return httpx.Response(202, json={"documents": documents})

    known = {"guides/yew.md": "yew.md", "guides/wood/ash.md": "as it was yesterday"}
    accepted, rejected = sent(accept, find([folder]), known)
    assert (accepted, rejected) == (set(known), {})
    assert uploaded == ["guides/wood/ash.md"]


# --- Ignoring -------------------------------------------------------------------------------


def write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def names(found: Mapping[str, Path]) -> set[str]:
    return {name.partition("/")[2] for name in found}


def test_what_ignore_files_leave_out_is_left_out(tmp_path):
    root = write(
        tmp_path / "notes", a="", b="", drafts__c="", drafts__d="", build__e="", deep__build__f=""
    )
    (root / ".gitignore").write_text("build/\n/a\n*.log\n# a comment\n")
    (root / "drafts" / ".twofoldignore").write_text("*\n!d\n")
    (root / "deep" / "x.log").write_text("")
    assert names(find([root])) == {"b", "drafts/d"}
    assert names(find([root], Walk(ignore=False))) == {
        *("a", "b", "drafts/c", "drafts/d", "build/e", "deep/build/f", "deep/x.log")
    }


def test_our_own_ignore_file_has_the_last_word(tmp_path):
    root = write(tmp_path / "notes", a="", b="")
    (root / ".gitignore").write_text("a\n")
    (root / ".twofoldignore").write_text("!a\nb\n")
    assert names(find([root])) == {"a"}


def test_the_rules_of_a_repository_hold_in_its_folders(tmp_path):
    write(tmp_path, **{".git__HEAD": "", ".gitignore": "docs/private\n*.tmp\nout/\n"})
    root = write(tmp_path / "docs", a="", private__b="", c="")
    (root / "d.tmp").write_text("")
    assert names(find([root])) == {"a", "c"}
    assert names(find([write(tmp_path / "out", e="")])) == {"e"}  # it was named, so it is wanted
    assert names(find([root / "private"])) == {"b"}


def test_hidden_files_are_taken_when_they_are_wanted_and_git_never(folder):
    found = find([folder], Walk(hidden=True))
    assert "guides/wood/.hidden.md" in found
    assert not [name for name in found if ".git" in name]


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_not_missed_silently(folder):
    (folder / "wood").chmod(0)
    try:
        assert sent(None, {"guides/wood": find([folder])["guides/wood"]}) == (
            set(),
            {"guides/wood": "The folder cannot be read"},
        )
    finally:
        (folder / "wood").chmod(0o755)


# --- Following ------------------------------------------------------------------------------


def test_news_of_a_document_comes_until_it_is_final():
    states = [document("a", "parsing", 0.2), document("a", "embedding", 0.5), document("a")]

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=states.pop(0))

    queued = Document.model_validate(document("a", "queued", 0.0))
    with Client(URL, transport=httpx.MockTransport(answer)) as client:
        news = list(follow(client, [queued], collection="default", timeout=30))
    assert news[-1].status == "ready"
    assert states == []


def test_following_ends_when_the_time_is_up():
    queued = Document.model_validate(document("a", "queued", 0.0))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=document("a", "queued")))
    with Client(URL, transport=transport) as client:
        news = list(follow(client, [queued], collection="default", timeout=0.1))
    assert {each.status for each in news} == {"queued"}


# --- Watching -------------------------------------------------------------------------------


def touch(path: Path, text: str, moment: int) -> None:
    path.write_text(text)
    os.utime(path, (moment, moment))


def test_a_change_is_noticed_once_the_file_is_at_rest(folder):
    watch = Watch([folder])
    assert watch.look() == {}
    watch.sent(find([folder]))

    touch(folder / "oak.md", "first half", 1)
    assert watch.look() == {}
    touch(folder / "oak.md", "first half, second half", 2)
    assert watch.look() == {}
    assert list(watch.look()) == ["guides/oak.md"]


def test_what_was_sent_is_not_sent_again_until_it_changes(folder):
    watch = Watch([folder])
    watch.look()
    due = watch.look()
    assert set(due) == set(find([folder]))
    watch.sent(due)
    assert watch.look() == {}

    touch(folder / "yew.md", "a new edition", 3)
    watch.look()
    assert list(watch.look()) == ["guides/yew.md"]


def test_what_could_not_be_sent_is_due_again(folder):
    watch = Watch([folder])
    watch.look()
    assert set(watch.look()) == set(watch.look()) != set()


def test_a_watched_folder_may_disappear_and_come_back(folder):
    watch = Watch([folder])
    watch.look()
    watch.sent(watch.look())
    folder.rename(folder.with_name("away"))
    assert watch.look() == {}
    folder.with_name("away").rename(folder)
    watch.look()
    assert watch.look() == {}
