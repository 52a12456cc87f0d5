"""The benchmark's choice of a formula: what is held out has no say in it."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def leave_one_out():
    pytest.importorskip("ir_measures")
    path = BENCHMARKS / "leave_one_out.py"
    spec = importlib.util.spec_from_file_location("leave_one_out", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["leave_one_out"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["leave_one_out"]


def row(module, best: int) -> dict[str, list[float]]:
    grid = [0.0] * len(module.GRID)
    grid[best] = 1.0
    return {"grid": grid}


def test_the_formula_is_chosen_by_the_others(leave_one_out):
    rows = {"a": row(leave_one_out, 5), "b": row(leave_one_out, 7), "c": row(leave_one_out, 7)}
    formula, figures = leave_one_out.held_out(rows)["a"]
    assert formula == leave_one_out.GRID[7]
    assert figures == {"a": 0.0}


def test_languages_of_one_text_are_held_out_together(leave_one_out):
    rows = {
        "x/en": row(leave_one_out, 3),
        "x/de": row(leave_one_out, 3),
        "y": row(leave_one_out, 7),
    }
    chosen = leave_one_out.held_out(rows)
    assert set(chosen) == {"x", "y"}
    assert chosen["x"][1] == {"x/en": 0.0, "x/de": 0.0}


def test_what_the_second_stage_did_not_see_comes_after_what_it_saw(leave_one_out):
    found = leave_one_out.Found(
        "q",
        list("abc"),
        dense=np.array([0.9, 0.8, 0.1]),
        sparse=np.array([np.nan, np.nan, np.nan]),
        rerank=np.array([0.1, 0.9, 0.9]),
    )
    [fused] = [leave_one_out.fused_by([found], leave_one_out.GRID[0], 2)]
    assert [each.doc_id for each in fused] == ["b", "a", "c"]


def test_the_default_is_one_of_those_that_are_compared(leave_one_out):
    from pipelines.fuse import TRUST
    from pipelines.models.late_interaction import LateInteractionReranker

    weight = LateInteractionReranker.profile.weight
    assert leave_one_out.Formula(TRUST, weight) in leave_one_out.GRID
