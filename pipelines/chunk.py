"""A parsed document to the chunks that are embedded, stored and cited."""

from hashlib import sha256

from pipelines.keys import derived_uuid
from pipelines.pack import Span, pack
from pipelines.ports import Chunk, Parsed, passage_of, plain_name
from pipelines.tokens import TokenCounter, load_tokenizer
from twofold.schema import Document, Metadata

MIN_TOKENS = 16

FOUND = "file."
"""Prefix of the metadata keys that a file has filled: the author of a PDF is `file.author`."""


class Chunker:
    """Cuts documents for one embedder.

    Args:
        tokenizer_json: The embedder's tokenizer; None estimates four characters to a token.
        max_tokens: Budget of a passage, its title and headings included, special tokens not.
    """

    def __init__(self, tokenizer_json: str | None, max_tokens: int) -> None:
        if max_tokens < MIN_TOKENS:
            raise ValueError(f"a passage needs at least {MIN_TOKENS} tokens, not {max_tokens}")
        self._tokenizer = load_tokenizer(tokenizer_json) if tokenizer_json is not None else None
        self._max_tokens = max_tokens

    def chunks(self, tenant: str, document: Document, parsed: Parsed) -> list[Chunk]:
        """The passages of a document in reading order, disjoint; blank text is in none."""
        return [
            _chunk(tenant, document, parsed, ordinal, span)
            for ordinal, span in enumerate(self._spans(parsed))
        ]

    def _spans(self, parsed: Parsed) -> list[Span]:
        # The counter remembers words, so it lives no longer than the document.
        count = TokenCounter(self._tokenizer)
        count.learn(parsed.text)
        return pack(parsed, count, self._max_tokens)


def _chunk(tenant: str, document: Document, parsed: Parsed, ordinal: int, span: Span) -> Chunk:
    text = parsed.text[span.start : span.end]
    title, headings, _ = span.header
    passage = passage_of(text, title, headings, span.lead)
    collection = plain_name(document.collection)  # so that it is the same by every address
    return Chunk(
        id=derived_uuid(tenant, collection, document.id, document.version, ordinal),
        document_id=document.id,
        version=document.version,
        ordinal=ordinal,
        text=text,
        start=span.start,
        end=span.end,
        sha256=sha256(passage.encode()).hexdigest(),
        name=document.name,
        title=title,
        headings=headings,
        page=span.page,
        metadata=found_metadata(parsed) | document.metadata,
        lead=span.lead,
    )


def found_metadata(parsed: Parsed) -> Metadata:
    """What a file says of itself, under keys of its own: it never stands for what a caller says."""
    return {f"{FOUND}{key}": value for key, value in parsed.metadata.items()}
