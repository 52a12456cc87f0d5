"""Each import contract of pyproject.toml catches a violation planted for it, and only that one."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "pyproject.toml"
CONTRACTS = tomllib.loads(CONFIG.read_text())["tool"]["importlinter"]["contracts"]


def modules() -> set[str]:
    """Every module of ours that a contract names, or that a violation is planted in."""
    layers = {
        f"{container}.{module.strip()}"
        for contract in CONTRACTS
        for container in contract.get("containers", [])
        for layer in contract["layers"]
        for module in layer.split("|")
    }
    named = {
        module
        for contract in CONTRACTS
        for key in ("modules", "source_modules")
        for module in contract.get(key, [])
    }
    planted = {"twofold.schema", "services.api", "services.reranker"}
    return planted | {name for name in layers | named if "." in name and "*" not in name}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The bare skeleton of the project: its packages and modules, all empty."""
    for module in modules():
        path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        # Regular packages, so that nothing of the real ones is merged into them.
        (path.parent / "__init__.py").touch()
        path.touch()
    return tmp_path


def broken(tree: Path) -> set[str]:
    """Ids of the contracts that do not hold in the tree."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    command += ["--no-cache", "--config", str(CONFIG)]
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, timeout=120, check=False
    )
    verdicts = {
        contract["id"]: "KEPT" if f"{contract['name']} KEPT" in done.stdout else "BROKEN"
        for contract in CONTRACTS
        if f"{contract['name']} " in done.stdout
    }
    assert len(verdicts) == len(CONTRACTS), done.stdout + done.stderr
    found = {name for name, verdict in verdicts.items() if verdict == "BROKEN"}
    assert done.returncode == (1 if found else 0), done.stdout + done.stderr
    return found


def test_the_bare_tree_keeps_every_contract(tree):
    assert broken(tree) == set()


@pytest.mark.parametrize(
    ("contract", "module", "planted"),
    [
        ("layers", "twofold/schema.py", "import pipelines.ports"),
        ("layers", "pipelines/search.py", "import services.api"),
        ("pipelines", "pipelines/search.py", "import pipelines.ingest"),
        ("pipelines", "pipelines/store.py", "import pipelines.models"),
        ("pipelines", "pipelines/ports.py", "import pipelines.fuse"),
        ("services", "services/api.py", "import services.reranker"),
        ("light", "twofold/schema.py", "import numpy"),
        ("light", "twofold/schema.py", "import qdrant_client.models"),
        ("torch", "services/api.py", "import transformers"),
        ("torch", "pipelines/search.py", "import torch  # reached from pipelines.build"),
    ],
)
def test_a_planted_violation_breaks_exactly_its_contract(tree, contract, module, planted):
    (tree / "pipelines" / "build.py").write_text("import pipelines.search\n")
    with (tree / module).open("a") as file:
        file.write(planted + "\n")
    assert broken(tree) == {contract}


def test_every_contract_has_its_planted_violation():
    [mark] = test_a_planted_violation_breaks_exactly_its_contract.pytestmark
    assert {case[0] for case in mark.args[1]} == {contract["id"] for contract in CONTRACTS}
