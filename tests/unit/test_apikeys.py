"""The keys file: what is kept, who may change it at once, and what is said when it cannot be."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from twofold import apikeys
from twofold.apikeys import KeyFile, id_of
from twofold.errors import ConfigurationError, Conflict, KeyNotFound, KeysUnchangeable


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def make(file: KeyFile, tenant: str = "acme") -> str:
    return file.create(name="ci", tenant=tenant, scopes=["read"]).key


def test_a_key_is_recognisable_long_and_never_the_same(file):
    keys = {make(file) for _ in range(50)}
    assert len(keys) == 50
    for key in keys:
        assert key.startswith("tf_")
        assert id_of(key) == key.split("_")[1]
        assert len(key.split("_", 2)[2]) * 6 >= 256


def test_the_file_holds_the_hash_and_not_the_key(file):
    key = make(file)
    content = file.path.read_text()
    assert key not in content
    assert key.split("_", 2)[2] not in content
    [stored] = file.read()
    assert stored.opens(key)
    assert not stored.opens(key[:-1] + ("A" if key[-1] != "A" else "B"))


def test_a_new_file_is_for_its_owner_alone_and_an_old_one_keeps_its_mode(file):
    make(file)
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.path.chmod(0o640)
    make(file)
    assert file.path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_and_what_it_points_to_is_replaced(file, tmp_path):
    target = tmp_path / "elsewhere" / "real.json"
    target.parent.mkdir()
    target.write_text('{"keys": []}')
    file.path.symlink_to(target)
    make(file)
    assert file.path.is_symlink()
    assert len(KeyFile(target).read()) == 1


def test_writers_at_the_same_time_lose_nothing(file):
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: make(file), range(40)))
    stored = {key.id: key for key in file.read()}
    assert len(stored) == 40
    assert all(stored[id_of(key) or ""].opens(key) for key in keys)
    assert sorted(path.name for path in file.path.parent.iterdir()) == [
        "keys.json",
        "keys.json.lock",
    ]


def test_revoking_takes_exactly_one_key(file):
    first, second = make(file), make(file)
    assert file.revoke(id_of(first) or "").name == "ci"
    assert [key.id for key in file.read()] == [id_of(second)]


def test_a_key_of_another_tenant_is_not_there(file):
    key_id = id_of(make(file, "acme")) or ""
    with pytest.raises(KeyNotFound) as foreign:
        file.revoke(key_id, tenant="other")
    with pytest.raises(KeyNotFound) as missing:
        file.revoke("0" * 12, tenant="other")
    assert str(foreign.value).replace(key_id, "0" * 12) == str(missing.value)
    assert len(file.read()) == 1


def test_a_tenant_has_a_bounded_number_of_keys(file, monkeypatch):
    monkeypatch.setattr(apikeys, "MAX_KEYS_PER_TENANT", 3)
    for _ in range(3):
        make(file)
    with pytest.raises(Conflict, match="revoke"):
        make(file)
    make(file, "other")


def test_a_key_is_valid_until_it_expires(file):
    now = datetime.now(UTC)
    file.create(name="a", tenant="t", scopes=["read"], expires_at=now + timedelta(days=1))
    [key] = file.read()
    assert key.valid(now)
    assert not key.valid(now + timedelta(days=1))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "twofold keys create"),
        ("{", "JSON"),
        ('{"keys": [{}]}', "keys.0"),
        ('{"kays": []}', "kays"),
        ('{"keys": [{"id": "nope"}]}', "keys.0"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_sentence(file, content, word):
    if content is not None:
        file.path.write_text(content)
    with pytest.raises(ConfigurationError, match=word):
        file.read()


def test_what_is_wrong_with_a_file_is_told_without_its_content(file):
    make(file)
    content = json.loads(file.path.read_text())
    content["keys"][0]["scopes"] = ["everything"]
    file.path.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError) as raised:
        file.read()
    assert content["keys"][0]["sha256"] not in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_says_where_to_go_instead(file):
    make(file)
    file.path.parent.chmod(0o500)
    try:
        with pytest.raises(KeysUnchangeable, match="twofold keys"):
            make(file)
    finally:
        file.path.parent.chmod(0o700)


def test_a_file_that_cannot_be_replaced_is_left_as_it_is(file, monkeypatch):
    make(file)
    before = file.path.read_bytes()

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", read_only)
    with pytest.raises(KeysUnchangeable, match="Read-only"):
        make(file)
    assert file.path.read_bytes() == before
    assert {path.name for path in file.path.parent.iterdir()} == {"keys.json", "keys.json.lock"}
