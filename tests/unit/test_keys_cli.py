"""`twofold keys`: the key alone on standard output, everything else beside it."""

import json
from pathlib import Path

import pytest

from twofold.apikeys import KeyFile, id_of
from twofold.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["keys", *arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keys.json"
    monkeypatch.setenv("TWOFOLD_API_KEYS_FILE", str(path))
    return path


def test_the_key_is_all_that_goes_to_standard_output(file, capsys):
    assert run("create", "--name", "ci") == 0
    out, err = capsys.readouterr()
    [stored] = KeyFile(file).read()
    assert stored.opens(out.strip())
    assert (stored.tenant, stored.scopes, stored.expires_at) == ("local", ["read", "write"], None)
    assert "cannot be shown again" in " ".join(err.split())
    assert out.strip() not in err


def test_a_key_has_the_tenant_scopes_and_end_that_it_is_given(file, capsys):
    told = ["--tenant", "acme", "--scope", "admin", "--scope", "read", "--expires-in-days", "30"]
    assert run("create", "--name", "ops", "--json", *told) == 0
    made = json.loads(capsys.readouterr().out)
    [stored] = KeyFile(file).read()
    assert stored.opens(made["key"])
    assert (stored.tenant, stored.scopes) == ("acme", ["admin", "read"])
    assert (stored.expires_at - stored.created_at).days in (29, 30)


def test_a_list_shows_who_has_keys_and_no_secret(file, capsys):
    for tenant in ("acme", "other"):
        assert run("create", "--name", f"for {tenant}", "--tenant", tenant) == 0
    keys = capsys.readouterr().out.split()
    assert run("list") == 0
    out = capsys.readouterr().out
    for key in keys:
        assert id_of(key) in out
        assert key not in out
    assert run("list", "--tenant", "acme", "--json") == 0
    [shown] = json.loads(capsys.readouterr().out)["keys"]
    assert shown["tenant"] == "acme"
    assert "sha256" not in shown


def test_a_revoked_key_is_gone_and_a_second_time_is_an_error(file, capsys):
    assert run("create", "--name", "ci") == 0
    key_id = id_of(capsys.readouterr().out.strip())
    assert run("revoke", key_id) == 0
    assert "ci" in capsys.readouterr().out
    assert KeyFile(file).read() == []
    assert run("revoke", key_id) == 1
    assert key_id in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "word"),
    [
        (["--name", "x", "--scope", "root"], "scopes"),
        (["--name", "x", "--tenant", "../etc"], "tenant"),
        (["--name", "x", "--tenant", "ACME"], "tenant"),
        (["--name", " "], "name"),
        (["--name", "x", "--expires-in-days", "0"], "expires"),
    ],
)
def test_a_wrong_wish_names_what_is_wrong_and_makes_nothing(file, capsys, told, word):
    assert run("create", *told) == 2
    assert word in capsys.readouterr().err
    assert not file.exists()


def test_a_file_that_is_not_there_is_one_sentence(file, capsys):
    assert run("list") == 2
    assert "twofold keys create" in " ".join(capsys.readouterr().err.split())
