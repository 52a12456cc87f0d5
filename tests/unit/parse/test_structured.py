"""JSON and JSON Lines: records as readable lines, numbers as written, depth bounded."""

import json

import pytest

from pipelines.parse import structured
from pipelines.parse.extract import Unreadable


def blocks(source: str):
    found = structured.parse(source.encode())
    return [(each.headings, found.text[each.start : each.end]) for each in found.blocks]


def test_a_record_is_a_block_of_key_paths():
    source = (
        '{"wood": "yew", "grown": {"in": "Kent", "years": [200, 1.50]}, "dry": true, "x": null}'
    )
    assert blocks(source) == [((), "wood: yew\ngrown.in: Kent\ngrown.years: 200, 1.50\ndry: true")]


def test_structures_in_lists_are_records_under_their_keys():
    source = json.dumps({"name": "Shop", "items": [{"name": "Bow", "of": [{"w": "yew"}]}]})
    assert blocks(source) == [
        ((), "name: Shop"),
        (("items",), "name: Bow"),
        (("items", "Bow", "of"), "w: yew"),
    ]


def test_each_line_of_json_lines_is_a_record():
    found = structured.parse(b'{"q": "one"}\n\n{"q": "two"}\n')
    assert (found.text, found.media_type) == ("q: one\n\nq: two", "application/jsonl")
    assert len(found.blocks) == 2


def test_long_texts_keep_their_lines():
    assert blocks('{"text": "one\\ntwo"}') == [((), "text: one\ntwo")]


def test_the_title_is_found():
    assert structured.parse(b'{"title": "On bows", "text": "x"}').title == "On bows"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('{"a": 1,}', "Line 1 "),
        ('{\n"a": 1\n"b": 2}', "Line 3 "),
        ('{"a": 1}\n{"a": 2}\n{"a": \n', "Line 3 "),
        ("[" * 150 + "{}, []" + "]" * 150, "nests too deep"),
    ],
)
def test_what_is_not_json_says_where(source, reason):
    with pytest.raises(Unreadable, match=reason) as caught:
        structured.parse(source.encode())
    assert caught.value.failure == "corrupt"


def test_numbers_of_any_length_are_text():
    assert blocks('{"n": ' + "9" * 10_000 + "}") == [((), "n: " + "9" * 10_000)]
