"""Every setting of every process, read from the environment under the prefix `TWOFOLD_`.

Read in `pipelines/build.py` and in the mains of `services/`, nowhere else: everything below
takes plain arguments.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator can turn; the defaults make one process that keeps all in ./data."""

    model_config = SettingsConfigDict(env_prefix="TWOFOLD_", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 picks a free one.")
    data_dir: Path = Field(Path("data"), description="Folder of the store and the files.")
    embedder: str = Field("auto", description="`auto`, or a model as the README lists them.")
    reranker: str = Field("auto", description="`auto`, `none`, or a model as the README lists.")
    self_test: Literal["require", "warn", "off"] = Field(
        "require",
        description="What happens when a model cannot answer the golden questions at start: "
        "refuse to serve it, say so in the log, or do not ask.",
    )
    query_instruction: str | None = Field(
        None, description="Instruction for query embeddings; null: the model's own default."
    )
    max_upload_bytes: PositiveInt = Field(100_000_000, description="Cap of one uploaded file.")
    max_request_bytes: PositiveInt = Field(1_000_000_000, description="Cap of one upload in all.")
    max_body_bytes: PositiveInt = Field(16_000_000, description="Cap of a JSON body.")
    chunk_tokens: PositiveInt | None = Field(
        None, description="Longest chunk in tokens of the embedder; null: what it takes whole."
    )
    rerank_queue_pairs: PositiveInt = Field(
        4_096, description="Candidates that may wait for the reranker before it refuses."
    )
    rerank_cache_bytes: int = Field(
        512_000_000, ge=0, description="Memory for token vectors of the late-interaction model."
    )
    ingest_attempts: PositiveInt = Field(3, description="Tries before a document is failed.")
    heartbeat_s: PositiveFloat = Field(2.0, description="Seconds between signs of life.")
    log_level: str = "info"
