"""What a collection is made with: what the request says, else what the server is set to."""

from dataclasses import dataclass, replace

from pipelines.chunk import MIN_TOKENS
from pipelines.dimensions import require_dimensions
from pipelines.embedders import Embedders
from pipelines.ports import Collection, EmbedderFacts, SparseEmbedders
from twofold.errors import ConfigurationError, InvalidRequest
from twofold.schema import CollectionSettings, CreateCollection

LONGEST_CHUNK = 512
"""Tokens of a chunk when nobody says otherwise: passages that an answer can quote, also from a
model that would take a whole book."""

LANGUAGE = "english"


@dataclass(frozen=True)
class Founder:
    """Decides on the settings of new collections and generations.

    Attributes:
        embedders: Those that a collection may name.
        sparse: Knows which languages there are.
        chunk_tokens: Longest chunk where nobody says otherwise; None: `LONGEST_CHUNK`.
    """

    embedders: Embedders[EmbedderFacts]
    sparse: SparseEmbedders
    chunk_tokens: int | None = None

    def implied(self, name: str) -> Collection:
        """The collection that the first upload makes.

        Raises:
            Unavailable: Nobody knows yet which model the default is.
        """
        return self.founded(CreateCollection(name=name))

    def founded(self, wanted: CreateCollection) -> Collection:
        """A new collection as a request wants it.

        Raises:
            InvalidRequest: The server cannot make it so.
            Unavailable: Nobody knows yet which model that is.
        """
        embedder = self.embedders.named(wanted.embedder)
        return Collection(
            name=wanted.name,
            embedder=embedder.name,
            dimensions=require_dimensions(embedder, wanted.dimensions),
            chunk_tokens=self._chunk_tokens(embedder, wanted.chunk_tokens),
            language=self._language(wanted.language or LANGUAGE),
            query_instruction=wanted.query_instruction,
            rerank_instruction=wanted.rerank_instruction,
        )

    def rebuilt(self, now: Collection, wanted: CollectionSettings) -> Collection:
        """A collection with other settings; what the request leaves out stays as it is.

        With another model, its own dimensions and the usual chunks take the place of the old.

        Raises:
            InvalidRequest: The server cannot make it so.
            Unavailable: Nobody knows yet which model that is.
        """
        embedder = self.embedders.named(wanted.embedder or now.embedder)
        same = embedder.name == now.embedder
        dimensions = wanted.dimensions or (now.dimensions if same else None)
        chunk_tokens = wanted.chunk_tokens or (now.chunk_tokens if same else None)
        return replace(
            now,
            embedder=embedder.name,
            dimensions=require_dimensions(embedder, dimensions),
            chunk_tokens=self._chunk_tokens(embedder, chunk_tokens),
            language=self._language(wanted.language or now.language),
        )

    def _chunk_tokens(self, embedder: EmbedderFacts, wanted: int | None) -> int:
        """Longest chunk: as wanted, and never more than the model takes whole."""
        most = embedder.max_tokens
        if wanted is None:
            return max(MIN_TOKENS, min(self.chunk_tokens or LONGEST_CHUNK, most))
        if not MIN_TOKENS <= wanted <= most:
            raise InvalidRequest(
                field="chunk_tokens",
                reason=f"{embedder.name} takes chunks of {MIN_TOKENS} to {most} tokens",
            )
        return wanted

    def _language(self, wanted: str | None) -> str | None:
        try:
            self.sparse(wanted)
        except ConfigurationError as error:
            raise InvalidRequest(field="language", reason=str(error.details["reason"])) from None
        return wanted
