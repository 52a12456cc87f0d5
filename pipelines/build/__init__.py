"""The only place that chooses implementations. Nothing heavy is imported before it is chosen.

    serving(settings)           what an API process serves, in either mode
      embedded(settings)        all of Twofold in this process
      distributed(settings)     the API beside a Qdrant server, Redis and workers
    ingest_worker(settings)     what works the ledger off beside them
    rerank_worker(settings)     what scores, and embeds queries, beside them

Everything below takes plain arguments.
"""

from pipelines.build.distributed import (
    distributed,
    file_store,
    required_redis,
    server_store,
)
from pipelines.build.embedded import embedded
from pipelines.build.parts import OK, Part, Twofold
from pipelines.build.serving import serving
from pipelines.build.workers import IngestWorker, ingest_worker, rerank_worker, worker_streams
from pipelines.models.select import Models, chosen_models

__all__ = [
    "OK",
    "IngestWorker",
    "Models",
    "Part",
    "Twofold",
    "chosen_models",
    "distributed",
    "embedded",
    "file_store",
    "ingest_worker",
    "required_redis",
    "rerank_worker",
    "server_store",
    "serving",
    "worker_streams",
]
