"""`python -m infra.local`: the services of docker-compose.yaml as processes of this machine."""

import argparse
import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from infra.local.compose import read
from infra.local.layout import lay_out
from infra.local.programs import ROOT
from infra.local.table import Display
from infra.local.topology import Topology
from twofold.errors import ConfigurationError, TwofoldError


def main() -> None:
    """Run until Ctrl-C; exits with 1 and one sentence when it cannot."""
    arguments = read_arguments()
    console = Console()
    try:
        with held(arguments.data):
            asyncio.run(run(arguments, console))
    except TwofoldError as error:
        sys.exit(f"twofold: {error.message}")


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.local",
        description="Run the services of docker-compose.yaml as processes of this machine.",
    )
    parser.add_argument("--profile", default="cpu", help="profile of the file (default: cpu)")
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="volumes, secrets and logs (default: data)"
    )
    parser.add_argument("--file", type=Path, default=ROOT / "docker-compose.yaml")
    return parser.parse_args()


async def run(arguments: argparse.Namespace, console: Console) -> None:
    """Start everything, show it, and stop it on SIGINT, SIGTERM or SIGHUP."""
    data = arguments.data.resolve()
    compose = read(arguments.file, os.environ, arguments.profile)
    layout = lay_out(compose, data, os.environ)
    for name, variable in layout.elsewhere.items():
        console.print(f"{name} is not started: {variable} names one that runs already")
    topology = Topology(layout, data)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, topology.stop)
    with Display(console) as display:
        await topology.run(display.show)


@contextmanager
def held(data: Path) -> Iterator[None]:
    """The data folder for this process alone.

    Raises:
        ConfigurationError: Another one runs on it.
    """
    data.mkdir(parents=True, exist_ok=True)
    with (data / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                setting=f"The folder {data}",
                reason="services already run on it; stop them, or name another with --data",
            ) from None
        yield


if __name__ == "__main__":
    main()
