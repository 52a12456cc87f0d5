"""Every setting of every process, read from the environment under the prefix `TWOFOLD_`.

Read in `pipelines/build` and in the mains of `services/`, nowhere else: everything below
takes plain arguments.

What must not stand in the environment may lie in files: with TWOFOLD_SECRETS_DIR=/run/secrets the
file `twofold_redis_url` is TWOFOLD_REDIS_URL. With TWOFOLD_SETTINGS_FILE=twofold.env the lines of
that file are settings too, such as those that `twofold tune` writes. The environment wins.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from twofold.errors import ConfigurationError
from twofold.schema import MAX_RECALL, RecallFusion


class Settings(BaseSettings):
    """What an operator can turn; the defaults make one process that keeps all in ./data."""

    model_config = SettingsConfigDict(env_prefix="TWOFOLD_", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 picks a free one.")
    api_keys_file: Path | None = Field(
        None,
        description="File of the API keys that `twofold keys` makes; null: no key is asked for, "
        "and only this machine is answered.",
    )
    allowed_hosts: str | None = Field(
        None,
        description="Names beside localhost by which a server without keys may be addressed, "
        "separated by commas; for a proxy on the same machine.",
    )
    cors_origins: str | None = Field(
        None,
        description="Origins whose web pages may call the API, separated by commas; null: none.",
    )
    quota_documents: PositiveInt | None = Field(
        None, description="Documents that a tenant may hold; null: no limit."
    )
    quota_bytes: PositiveInt | None = Field(
        None, description="Bytes, as uploaded, that a tenant may hold; null: no limit."
    )
    quota_requests_per_minute: PositiveInt | None = Field(
        None, description="Requests of a tenant; null: no limit."
    )
    quota_rerank_pairs_per_minute: PositiveInt | None = Field(
        None, description="Pairs that are reranked for a tenant; null: no limit."
    )
    data_dir: Path = Field(Path("data"), description="Folder of the store and the files.")
    embedder: str = Field("auto", description="`auto`, or a model as docs/models.md lists them.")
    other_embedders: str | None = Field(
        None,
        description="Embedders that collections may name beside it, separated by commas; also "
        "those of collections that are to be rebuilt with another one.",
    )
    reranker: str = Field("auto", description="`auto`, `none`, or one of docs/models.md.")
    self_test: Literal["require", "warn", "off"] = Field(
        "require",
        description="What happens when a model cannot answer the golden questions at start: "
        "refuse to serve it, say so in the log, or do not ask.",
    )
    query_instruction: str | None = Field(
        None, description="Instruction for query embeddings; null: the model's own default."
    )
    recall_limit: int | None = Field(
        None,
        ge=1,
        le=MAX_RECALL,
        description="Length of each list of the first stage, where a search does not say; null: "
        "100.",
    )
    recall_fusion: RecallFusion | None = Field(
        None, description="Of both lists, where a search does not say; null: `weighted`."
    )
    rerank_depth: int | None = Field(
        None,
        ge=0,
        le=MAX_RECALL,
        description="Candidates that are reranked, where a search does not say; 0: none; null: "
        "what suits the reranker.",
    )
    rerank_weight: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="Of the second stage, where a search does not say; null: what suits the "
        "reranker.",
    )
    rerank_instruction: str | None = Field(
        None, description="Instruction for the reranker; null: the model's own default."
    )
    max_upload_bytes: PositiveInt = Field(100_000_000, description="Cap of one uploaded file.")
    max_request_bytes: PositiveInt = Field(1_000_000_000, description="Cap of one upload in all.")
    max_body_bytes: PositiveInt = Field(16_000_000, description="Cap of a JSON body.")
    max_requests_in_flight: PositiveInt = Field(
        256, description="Requests that one API process answers at once; more are refused."
    )
    open_archives: bool = Field(
        False, description="Whether the members of an uploaded ZIP archive become documents."
    )
    chunk_tokens: PositiveInt | None = Field(
        None, description="Longest chunk of new collections; null: what the embedder takes whole."
    )
    rerank_queue_pairs: PositiveInt = Field(
        4_096, description="Candidates that may wait for the reranker before it refuses."
    )
    rerank_cache_bytes: int = Field(
        512_000_000, ge=0, description="Memory for token vectors of the late-interaction model."
    )
    score_cache_entries: int = Field(
        100_000,
        ge=0,
        description="Rerank scores that are remembered, some 200 bytes each; 0: none.",
    )
    query_cache_bytes: int = Field(
        32_000_000, ge=0, description="Memory for the vectors of recent queries; 0: none."
    )
    pages_bytes: int = Field(
        64_000_000, ge=0, description="Memory for rankings that wait for their next page."
    )
    cache_ttl_s: PositiveFloat = Field(
        600.0, description="Seconds that scores, query vectors and rankings are remembered."
    )
    qdrant_url: str | None = Field(
        None,
        description="URL of a Qdrant server. Together with `redis_url` it chooses the distributed "
        "mode; null: the engine inside the process.",
    )
    qdrant_api_key: SecretStr | None = Field(None, description="Key of the Qdrant server.")
    qdrant_grpc_port: PositiveInt | None = Field(
        None, description="Port of Qdrant's gRPC interface, which is faster; null: REST only."
    )
    qdrant_replicas: PositiveInt = Field(
        1, description="Copies of each new collection's shards; 2 or more on a cluster."
    )
    qdrant_shards: PositiveInt | None = Field(
        None, description="Shards of each new collection; null: as the server decides."
    )
    qdrant_quantization: Literal["none", "int8", "binary"] | None = Field(
        None,
        description="Copies of vectors that a Qdrant server keeps in memory, of a byte or a bit "
        "for each number; whole vectors order what they find. Null: collections keep what they "
        "have, and new ones have none.",
    )
    qdrant_prefix_dimensions: PositiveInt | None = Field(
        None,
        description="MRL: the first so many dimensions find the candidates, whole vectors order "
        "them; for embedders that were trained for it. Null: whole vectors only.",
    )
    redis_url: SecretStr | None = Field(
        None, description="URL of the Redis server that carries the queues."
    )
    blobs_url: str | None = Field(
        None,
        description="Where files lie: a folder that all processes see, or `s3://BUCKET/PREFIX`; "
        "null: the data folder.",
    )
    query_embedder: Literal["local", "queue"] | None = Field(
        None,
        description="Where queries are embedded: in the API process, or by the reranker worker; "
        "null: local in one process, queue in the distributed mode.",
    )
    ocr: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]{2,20}(\+[A-Za-z_]{2,20})*$",
        description="Languages of scanned PDFs for OCR as tesseract names them, `eng+deu`; needs "
        "the extra `ocr`. Null: a scan ends as `failed` with `needs_ocr`.",
    )
    ingest_concurrency: PositiveInt = Field(
        4, description="Documents that an ingestion worker has in hand at once."
    )
    ingest_timeout_s: PositiveFloat = Field(
        1_800.0, description="Longest time for one attempt at a document."
    )
    drain_s: PositiveFloat = Field(
        20.0, description="Time that a worker has to finish what it has begun when it is stopped."
    )
    ingest_attempts: PositiveInt = Field(3, description="Tries before a document is failed.")
    heartbeat_s: PositiveFloat = Field(2.0, description="Seconds between signs of life.")
    log_level: str = "info"

    @property
    def embedders(self) -> list[str]:
        """Every embedder that this process has or asks: the default first, each once."""
        others = (each.strip() for each in (self.other_embedders or "").split(","))
        return list(dict.fromkeys([self.embedder, *filter(None, others)]))

    @property
    def distributed(self) -> bool:
        """Whether the store and the queues are servers of their own.

        Raises:
            ConfigurationError: Only one of the two is named, or neither, and something is asked
                for that only a server has.
        """
        named = {"TWOFOLD_QDRANT_URL": self.qdrant_url, "TWOFOLD_REDIS_URL": self.redis_url}
        missing = [name for name, url in named.items() if not url]
        if len(missing) == 1:
            [present] = named.keys() - missing
            raise ConfigurationError(
                setting=missing[0],
                reason=f"it is not set and {present} is; the distributed mode needs both, and "
                "without both Twofold is one process",
            )
        if missing and self.qdrant_quantization not in (None, "none"):
            raise ConfigurationError(
                setting="TWOFOLD_QDRANT_QUANTIZATION",
                reason="the engine inside the process scans whole vectors; quantised copies take "
                "a Qdrant server (TWOFOLD_QDRANT_URL and TWOFOLD_REDIS_URL)",
            )
        return not missing


def read_settings() -> Settings:
    """The settings from the environment, the file of settings and the folder of secrets.

    Raises:
        ConfigurationError: A variable is there and its value is not usable.
    """
    secrets = os.environ.get("TWOFOLD_SECRETS_DIR") or None
    if secrets and not Path(secrets).is_dir():
        raise ConfigurationError(
            setting="TWOFOLD_SECRETS_DIR", reason=f"there is no folder {secrets}"
        )
    file = os.environ.get("TWOFOLD_SETTINGS_FILE") or None
    if file and not Path(file).is_file():
        raise ConfigurationError(setting="TWOFOLD_SETTINGS_FILE", reason=f"there is no file {file}")
    try:
        return Settings(_secrets_dir=secrets, _env_file=file)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"TWOFOLD_{str(first['loc'][0]).upper()}"
        raise ConfigurationError(setting=name, reason=first["msg"]) from None
    except SettingsError as error:
        raise ConfigurationError(setting="the environment", reason=str(error)) from None
