"""Markdown stays as written; its structure lies over it."""

import pytest

from pipelines.parse import markdown


def blocks(source: str):
    found = markdown.parse(source.encode())
    return [(each.kind, each.headings, found.text[each.start : each.end]) for each in found.blocks]


def kinds(source: str):
    return [(kind, text) for kind, _, text in blocks(source)]


def test_the_text_is_kept_verbatim():
    source = "# *Bows*\n\n\n  of `yew` \n* a\n\n"
    assert markdown.parse(source.encode()).text == source


def test_headings_of_both_styles_become_paths():
    source = "Bows\n====\n\nOf wood.\n\n## Yew ##\nBest.\n\nAsh\n---\n\nGood.\n\n# Arrows"
    assert blocks(source) == [
        ("heading", ("Bows",), "Bows\n===="),
        ("text", ("Bows",), "Of wood."),
        ("heading", ("Bows", "Yew"), "## Yew ##"),
        ("text", ("Bows", "Yew"), "Best."),
        ("heading", ("Bows", "Ash"), "Ash\n---"),
        ("text", ("Bows", "Ash"), "Good."),
        ("heading", ("Arrows",), "# Arrows"),
    ]


def test_the_first_heading_of_level_one_is_the_title():
    assert markdown.parse(b"## Small\n\n# Great\n\n# Other").title == "Great"


@pytest.mark.parametrize("fence", ["```", "~~~~", "   ```"])
def test_what_is_fenced_is_code_whatever_it_looks_like(fence):
    source = f"{fence}python\n# no heading\n\n| no | table |\n- no list\n{fence.strip()}\nafter"
    assert [kind for kind, _ in kinds(source)] == ["code", "text"]


def test_a_fence_that_never_closes_ends_with_the_text():
    assert [kind for kind, _ in kinds("```\n# code\n\nmore")] == ["code"]


def test_indented_code_is_code():
    assert kinds("so:\n\n    x = 1\n\n    y = 2\n\ndone") == [
        ("text", "so:"),
        ("code", "    x = 1\n\n    y = 2"),
        ("text", "done"),
    ]


def test_a_table_is_one_block():
    table = "| wood | use |\n|:-----|:---:|\n| yew | bow |\n| ash | arrow |"
    assert kinds(f"before\n\n{table}\nafter") == [
        ("text", "before"),
        ("table", table),
        ("text", "after"),
    ]


def test_an_item_holds_what_is_nested_in_it():
    assert kinds("- yew\n  - from Kent\n\n    dry\n- ash\nlazy\n\n1. one\n2) two") == [
        ("list", "- yew\n  - from Kent\n\n    dry"),
        ("list", "- ash\nlazy"),
        ("list", "1. one"),
        ("list", "2) two"),
    ]


def test_front_matter_is_metadata_and_in_no_block():
    source = "---\ntitle: 'On bows'\nauthor: Ada\ntags: [a, b]\n---\n\nText."
    found = markdown.parse(source.encode())
    assert found.title == "On bows"
    assert found.metadata == {"title": "On bows", "author": "Ada", "tags": "[a, b]"}
    assert [found.text[each.start : each.end] for each in found.blocks] == ["Text."]


def test_a_rule_at_the_top_is_not_front_matter():
    assert markdown.parse(b"---\nText.\n\n---\nmore").metadata == {}


def test_long_lines_of_marks_take_no_quadratic_time():
    for line in ("#" * 200_000, " " * 200_000 + "x", "|" + "-" * 200_000, "|-" * 100_000):
        assert markdown.parse(f"a | b\n{line}\n".encode()).blocks
