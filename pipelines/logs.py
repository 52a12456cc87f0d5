"""How every process of Twofold logs: one line an event, on standard error."""

import logging


def log_to_stderr(level: str) -> None:
    """Set up logging; `level` is `debug`, `info`, `warning` or `error`."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    # It says every request to the store at `info`, several a second.
    logging.getLogger("httpx").setLevel(logging.WARNING)
