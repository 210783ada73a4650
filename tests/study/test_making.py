"""Which jobs have a row, the weights they are given, and whether new rows will count."""

import pandas as pd
import pytest
from builders import load, make_row

from rdrepro.study import making
from rdrepro.study.catalogue import BY_NAME, Batch, Study
from rdrepro.study.jobs import jobs_of
from rdrepro.study.making import ANY, caution, files, missing, weights_files


@pytest.fixture
def study(monkeypatch):
    """A study of the paper's protocol on two categories."""
    runs = Batch({"preset": "paper", "seed": 1}, ([{"category": "wood"}, {"category": "bottle"}],))
    made_up = Study("made-up", "?", (runs,), (), None)
    monkeypatch.setitem(BY_NAME, "made-up", made_up)
    return made_up


def test_the_newest_row_of_a_job_is_found(study, tmp_path):
    times = ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")
    rows = [
        make_row(seed=1, category="wood", metrics={"image_auroc": v}, provenance={"finished": t})
        for v, t in zip((0.5, 0.6), times, strict=True)
    ]
    runs = load(rows, tmp_path)
    found = files(jobs_of("made-up"), runs)
    newest = runs.iloc[-1]["file"]
    assert {job.config.category: file for job, file in found.items()} == {"wood": newest}


def test_dirty_rows_count_only_where_new_ones_would_be_dirty_too(study, tmp_path):
    rows = [make_row(seed=1, category="wood", provenance={"dirty": dirty}) for dirty in (True,)]
    runs = load(rows, tmp_path)
    assert len(missing(jobs_of("made-up"), runs)) == 2
    assert len(missing(jobs_of("made-up"), runs, counted=ANY)) == 1


def test_a_row_with_settings_that_no_run_can_have_counts_for_nothing(study, tmp_path):
    rows = [make_row(seed=1, category="wood", **change) for change in ({}, {"image_size": 100})]
    rows.append(make_row(seed=1, category="bottle", lr=5.0))
    runs = load(rows, tmp_path)
    assert [job.config.category for job in missing(jobs_of("made-up"), runs)] == ["bottle"]


def test_without_rows_every_job_is_missing(study):
    assert missing(jobs_of("made-up"), pd.DataFrame()) == jobs_of("made-up")


def test_files_of_weights_are_checked(tmp_path):
    jobs = jobs_of("table3")
    (tmp_path / "some.pth").touch()
    for text, said in {
        f"resnet18={tmp_path / 'none.pth'}": "BACKBONE=PATH",
        "resnet18": "BACKBONE=PATH",
        f"resnet19={tmp_path / 'some.pth'}": "resnet18, vgg16 or wide_resnet50_2",
    }.items():
        with pytest.raises(ValueError, match=said):
            weights_files([text], jobs)
    given = f"resnet18={tmp_path / 'some.pth'}"
    assert weights_files([given], jobs) == {"resnet18": str(tmp_path / "some.pth")}


@pytest.mark.parametrize("dirty, why", [(True, "differ from the last commit"), (None, "no git")])
def test_rows_that_will_count_nowhere_are_announced(monkeypatch, dirty, why):
    monkeypatch.setattr(making, "git_state", lambda: ("0" * 40, dirty))
    assert why in caution() and "marked dirty and will count in no table" in caution()
    monkeypatch.setattr(making, "git_state", lambda: ("0" * 40, False))
    assert caution() == ""
