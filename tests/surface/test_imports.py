"""What an import costs: an application pays for httpx and pydantic, a server not for torch."""

import subprocess
import sys

import pytest

HEAVY = {
    "langchain_core",
    "llama_index",
    "torch",
    "numpy",
    "redis",
    "qdrant_client",
    "qdrant_edge",
    "celery",
    "fastapi",
}
MODELS = {"torch", "transformers", "sentence_transformers"}


def loaded_by(module: str, watched: set[str], *, beside: str = "httpx") -> list[str]:
    """Which of the watched packages the import adds, in a fresh interpreter.

    Adds to httpx, that is, which loads rich itself where click happens to be installed.
    """
    program = (
        f"import sys, {beside}; before = set(sys.modules); "
        f"import {module}; print(*sorted({watched!r} & set(sys.modules) - before))"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_application_that_imports_twofold_gets_nothing_heavy():
    assert loaded_by("twofold.client, twofold.async_client", HEAVY | MODELS | {"typer"}) == []


def test_nothing_is_loaded_before_a_client_is_asked_for():
    assert loaded_by("twofold", {"httpx", "pydantic", "asyncio"}, beside="typing") == []


def test_who_does_not_await_does_not_pay_for_it():
    assert loaded_by("twofold.client", {"asyncio", "twofold.async_client"}) == []


def test_the_command_line_gets_nothing_heavy():
    assert loaded_by("twofold.cli", HEAVY | MODELS) == []


def test_a_server_starts_without_what_only_agents_ask_for():
    assert loaded_by("services.api.app", {"mcp", "mcp_types"}) == []


@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_an_adapter_without_its_framework_says_what_to_install(framework):
    package = {"langchain": "langchain_core", "llama_index": "llama_index"}[framework]
    program = f"import sys; sys.modules['{package}'] = None; import twofold.{framework}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    extra = framework.replace("_", "-")
    assert f"pip install 'twofold[{extra}]'" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("module", ["pipelines.build", "services.api.app"])
def test_a_server_loads_torch_with_a_model_and_not_at_import(module):
    assert loaded_by(module, MODELS) == []
