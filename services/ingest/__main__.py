"""`python -m services.ingest`: an ingestion worker; with `--health`, whether this host has one."""

import argparse
import asyncio
import socket
import sys

from pipelines import build
from pipelines.logs import log_to_stderr
from pipelines.queue.roster import Roster
from pipelines.settings import read_settings
from services.ingest.worker import run
from twofold.errors import TwofoldError


def main() -> None:
    """Work until told to stop; exits with 1 and one sentence when it cannot start."""
    arguments = argparse.ArgumentParser(prog="services.ingest", description=__doc__)
    arguments.add_argument(
        "--health", action="store_true", help="ask whether a worker of this host takes in work"
    )
    health = arguments.parse_args().health
    try:
        settings = read_settings()
        redis_url = build.required_redis(settings)
        log_to_stderr(settings.log_level)
        if health:
            asyncio.run(require_worker(redis_url))
        else:
            run(settings, redis_url, build.ingest_worker)
    except TwofoldError as error:
        sys.exit(f"twofold: {error.message}")


async def require_worker(redis_url: str) -> None:
    """Exit with 1 unless a worker of this host has lately shown that it takes in what comes."""
    roster = Roster(redis_url)
    try:
        names = await roster.workers()
    finally:
        await roster.close()
    if not any(name.startswith(f"{socket.gethostname()}:") for name in names):
        sys.exit("twofold: no ingestion worker of this host takes in work; see its log")


if __name__ == "__main__":
    main()
