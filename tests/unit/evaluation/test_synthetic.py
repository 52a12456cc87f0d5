"""Queries that are made up: telling, of their document, and no lookup of its words."""

import random
from datetime import UTC, datetime

import pytest

from twofold.evaluation.synthetic import LONGEST, RUN, SHORTEST, Known, Read, as_judgements, draw
from twofold.schema import Document, Passage

SENTENCES = (
    "The pale rye crust cracks loudly while the loaf cools on its wooden rack near a window.",
    "Barley malt syrup feeds the tired starter overnight and makes bubbles rise quickly at dawn.",
    "Millet porridge soaked with buttermilk keeps spelt rolls moist through a dry winter journey.",
    "Wheat berries sprout in glass jars until their shoots reach half an inch beneath cheesecloth.",
    "Steam injectors hiss softly when apprentices slide forty baguettes onto canvas loaders.",
    "Potato flakes soften brioche buns although purists complain about supermarket tricks.",
    "Long fermentation lowers phytate levels and releases minerals from coarse stoneground meal.",
    "Copper kettles hang above the masonry hearth where bakers dry their linen cloths on Sundays.",
)
FILLER = "the loaf and the crust of the bread is a part of it"


def read(
    number: int, text: str, *, title: str | None = None, headings: tuple[str, ...] = ()
) -> Read:
    now = datetime.now(UTC)
    document = Document(
        id=f"d{number}",
        collection="breads",
        name=f"{number}.md",
        media_type="text/markdown",
        size=1,
        sha256="0" * 64,
        title=title,
        version=1,
        created_at=now,
        updated_at=now,
    )
    passage = Passage(
        chunk_id=f"c{number}", ordinal=0, text=text, start=0, end=len(text), headings=list(headings)
    )
    return Read(document, [passage])


@pytest.fixture
def sample() -> list[Read]:
    return [
        read(number, f"{FILLER}. {SENTENCES[number % 8]} {FILLER} {number}.")
        for number in range(24)
    ]


def drawn(sample: list[Read], seed: int = 0) -> list[Known]:
    return list(draw(sample, random.Random(seed)))


def test_a_query_is_made_of_a_few_words_of_its_document(sample):
    texts = {each.document.id: each.text.split() for each in sample}
    found = drawn(sample)
    assert found
    for known in found:
        words = known.text.split()
        assert SHORTEST <= len(words) <= LONGEST
        assert all(any(word in token for token in texts[known.document_id]) for word in words)


def test_no_run_of_words_finds_the_text_by_looking_it_up(sample):
    texts = {each.document.id: each.text for each in sample}
    for known in [known for seed in range(20) for known in drawn(sample, seed)]:
        words = known.text.split()
        for start in range(len(words) - RUN):
            assert " ".join(words[start : start + RUN + 1]) not in texts[known.document_id]


def test_words_that_most_documents_have_are_left_out(sample):
    common = {"the", "loaf", "and", "crust", "bread", "part"}
    assert all(common.isdisjoint(known.text.lower().split()) for known in drawn(sample))


def test_the_seed_decides_and_no_query_comes_twice(sample):
    texts = [known.text for known in drawn(sample)]
    assert texts == [known.text for known in drawn(sample)]
    assert texts != [known.text for known in drawn(sample, seed=1)]
    assert len(set(texts)) == len(texts)


def test_titles_and_headings_are_drawn_from_where_there_are_any():
    title = "Seasoning yew staves before long winters in damp mountain cellars"
    sample = [
        read(0, "short.", title=title),
        read(
            1, "Kept under linen, sourdough matures slowly.", headings=("Bread", "Proving baskets")
        ),
        read(2, SENTENCES[1]),
    ]
    assert {known.document_id: known.kind for known in drawn(sample)} == {
        "d0": "title",
        "d1": "heading",
        "d2": "sentence",
    }


def test_a_document_with_too_few_words_gives_none():
    assert drawn([read(0, "Rye bread.", title="Rye")]) == []


def test_writing_without_spaces_is_cut_into_pieces():
    [known] = drawn([read(0, "面包在石窑里烤三十分钟以后才会有脆皮和香味")])
    assert len(known.text.split()) >= SHORTEST
    assert all(len(piece) <= 4 for piece in known.text.split())


def test_the_judgements_say_what_they_are(sample):
    found = as_judgements(drawn(sample), "breads", seed=3)
    assert found.name == "breads (synthetic)"
    assert found.synthetic is not None
    assert "drawn from the documents, seed 3" in found.synthetic
    assert all(list(relevant.values()) == [1] for relevant in found.relevant().values())
