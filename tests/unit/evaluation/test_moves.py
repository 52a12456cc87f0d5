"""Which moves of the second stage count as right."""

from twofold.evaluation.moves import count_moves, moved, overtakers


def test_what_answers_and_rises_is_right_and_the_rest_is_neutral():
    before = {"q": ["x", "a", "b", "y", "tail"]}
    after = {"q": ["a", "x", "y", "b", "tail"]}
    found = count_moves(
        before, after, {"q": {"x", "a", "b", "y"}}, {"q": {"a": 1, "b": 2}}, depth=4
    )
    assert (found.documents, found.moved) == (4, 4)
    assert (found.right, found.wrong, found.neutral) == (1, 1, 2)


def test_a_document_that_nobody_found_has_no_rank():
    [best, lost] = moved({"a": 1, "z": 2}, ["a"], ["x", "a"], {"a": "A"})[::-1]
    assert (best.name, best.before, best.after) == ("A", 1, 2)
    assert (lost.name, lost.before, lost.after) == ("z", None, None)


def test_those_that_pass_the_best_answer_are_named():
    assert overtakers({"a": 1}, ["x", "a", "y", "z"], ["y", "x", "z", "a"]) == ["y", "z"]
    assert overtakers({"a": 1}, ["x"], ["x"]) == []
