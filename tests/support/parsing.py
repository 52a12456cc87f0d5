"""What a parser made of a file, in a form that tests can compare."""

from itertools import pairwise

from pipelines.parse.extract import Extract


def blocks(found: Extract) -> list[tuple[str, tuple[str, ...], str]]:
    """Kind, headings and text of every block, after a look at its offsets."""
    assert all(one.end <= other.start for one, other in pairwise(found.blocks))
    assert all(0 <= each.start < each.end <= len(found.text) for each in found.blocks)
    assert all(0 <= each.lead < each.end - each.start for each in found.blocks)
    return [(each.kind, each.headings, found.text[each.start : each.end]) for each in found.blocks]


def texts(found: Extract, kind: str | None = None) -> list[str]:
    """The texts of the blocks, or of those of a kind."""
    return [text for each, _, text in blocks(found) if kind in (None, each)]
