"""How Celery speaks to Redis here: the same for the side that announces and the side that works.

A message is a hint that a row of the ledger may be worked on, nothing more. So messages may be
lost, come twice or come late, and no setting here has to prevent it; they keep a worker that died
or a Redis that is silent from being waited for.
"""

from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection

QUEUE = "twofold:ingest"
"""Name of the Celery queue, and of the Redis list that its messages wait in."""

TASK = "twofold.ingest"
"""The one task, with the arguments tenant, collection, document id and version."""

SILENCE_S = 5.0
"""Seconds after which a Redis that says nothing counts as gone."""

RETRY_S, RETRIES = 2.0, 300
"""A worker looks for a broker that went away this often, then gives up and ends."""


def celery_app(redis_url: str, *, ingest_timeout_s: float, silence_s: float = SILENCE_S) -> Celery:
    """A Celery that only knows the broker; it has no result backend.

    Args:
        redis_url: As redis-py reads it.
        ingest_timeout_s: Longest time for one attempt at a document.
        silence_s: Longest wait for an answer of Redis.
    """
    # Redis hands a message out again when it was not acknowledged for so long. A document that is
    # in work then would be announced twice, which is harmless, and useless.
    visibility_s = int(2 * ingest_timeout_s) + 600
    app = Celery("twofold", broker=_kombu_url(redis_url), amqp=_Amqp, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_publish_retry=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_timeout=silence_s,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=RETRIES,
        # Celery and kombu read the visibility timeout in three places.
        visibility_timeout=visibility_s,
        result_backend_transport_options={"visibility_timeout": visibility_s},
        broker_transport_options={
            "visibility_timeout": visibility_s,
            "unacked_key": f"{QUEUE}:unacked",
            "unacked_index_key": f"{QUEUE}:unacked-index",
            "unacked_mutex_key": f"{QUEUE}:unacked-mutex",
            "socket_connect_timeout": silence_s,
            "socket_timeout": silence_s,
            "socket_keepalive": True,
            # A connection that is open and dead is dropped after one second and twice this.
            "health_check_interval": 2 * silence_s,
        },
    )
    return app


class _Connection(Connection):  # type: ignore[misc]
    """Looks for a broker that is away every two seconds; kombu alone would come to wait thirty."""

    def ensure_connection(self, *args: Any, **options: Any) -> Connection:
        pace = {"interval_start": RETRY_S, "interval_step": 0.0, "interval_max": RETRY_S}
        return super().ensure_connection(*args, **(options | pace))


class _Amqp(AMQP):  # type: ignore[misc]
    Connection = _Connection


def _kombu_url(redis_url: str) -> str:
    """The same URL in kombu's words: a Unix socket has another scheme there."""
    if redis_url.startswith("unix://"):
        return "redis+socket://" + redis_url.removeprefix("unix://").replace("db=", "virtual_host=")
    return redis_url
