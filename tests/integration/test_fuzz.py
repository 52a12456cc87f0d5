"""Damaged files of every format end as text or as a reason, never as a hang or a broken service.

A few of each here; `make fuzz-parse` makes thousands.
"""

import pytest

from pipelines.parse.sandbox import SandboxedParser
from tests.support import fuzzing
from tests.support.samples import SAMPLES

SEED = 20_260
EACH = 24
WALL_S = 10.0


@pytest.fixture(scope="module")
def parser():
    made = SandboxedParser(cpu_s=5, wall_s=WALL_S)
    yield made
    made.close()


@pytest.mark.parametrize("suffix", SAMPLES)
def test_damaged_files_end_as_text_or_as_a_reason(parser, tmp_path, suffix):
    files = {suffix: [SAMPLES[suffix]]}
    [(_, tally)] = fuzzing.run(parser, tmp_path, seed=SEED, count=EACH, files=files, wall_s=WALL_S)
    assert tally.codes.total() == EACH
    told = [f"{fuzzing.name_of(each.case, SEED)}: {each.message}" for each in tally.crashes]
    assert told == []


@pytest.mark.parametrize("suffix", SAMPLES)
def test_the_undamaged_file_is_read(parser, tmp_path, suffix):
    (tmp_path / "upload").write_bytes(SAMPLES[suffix])
    assert parser.parse(tmp_path / "upload", name=f"x{suffix}", media_type=None).text.strip()


def test_a_run_can_be_repeated():
    first, again = (
        [case.data for case in fuzzing.cases(7, ".docx", [SAMPLES[".docx"]], 20)] for _ in "ab"
    )
    assert first == again
    assert len(set(first)) > 15
