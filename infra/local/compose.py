"""A compose file, as far as a process cares: commands, environment, order, health, restarts.

Limits, networks and privileges are the container engine's business and are passed over. What
would change the meaning of a command, such as an entrypoint, is refused instead.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from twofold.errors import ConfigurationError

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<word>[^}]*))?\})")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")
_NOT_UNDERSTOOD = ("entrypoint", "env_file", "extends", "configs", "working_dir", "links")


def _seconds(value: object) -> object:
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError("a duration such as 1m30s is expected")
    hours, minutes, seconds, milliseconds = (float(each or 0) for each in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


Duration = Annotated[float, BeforeValidator(_seconds)]
"""Seconds, written as Compose writes them."""


class Healthcheck(BaseModel):
    """When a service counts as well; the defaults are Docker's."""

    test: list[str]
    interval: Duration = 30.0
    timeout: Duration = 30.0
    retries: int = 3
    start_period: Duration = 0.0
    start_interval: Duration = 5.0


class Dependency(BaseModel):
    """What has to be true of another service before this one is started."""

    condition: Literal["service_started", "service_healthy"]


class SecretMount(BaseModel):
    """A secret under a name of its own."""

    source: str
    target: str


class Service(BaseModel):
    """One service of the file."""

    model_config = ConfigDict(extra="ignore")

    image: str
    command: list[str] = []
    environment: dict[str, str] = {}
    secrets: list[str | SecretMount] = []
    volumes: list[str] = []
    tmpfs: list[str] = []
    ports: list[str] = []
    expose: list[str] = []
    depends_on: dict[str, Dependency] = {}
    healthcheck: Healthcheck | None = None
    restart: Literal["no", "always", "unless-stopped"] = "no"
    stop_grace_period: Duration = 10.0
    profiles: list[str] = Field(default=[])

    @property
    def secret_files(self) -> dict[str, str]:
        """Path inside the container -> name of the secret."""
        return dict(
            (f"/run/secrets/{each}", each) if isinstance(each, str) else (each.target, each.source)
            for each in self.secrets
        )

    @property
    def mounts(self) -> dict[str, str]:
        """Path inside the container -> name of the volume."""
        return {each.split(":")[1]: each.split(":")[0] for each in self.volumes}

    @property
    def memory(self) -> list[str]:
        """Paths inside the container that lie in memory."""
        return [each.split(":")[0] for each in self.tmpfs]

    @property
    def published(self) -> dict[int, int]:
        """Port of the container -> port of the host."""
        return {
            int(inside): int(outside)
            for outside, inside in (each.split(":")[-2:] for each in self.ports)
        }

    @property
    def listens(self) -> list[int]:
        """Every port on which others are meant to reach it."""
        return sorted({*map(int, self.expose), *self.published})


class Compose(NamedTuple):
    """The services that are to run, by name, and the secrets with their files."""

    services: dict[str, Service]
    secrets: dict[str, str]


def read(path: Path, environment: Mapping[str, str], profile: str) -> Compose:
    """The part of a compose file that a profile starts.

    Args:
        path: The file.
        environment: Values for the `${VARIABLES}` in it.
        profile: Services of this profile and those without one.

    Raises:
        ConfigurationError: The file says something that this reader does not understand.
    """
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document = _filled(document, environment)
    chosen = {
        name: service
        for name, service in document["services"].items()
        if not service.get("profiles") or profile in service["profiles"]
    }
    secrets = {name: each["file"] for name, each in document.get("secrets", {}).items()}
    return Compose({name: _service(path, name, each) for name, each in chosen.items()}, secrets)


def _service(path: Path, name: str, said: dict[str, object]) -> Service:
    if strange := next((key for key in _NOT_UNDERSTOOD if key in said), None):
        raise ConfigurationError(
            setting=f"services.{name}.{strange} in {path.name}",
            reason="it is not understood outside of Docker; say it in the command or environment",
        )
    try:
        return Service.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            setting=f"services.{name}.{place} in {path.name}", reason=first["msg"]
        ) from None


def _filled(value: object, environment: Mapping[str, str]) -> Any:
    """The document with every variable replaced."""
    match value:
        case str():
            return _VARIABLE.sub(lambda found: _value(found, environment), value)
        case list():
            return [_filled(each, environment) for each in value]
        case dict():
            return {key: _filled(each, environment) for key, each in value.items()}
    return value


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name, how, word = found["name"], found["how"] or "", found["word"] or ""
    if name is None:
        return "$"
    value = environment.get(name)
    if value or (value is not None and not how.startswith(":")):
        return value
    if "?" in how:
        raise ConfigurationError(setting=name, reason=word or "it is needed and not set")
    return word
