"""From a ranking to the page of it that goes out: passages, context, highlights, the next cursor.

A page holds what is there when it is cut: a document that was deleted since the ranking was made
is in no page any more, and the places of the others stay as they were.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import TypeAdapter

from pipelines.highlight import highlights
from pipelines.ports import Chunk, Collection, Rankings, SparseEmbedders, Store
from pipelines.ranking import Basis, Place, Ranking, fingerprint, result_of
from twofold.errors import CursorExpired, InvalidRequest
from twofold.schema import Passage, Result, SearchRequest, Span

_ranking = TypeAdapter(Ranking)


class Page(NamedTuple):
    """Some results of a ranking, and the cursor of what comes after them."""

    results: list[Result]
    cursor: str | None


class Cursor(NamedTuple):
    """Where to go on: `NAME.START`."""

    name: str
    start: int

    def __str__(self) -> str:
        return f"{self.name}.{self.start}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises InvalidRequest."""
        name, _, start = text.rpartition(".")
        if not name or not (start.isascii() and start.isdecimal()):
            raise InvalidRequest(
                field="cursor", reason="it is not one that a search returned; search again without"
            )
        return cls(name, int(start))


@dataclass(frozen=True)
class Answers:
    """Cuts pages, of the generation of the collection that the search was in.

    Attributes:
        sparse: The sparse embedder of a language: highlights are where it finds the same terms.
    """

    store: Store
    sparse: SparseEmbedders
    rankings: Rankings

    async def first(
        self,
        tenant: str,
        collection: Collection,
        request: SearchRequest,
        ranking: Ranking,
        chunks: Mapping[str, Chunk],
    ) -> Page:
        """The page that the request asks for, out of the ranking that was made for it.

        Args:
            tenant: Who asks.
            collection: In which it was found.
            request: Says which page.
            ranking: As `ranking.arrange` has it.
            chunks: By id, all of the ranking.
        """
        end = request.offset + request.limit
        places = ranking.places[request.offset : end]
        name = None
        if request.pages and end < len(ranking.places):
            name = await self.rankings.keep(tenant, _ranking.dump_json(ranking))
        return Page(
            await self._results(tenant, collection, request, places, chunks),
            str(Cursor(name, end)) if name else None,
        )

    async def following(
        self, tenant: str, collection: Collection, request: SearchRequest, basis: Basis, cursor: str
    ) -> "Following":
        """The page that a cursor leads to.

        Raises:
            CursorExpired: Its ranking is not kept any more, or would be another one by now.
            InvalidRequest: It is no cursor, or was given for another request.
        """
        name, start = Cursor.parse(cursor)
        kept = await self.rankings.find(tenant, name)
        if kept is None:
            raise CursorExpired
        ranking = _ranking.validate_json(kept)
        if ranking.fingerprint != fingerprint(request):
            raise InvalidRequest(
                field="cursor",
                reason="it belongs to another request; send it with the request that it came from",
            )
        if ranking.basis != basis:
            raise CursorExpired
        end = start + request.limit
        places = ranking.places[start:end]
        ids = [chunk_id for place in places for chunk_id in place.chunk_ids]
        chunks = await self.store.chunks_by_id(tenant, collection.address, ids)
        there = [place for place in places if place.chunk_id in chunks]
        results = await self._results(tenant, collection, request, there, chunks)
        more = end < len(ranking.places)
        return Following(ranking, Page(results, str(Cursor(name, end)) if more else None))

    async def _results(
        self,
        tenant: str,
        collection: Collection,
        request: SearchRequest,
        places: Sequence[Place],
        chunks: Mapping[str, Chunk],
    ) -> list[Result]:
        results = [result_of(each, chunks, explain=request.explain) for each in places]
        if request.highlight:
            self._highlight(collection, request.query, results)
        if request.context:
            around = (
                self._surround(tenant, collection, request.context, each, chunks[each.chunk_id])
                for each in results
            )
            await asyncio.gather(*around)
        return results

    def _highlight(self, collection: Collection, query: str, results: Sequence[Result]) -> None:
        sparse = self.sparse(collection.language)

        def terms_of(text: str) -> list[int]:
            return sparse.embed_query(text).indices

        asked = terms_of(query)
        for result in _all(results):
            result.highlights = [
                Span(start=result.start + start, end=result.start + end)
                for start, end in highlights(result.text, terms_of, asked)
            ]

    async def _surround(
        self, tenant: str, collection: Collection, context: int, result: Result, chunk: Chunk
    ) -> None:
        first, last = max(0, chunk.ordinal - context), chunk.ordinal + context
        around = await self.store.chunks_between(
            tenant, collection.address, chunk.document_id, first, last
        )
        result.before = [passage_of(each) for each in around if each.ordinal < chunk.ordinal]
        result.after = [passage_of(each) for each in around if each.ordinal > chunk.ordinal]


class Following(NamedTuple):
    """A later page, and the ranking that it was cut from."""

    ranking: Ranking
    page: Page


def passage_of(chunk: Chunk) -> Passage:
    """A chunk as callers see it, without its document."""
    return Passage(
        chunk_id=chunk.id,
        ordinal=chunk.ordinal,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        headings=list(chunk.headings),
        lead=chunk.lead,
    )


def _all(results: Sequence[Result]) -> Iterator[Result]:
    for result in results:
        yield result
        yield from result.more
