"""`python -m services.api`: all of Twofold in one process, or the API beside its workers."""

import asyncio
import gc
import logging
import socket
import sys
from pathlib import Path

import uvicorn

from pipelines.build import serving
from pipelines.logs import log_to_stderr
from pipelines.settings import Settings, read_settings
from services.api.app import create_app
from services.api.browsers import is_loopback
from services.api.shedding import SheddingProtocol
from twofold.apikeys import KeyFile
from twofold.errors import ConfigurationError, TwofoldError

log = logging.getLogger("twofold")

SWITCH_S = 0.001  # Python's own default is five times that


def main() -> None:
    """Serve until told to stop; exits with 1 and one sentence when it cannot start."""
    try:
        settings = read_settings()
        log_to_stderr(settings.log_level)
        require_keys(settings.host, settings.api_keys_file)
        asyncio.run(serve(settings, listen(settings.host, settings.port)))
    except TwofoldError as error:
        sys.exit(f"twofold: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Build the parts, then answer on the socket."""
    async with serving(settings) as twofold:
        config = uvicorn.Config(
            create_app(twofold),
            http=SheddingProtocol,
            server_header=False,
            log_level=settings.log_level,
            access_log=False,
            timeout_graceful_shutdown=10,
            timeout_keep_alive=30,
        )
        host, port = listener.getsockname()[:2]
        # The loop is seldom idle under load, and each answer of a model waits for it to let go.
        sys.setswitchinterval(SWITCH_S)
        # What is there now stays: a full collection that walks through it stops all for 0.2 s.
        gc.collect()
        gc.freeze()
        log.info("Twofold answers on http://%s:%d (documentation: /docs)", host, port)
        await uvicorn.Server(config).serve(sockets=[listener])


def require_keys(host: str, keys: Path | None) -> None:
    """Make sure that whoever can reach the address needs a key.

    Raises:
        ConfigurationError: It is open to others without keys, or their file cannot be read.
    """
    if keys is not None:
        KeyFile(keys).read()
    elif not is_loopback(host):
        raise ConfigurationError(
            setting="TWOFOLD_HOST",
            reason=f"{host} can be reached from other machines, so callers must show a key; make "
            "one with `twofold keys create --file keys.json --name NAME` and set "
            "TWOFOLD_API_KEYS_FILE=keys.json, or keep 127.0.0.1",
        )


def listen(host: str, port: int) -> socket.socket:
    """Take the address before anything slow happens.

    Raises:
        ConfigurationError: It is in use, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by name: asyncio switches Nagle's algorithm off only for what says it is TCP,
    # and with it every answer on a kept connection waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            setting="TWOFOLD_PORT",
            reason=f"{host}:{port} cannot be taken ({error.strerror}); stop what listens there or "
            "set another port",
        ) from None
    return listener


if __name__ == "__main__":
    main()
