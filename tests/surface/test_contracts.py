"""Each import contract of pyproject.toml catches a violation planted for it, and only that one."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "pyproject.toml"
CONTRACTS = tomllib.loads(CONFIG.read_text())["tool"]["importlinter"]["contracts"]


OURS = ("pipelines.", "twofold.")
LAZY = [
    tuple(part.strip() for part in allowed.split("->"))
    for contract in CONTRACTS
    for allowed in contract.get("ignore_imports", [])
]
"""Imports, from module to module, that a contract allows as an exception."""


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
    lazy = {module for pair in LAZY for module in pair if module.startswith(OURS)}
    planted = {"twofold.schema", "services.api", "services.reranker"}
    return {module for module in layers | named | lazy | planted if "*" not in module}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The bare skeleton of the project: its modules, empty but for the allowed exceptions."""
    for module in modules():
        # Regular packages all the way, so that nothing of the real ones is merged into them.
        for depth in range(1, module.count(".") + 2):
            source_of(tmp_path, ".".join(module.split(".")[:depth])).touch()
    for importer, imported in LAZY:
        plant(tmp_path, importer, f"import {imported}")
    return tmp_path


def source_of(tree: Path, module: str) -> Path:
    folder = tree.joinpath(*module.split("."))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "__init__.py"


def plant(tree: Path, module: str, statement: str) -> None:
    with source_of(tree, module).open("a") as file:
        file.write(statement + "\n")


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
        ("layers", "twofold.schema", "import pipelines.ports"),
        ("layers", "pipelines.search", "import services.api"),
        ("pipelines", "pipelines.search", "import pipelines.ingest"),
        ("pipelines", "pipelines.store", "import pipelines.models"),
        ("pipelines", "pipelines.ports", "import pipelines.fuse"),
        ("services", "services.api", "import services.reranker"),
        ("light", "twofold.schema", "import numpy"),
        ("light", "twofold.schema", "import qdrant_client.models"),
        ("torch", "services.api", "import transformers"),
        ("torch", "pipelines.search", "import torch  # reached from pipelines.build"),
    ],
)
def test_a_planted_violation_breaks_exactly_its_contract(tree, contract, module, planted):
    plant(tree, "pipelines.build", "import pipelines.search")
    plant(tree, module, planted)
    assert broken(tree) == {contract}


def test_every_contract_has_its_planted_violation():
    [mark] = test_a_planted_violation_breaks_exactly_its_contract.pytestmark
    assert {case[0] for case in mark.args[1]} == {contract["id"] for contract in CONTRACTS}
