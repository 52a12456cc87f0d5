"""What is published: the wheel holds the client package, and asks for nothing heavy."""

import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {path.relative_to(ROOT).as_posix() for path in (ROOT / "twofold").rglob("*.py")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def metadata(wheel: zipfile.ZipFile) -> Message:
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(name))


def test_the_wheel_holds_the_whole_client_package_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == SOURCES | {"twofold/py.typed"}


def test_the_wheel_carries_its_licence_and_the_command(wheel):
    names = wheel.namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    [entry] = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
    assert "twofold = twofold.cli:main" in wheel.read(entry).decode()


def test_an_application_installs_five_packages_and_no_more(wheel):
    required = [each for each in metadata(wheel).get_all("Requires-Dist") if "extra ==" not in each]
    assert {each.split(">")[0].split("<")[0] for each in required} == {
        "httpx",
        "pathspec",
        "pydantic",
        "rich",
        "typer",
    }
