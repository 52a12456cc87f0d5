"""Reads the setting that names a model server; the grammar is in the package's docstring."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
)

from twofold.errors import ConfigurationError

Dialect: TypeAlias = Literal["cohere", "jina", "tei", "openai", "dmr"]
DIALECTS: dict[str, Dialect] = {name: name for name in ("cohere", "jina", "tei", "openai", "dmr")}
EXAMPLE = "jina+http://localhost:8000?model=Qwen/Qwen3-Reranker-0.6B"


@dataclass(frozen=True, slots=True)
class Remote:
    """A setting taken apart; `options` are still text.

    Attributes:
        dialect: None where the setting begins with plain http.
        url: Scheme, host, port and base path, without a slash at the end.
    """

    dialect: Dialect | None
    url: str
    options: Mapping[str, str]


def parse_remote(setting: str) -> Remote:
    """Take a setting such as `cohere+https://host?model=NAME` apart.

    Raises:
        ConfigurationError: It is no URL of this grammar, or it carries a secret.
    """
    try:
        parts = urlsplit(setting)
        _ = parts.port  # a port that is no number is found out only when it is asked for
    except ValueError:
        raise _unusable("the URL of a model server", f"write it like {EXAMPLE}") from None
    prefix, plus, scheme = parts.scheme.rpartition("+")
    if parts.username is not None or parts.password is not None:
        raise _unusable(
            f"the URL of the model server at {parts.hostname}",
            "it carries a user or password; put the key into an environment variable and name "
            "that one, as in ?key_env=MY_KEY",
        )
    if scheme not in ("http", "https") or not parts.hostname:
        raise _unusable(f"'{setting}'", f"write it like {EXAMPLE}")
    if plus and prefix not in DIALECTS:
        raise _unusable(
            f"'{setting}'", f"'{prefix}' is no dialect; known are {', '.join(DIALECTS)}"
        )
    url = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return Remote(DIALECTS.get(prefix), url, _options(parts.query, url))


def _options(query: str, url: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise _unusable(f"the URL {url}", "it gives an option twice")
    return options


def _unusable(setting: str, reason: str) -> ConfigurationError:
    return ConfigurationError(setting=setting, reason=reason)


class _Options(BaseModel):
    """What every model server can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str | None = None
    key_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    path: Annotated[str, StringConstraints(pattern=r"^/")] | None = None
    backend: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")] | None = None
    timeout: PositiveFloat = 30.0
    retries: Annotated[int, Field(ge=0, le=10)] = 3
    batch: PositiveInt | None = None
    max_bytes: PositiveInt | None = None
    instruction: str | None = None

    @classmethod
    def read(cls, remote: Remote) -> Self:
        """Check the options of a setting.

        Raises:
            ConfigurationError: One is unknown or out of range; the value is not repeated, since
                somebody may have put a key there.
        """
        try:
            return cls.model_validate(dict(remote.options))
        except ValidationError as error:
            first = error.errors()[0]
            name = first["loc"][0] if first["loc"] else "?"
            reason = (
                f"it takes {', '.join(cls.model_fields)}"
                if first["type"] == "extra_forbidden"
                else first["msg"]
            )
            raise _unusable(f"option '{name}' of {remote.url}", reason) from None

    def api_key(self) -> str | None:
        """The key in the environment variable that `key_env` names.

        Raises:
            ConfigurationError: That variable is not set.
        """
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env)
        if not key:
            raise _unusable(f"key_env={self.key_env}", "that environment variable is not set")
        return key


class RerankOptions(_Options):
    """What a reranking server can be told."""

    template: Literal["qwen3"] | None = None


class EmbedOptions(_Options):
    """What an embedding server can be told."""

    dimensions: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    query_prefix: str = ""
    passage_prefix: str = ""
    prompt_name: str | None = None
