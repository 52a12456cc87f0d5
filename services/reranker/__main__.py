"""`python -m services.reranker`: the worker that reranks and embeds queries.

With `--health` it asks whether the worker of this machine does its work, and exits with 0 or 1.
"""

import argparse
import sys

from pipelines.build import required_redis, rerank_worker, worker_streams
from pipelines.logs import log_to_stderr
from pipelines.rerank.streams import health
from pipelines.settings import Settings, read_settings
from services.reranker.serve import serve
from twofold.errors import TwofoldError


def main() -> None:
    """Serve until told to stop; exits with 1 and one sentence when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m services.reranker", description=__doc__)
    parser.add_argument("--health", action="store_true", help="ask whether the worker works")
    arguments = parser.parse_args()
    try:
        settings = read_settings()
        if arguments.health:
            sys.exit(check(settings))
        log_to_stderr(settings.log_level)
        with rerank_worker(settings) as worker:
            serve(worker, settings.drain_s)
    except TwofoldError as error:
        sys.exit(f"twofold: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


def check(settings: Settings) -> str | None:
    """What is wrong with the worker of this machine; None if nothing is."""
    found = health.trouble(required_redis(settings), worker_streams(settings))
    return f"twofold: {found}" if found else None


if __name__ == "__main__":
    main()
