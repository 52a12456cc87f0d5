"""From the compose file to what one machine runs: folders, secrets and ports for every service."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from infra.local.compose import Compose, Service
from infra.local.places import LOOPBACK, Places, free_port
from infra.local.programs import ROOT, Program, program_of
from twofold.errors import ConfigurationError

ELSEWHERE = {"redis": "TWOFOLD_REDIS_URL", "qdrant": "TWOFOLD_QDRANT_URL"}
"""Services that need not run here when the environment says where they are."""

_MAKE_SECRETS = ROOT / "infra" / "secrets.sh"


class Planned(NamedTuple):
    """One service, ready to be started, and the ports here on which it will be reached."""

    service: Service
    program: Program
    log: Path
    ports: tuple[int, ...]


class Layout(NamedTuple):
    """All of them.

    Attributes:
        planned: What runs here, in the order of the file.
        elsewhere: Services that run elsewhere -> variable that says where.
        url: Where the API will answer.
    """

    planned: dict[str, Planned]
    elsewhere: dict[str, str]
    url: str


def lay_out(compose: Compose, data: Path, environment: Mapping[str, str]) -> Layout:
    """Make folders and secrets, choose ports, and say how every service is run.

    Args:
        compose: What is to run.
        data: Everything that is written lies in this folder: volumes, secrets, logs.
        environment: Of the person who started this.

    Raises:
        ConfigurationError: A port is taken, or a program is missing.
    """
    given = {name: environment[key] for name, key in ELSEWHERE.items() if environment.get(key)}
    services = {name: each for name, each in compose.services.items() if name not in given}
    ports = {
        (name, inside): free_port(service.published.get(inside, 0))
        for name, service in services.items()
        for inside in service.listens
    }
    secrets = _secrets(data / "secrets", environment)
    shutil.rmtree(data / "run", ignore_errors=True)
    base = {key: value for key, value in environment.items() if not key.startswith("TWOFOLD_")}
    planned = {}
    for name, service in services.items():
        places = Places(name, ports, _folders(name, service, data))
        _deliver(service, secrets, compose.secrets, places)
        program = program_of(_pointed_at(service, given), places)
        # A person's PATH finds our programs, and what a program adds to it comes first.
        path = ":".join(filter(None, (program.environment.get("PATH"), base.get("PATH"))))
        program = replace(program, environment={**base, **program.environment, "PATH": path})
        listens = tuple(places.port(inside) for inside in service.listens)
        planned[name] = Planned(service, program, _log(data / "logs", name), listens)
    [api] = [port for (_, inside), port in ports.items() if inside in services["api"].published]
    elsewhere = {name: ELSEWHERE[name] for name in given}
    return Layout(planned, elsewhere, f"http://{LOOPBACK}:{api}")


def _folders(name: str, service: Service, data: Path) -> dict[str, Path]:
    """Path inside the container -> folder here; every folder exists afterwards."""
    run = data / "run" / name
    folders = {
        # A volume by name, or a folder beside the compose file.
        inside: data / source if source.startswith(".") else data / "volumes" / source
        for inside, source in service.mounts.items()
    }
    folders |= {inside: run / inside.strip("/") for inside in service.memory}
    folders["/run/secrets"] = run / "secrets"
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folders


def _pointed_at(service: Service, given: Mapping[str, str]) -> Service:
    """The service, using the servers that are elsewhere instead of the ones of the file."""
    environment = {
        key: next((url for name, url in given.items() if key == ELSEWHERE[name]), value)
        for key, value in service.environment.items()
    }
    return service.model_copy(update={"environment": environment})


def _secrets(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Name of a secret -> its content; those of servers elsewhere come from the environment."""
    done = subprocess.run(
        ["/bin/sh", str(_MAKE_SECRETS), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ConfigurationError(setting=f"The folder {folder}", reason=done.stderr.strip())
    files = (each for each in folder.iterdir() if each.is_file())
    secrets = {each.name: each.read_text(encoding="utf-8") for each in files}
    if url := environment.get("TWOFOLD_REDIS_URL"):
        secrets["twofold_redis_url"] = url
    if environment.get("TWOFOLD_QDRANT_URL"):
        secrets["twofold_qdrant_api_key"] = environment.get("TWOFOLD_QDRANT_API_KEY", "")
    return secrets


def _deliver(
    service: Service, secrets: Mapping[str, str], files: Mapping[str, str], places: Places
) -> None:
    """Write the secrets that the service gets, as seen from here; one that is empty is left out."""
    for inside, name in service.secret_files.items():
        content = secrets.get(Path(files[name]).name)
        if content:
            path = Path(places.here(str(Path(inside).parent))) / Path(inside).name
            path.touch(mode=0o600)
            path.write_text(places.here(content), encoding="utf-8")


def _log(folder: Path, name: str) -> Path:
    """The file for a service's output; that of the run before is kept beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.log"
    if path.exists():
        path.replace(path.with_suffix(".log.1"))
    path.touch()
    return path
