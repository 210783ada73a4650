"""The catalogue declares every committed row and every printed table, and finds what is missing."""

import pandas as pd
import pytest
from builders import ROOT

from rdrepro.config import FIELD_NAMES
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.runs.rows import load_runs
from rdrepro.study.catalogue import (
    BY_NAME,
    STUDIES,
    TABLES,
    Batch,
    Study,
    configuration,
    identity,
    studies_of,
)
from rdrepro.study.jobs import jobs_of
from rdrepro.study.making import ANY, missing, rows_of
from rdrepro.study.printed import printed_cells

RUN = [study for study in STUDIES if study.hours is not None]


@pytest.fixture(scope="module")
def runs():
    return load_runs(ROOT / "results" / "runs")


def test_every_study_with_rows_is_declared_and_every_other_one_has_none(runs):
    assert set(runs["study"]) == {study.name for study in RUN}


@pytest.mark.parametrize("study", RUN, ids=lambda study: study.name)
def test_every_declared_run_has_a_row_and_every_row_was_declared(runs, study):
    assert missing(jobs_of(study.name), runs) == []
    kept = [run for batch in study.earlier for run in batch]
    declared = {
        identity(vars(configuration(run)), "precision" in run) for run in [*study.runs(), *kept]
    }
    for row in rows_of(study.name, runs):
        assert {identity(row, with_precision=given) for given in (True, False)} & declared


@pytest.mark.parametrize("study", RUN, ids=lambda study: study.name)
def test_hours_and_threads_are_those_of_the_rows(runs, study):
    rows = runs[runs["study"] == study.name]
    trained = rows[~rows["provenance.student_reused"].astype(bool)]
    assert study.hours == round(trained["cost.train_seconds"].sum() / 3600, 2)
    assert set(rows["provenance.threads"]) == {study.threads}


def test_every_printed_table_has_a_study():
    names = {"rd4ad": "table", "rkd_medical": "medical"}
    printed = {f"{names[cell.paper]}{cell.table}" for cell in printed_cells()}
    assert set(TABLES) == printed
    assert all(TABLES.values())


def test_a_row_that_is_not_there_is_missing_and_one_of_other_data_counts_for_nothing(runs):
    jobs = jobs_of("embedded")
    without = runs[runs["category"] != "wood"]
    (lacking,) = missing(jobs, without)
    assert lacking.config.category == "wood"
    rows = runs[(runs["study"] == "embedded")].set_index("category")
    named = ["provenance.train_data_sha256", "provenance.test_data_sha256"]
    same = missing(jobs, runs, lambda c: tuple(rows.loc[c.category, named]))
    other = missing(jobs, runs, lambda c: ("0" * 64, "0" * 64))
    assert same == [] and len(other) == len(MVTEC_CATEGORIES)


def test_dirty_rows_count_for_nothing(runs):
    dirty = runs.assign(**{"provenance.dirty": True})
    assert len(missing(jobs_of("embedded"), dirty)) == 15
    assert missing(jobs_of("embedded"), dirty, counted=ANY) == []


def test_a_named_precision_is_part_of_a_run_and_an_unnamed_one_is_not(runs):
    lacking = missing(jobs_of("deviations"), runs[runs["precision"] == "bfloat16"])
    assert lacking and all(job.given["precision"] == "float32" for job in lacking)


def test_batches_combine_their_axes_and_studies_leave_out_repetitions():
    batch = Batch({"preset": "demo"}, ([{"seed": 1}, {"seed": 2}], [{}, {"sigma": 4.0}]))
    assert len(list(batch)) == 4
    study = Study("made-up", "", (batch, batch), (), None)  # 4.0 is the preset's own sigma
    assert [run["seed"] for run in study.runs()] == [1, 2]


def test_a_name_stands_for_a_study_or_a_table_and_a_typo_names_the_nearest():
    assert [s.name for s in studies_of("table7")] == ["paper", "paper-layers"]
    assert studies_of("ablation") == [BY_NAME["ablation"]]
    with pytest.raises(ValueError, match="Did you mean 'ablation'"):
        studies_of("ablaton")


def test_no_rows_at_all_means_that_everything_is_missing():
    jobs = jobs_of("readme")
    assert missing(jobs, pd.DataFrame()) == jobs


def test_identities_name_every_field():
    values = identity(vars(configuration({"preset": "demo"})), with_precision=True)
    assert [value.partition("=")[0] for value in values] == list(FIELD_NAMES)
