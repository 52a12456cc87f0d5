"""What is written into a point is read back from it."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipelines.ports import Chunk, Collection
from pipelines.store import records
from pipelines.store.catalogue import space_of
from tests.support import filter_strategies as draw
from tests.support.stored import chunks_of, row, vectors_of
from twofold.schema import Document, Metadata

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
moments = st.datetimes(timezones=st.just(UTC))


@given(
    name=texts,
    metadata=draw.metadata,
    moment=moments,
    error=st.none() | st.fixed_dictionaries({"code": texts, "message": texts}),
)
def test_a_row_is_read_as_it_was_written(
    name: str, metadata: Metadata, moment: datetime, error: dict[str, str] | None
) -> None:
    document = row(name=name, metadata=metadata, created_at=moment, error=error)
    read = records.row_of(records.row_point("t", document).payload, document.collection)
    assert read == document
    assert types_in(read) == types_in(document)


@given(text=texts, title=st.none() | texts, headings=st.lists(texts), metadata=draw.metadata)
def test_a_chunk_is_read_as_it_was_written(
    text: str, title: str | None, headings: list[str], metadata: Metadata
) -> None:
    chunk = Chunk(
        id="c",
        document_id="d",
        version=3,
        ordinal=7,
        text=text,
        start=2**40,
        end=2**40 + len(text),
        sha256="0" * 64,
        name="name",
        title=title,
        headings=tuple(headings),
        page=None,
        metadata=metadata,
    )
    point = records.chunk_point("t", row(), chunk, vectors_of("text"))
    assert records.chunk_of(point.payload) == chunk


def test_no_two_tenants_generations_or_kinds_share_the_id_of_a_point() -> None:
    [chunk] = chunks_of(row(), ["text"])
    ids = {
        make(space_of(tenant, Collection(name, "model-a", 8, generation)), *names)
        for make, others in ((records.row_id, [()]), (records.chunk_id, [("1",), ("2",)]))
        for tenant in ("a", "ab")
        for name in ("c", "bc")
        for generation in (1, 11)
        for names in ((*other, last) for other in others for last in (chunk.id, "d", "cd"))
    }
    assert len(ids) == 2 * 2 * 2 * (3 + 2 * 3)


def types_in(document: Document) -> dict[str, type]:
    """1, 1.0 and True are equal and not the same."""
    return {key: type(value) for key, value in document.metadata.items()}
