"""Where things are: what a container calls `redis:6379` or `/data`, and where that is here.

Commands, environment and secrets are texts in which addresses and paths occur; one pass over a
text replaces them all, so that what was put in is not replaced again.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twofold.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
_OWN = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Places:
    """What one service sees of the others and of the disk.

    Attributes:
        service: Its own name: to itself it is 127.0.0.1 as well.
        ports: (service, port in its container) -> port here.
        paths: Absolute path inside the container -> path here.
    """

    service: str
    ports: Mapping[tuple[str, int], int]
    paths: Mapping[str, Path]

    def here(self, text: str) -> str:
        """The text with every address and path as it is on this machine."""
        return self._pattern.sub(self._replaced, text)

    def port(self, inside: int) -> int:
        """Where one of its own ports is here."""
        return self.ports[self.service, inside]

    @property
    def _pattern(self) -> re.Pattern[str]:
        hosts = "|".join(re.escape(each) for each in {*_OWN, *(name for name, _ in self.ports)})
        paths = "|".join(re.escape(each) for each in sorted(self.paths, key=len, reverse=True))
        address = rf"(?<![\w.-])(?P<host>{hosts})(?P<separator>[:/])(?P<port>\d+)\b"
        return re.compile(rf"{address}|(?<![\w./-])(?P<path>{paths or '(?!)'})(?![\w.-])")

    def _replaced(self, found: re.Match[str]) -> str:
        if found["path"]:
            return str(self.paths[found["path"]])
        service = self.service if found["host"] in _OWN else found["host"]
        port = self.ports.get((service, int(found["port"])))
        return f"{LOOPBACK}{found['separator']}{port}" if port else found[0]


def free_port(wanted: int = 0) -> int:
    """The wanted port of the loopback address, or any with 0, if nobody listens there.

    Raises:
        ConfigurationError: Somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError as error:
            raise ConfigurationError(
                setting="TWOFOLD_PORT",
                reason=f"port {wanted} is taken ({error.strerror}); stop what listens there or "
                "set another port",
            ) from None
        return int(probe.getsockname()[1])
