"""What a tenant may use: requests and reranked pairs a minute, documents and bytes in all.

A limit that is not set costs nothing, not even a look. Limits are the same for every tenant. What
two uploads at the same moment bring is counted after both: a tenant can pass its limit of documents
or bytes by what it has in flight, and not by more.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.documents import Upload
from pipelines.newest import newest_row
from pipelines.ports import Store
from pipelines.settings import Settings
from services.api.buckets import Buckets, LocalBuckets
from twofold.errors import NotFound, QuotaExceeded
from twofold.schema import Document

PAGE = 1_000
FRESH_S = 60.0
"""Age up to which a sum of bytes is believed, in favour of the tenant: a refusal is always by a
sum that was made for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """For each tenant; None: no limit."""

    documents: int | None = None
    bytes: int | None = None
    requests_per_minute: int | None = None
    rerank_pairs_per_minute: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """As the settings have them."""
        return cls(
            documents=settings.quota_documents,
            bytes=settings.quota_bytes,
            requests_per_minute=settings.quota_requests_per_minute,
            rerank_pairs_per_minute=settings.quota_rerank_pairs_per_minute,
        )


@dataclass(slots=True)
class _Sum:
    bytes: int
    at: float


@dataclass
class Quotas:
    """Refuses with QuotaExceeded what goes over a limit."""

    limits: Limits = Limits()
    buckets: Buckets = field(default_factory=LocalBuckets)
    _sums: dict[str, _Sum] = field(default_factory=dict)

    async def admit_request(self, tenant: str) -> None:
        """Count one request."""
        if limit := self.limits.requests_per_minute:
            wait = await self.buckets.spend(f"requests:{tenant}", 1, per_minute=limit)
            if wait:
                raise used_up(limit, "requests a minute", wait)

    async def admit_rerank(self, tenant: str) -> None:
        """Make sure that the tenant may rerank anything now."""
        if limit := self.limits.rerank_pairs_per_minute:
            wait = await self.buckets.spend(f"pairs:{tenant}", 0, per_minute=limit)
            if wait:
                raise used_up(limit, "reranked pairs a minute", wait)

    async def charge_rerank(self, tenant: str, pairs: int) -> None:
        """Count what was reranked, once that is known."""
        if pairs and (limit := self.limits.rerank_pairs_per_minute):
            await self.buckets.spend(f"pairs:{tenant}", pairs, per_minute=limit, owing=True)

    async def admit_uploads(
        self, store: Store, tenant: str, collection: str, uploads: Sequence[Upload]
    ) -> None:
        """Make sure that what an upload adds fits; what it replaces makes room for it."""
        if self.limits.documents is None and self.limits.bytes is None:
            return
        known = [await _known(store, tenant, collection, upload) for upload in uploads]
        more = sum(row is None for row in known)
        grown = sum(upload.size for upload in uploads) - sum(row.size for row in known if row)
        limit = self.limits.documents
        if limit and more and await count(store, tenant) + more > limit:
            raise used_up(limit, "documents", FRESH_S)
        if (limit := self.limits.bytes) and grown > 0:
            for age_s in (FRESH_S, 0.0):
                if await self._bytes(store, tenant, age_s) + grown <= limit:
                    break
            else:
                raise used_up(limit, "bytes", FRESH_S)
            self._sums[tenant].bytes += grown

    async def _bytes(self, store: Store, tenant: str, age_s: float) -> int:
        """Bytes that a tenant holds, by a sum that is at most so old."""
        known = self._sums.get(tenant)
        if known is None or time.monotonic() - known.at > age_s:
            at = time.monotonic()
            known = self._sums[tenant] = _Sum(await total_bytes(store, tenant), at)
        return known.bytes


async def count(store: Store, tenant: str) -> int:
    """Documents of a tenant, in whatever state."""
    total = 0
    for collection in await store.list_collections(tenant):
        total += sum((await store.count_documents(tenant, collection.name)).values())
    return total


async def total_bytes(store: Store, tenant: str) -> int:
    """Bytes of a tenant's documents as uploaded; reads the whole ledger of the tenant."""
    total = 0
    for collection in await store.list_collections(tenant):
        cursor = None
        while True:
            page = await store.list_documents(tenant, collection.name, cursor=cursor, limit=PAGE)
            total += sum(document.size for document in page.documents)
            if (cursor := page.cursor) is None:
                break
    return total


async def _known(store: Store, tenant: str, collection: str, upload: Upload) -> Document | None:
    try:
        return await newest_row(store, tenant, collection, upload.identity(tenant, collection))
    except NotFound:
        return None


def used_up(limit: int, what: str, wait_s: float) -> QuotaExceeded:
    """The refusal; `wait_s` is until another try makes sense."""
    seconds = max(1, math.ceil(wait_s))
    return QuotaExceeded(limit=limit, what=what, seconds=seconds, retry_after=seconds)
