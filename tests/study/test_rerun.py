"""A row's run repeated: equal to the bit, equal within the tolerance, or another result."""

import copy

import pytest
from builders import make_row

import rdrepro as rd
from rdrepro.study.rerun import judge, rerun


@pytest.fixture
def row():
    return make_row()


def changed(row, part, **values):
    other = copy.deepcopy(row)
    other[part] |= values
    return other


def test_equal_results_are_equal_to_the_bit_whatever_the_times(row):
    later = changed(row, "provenance", finished="2026-11-11T11:11:11+00:00")
    later = changed(later, "cost", train_seconds=1e4)
    assert judge(row, later) == (0, "The result is the same, to the bit.")


def test_another_machine_may_differ_by_last_digits_and_the_conditions_are_named(row):
    value = row["metrics"]["image_auroc"]
    near = changed(row, "metrics", image_auroc=value - 0.004)
    near = changed(near, "provenance", threads=7)
    code, said = judge(row, near)
    assert code == 0 and "up to 0.40 points" in said and "threads differ" in said


def test_another_result_is_called_so(row):
    value = row["metrics"]["image_auroc"]
    code, said = judge(row, changed(row, "metrics", image_auroc=value - 0.02))
    assert code == 1 and "2.00 points" in said and "this is a different result" in said


def test_other_images_are_not_compared(row):
    code, said = judge(row, changed(row, "provenance", test_data_sha256="0" * 64))
    assert code == 1 and "The test images differ" in said


def test_a_run_is_repeated_from_its_row(finished, small_mvtec, tmp_path):
    _, old, _ = finished
    file, said = rd.save_row(old, tmp_path), []
    assert rerun(str(file), [], str(small_mvtec), "cpu", said.append) == 0
    assert said == ["The result is the same, to the bit."]


def test_a_file_that_is_no_row_is_named(tmp_path):
    with pytest.raises(ValueError, match="rerun needs the file of a row"):
        rerun(str(tmp_path / "none.json"), [], None, None, print)
