"""The tables that a study fills: every cell has a value, or the reason why it has none."""

import pandas as pd
import pytest
from builders import ROOT, load, make_row

from rdrepro import paths
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study.jobs import jobs_of, parse_changes
from rdrepro.study.outcome import as_text, outcome, tables_of

CHANGES = parse_changes("epochs=2 backbone=resnet18 weights=random image_size=64")
VALUES = {"image_auroc": 0.9, "pixel_auroc": 0.95, "pixel_aupro_official": 0.8}
BROKEN = "cable"


@pytest.fixture(autouse=True)
def checkout(monkeypatch):
    monkeypatch.setattr(paths, "ROOT", ROOT)


@pytest.fixture
def trial(tmp_path):
    """The jobs of Table 1 with changed settings, their rows but for one category, the reason."""
    jobs = jobs_of("table1", seeds=3, changes=CHANGES)
    rows, reasons = {}, {}
    for job in jobs:
        if job.config.category == BROKEN:
            reasons[job] = "the mask cable/000_mask.png is empty"
        else:
            settings = vars(job.config)
            row = make_row(metrics=VALUES, provenance={"dirty": None}, **settings)
            rows.setdefault(job.study.name, []).append(row)
    for study, made in rows.items():
        load(made, tmp_path, study)
    return jobs, load([], tmp_path), reasons


def test_a_study_fills_the_tables_all_of_whose_runs_it_has():
    assert tables_of(jobs_of("table1")) == ["table1", "table2"]
    assert tables_of(jobs_of("embedded")) == []
    assert set(tables_of(jobs_of("everything"))) >= {f"table{n}" for n in range(1, 8)}


@pytest.mark.parametrize("table", ["table1", "table2"])
def test_every_cell_of_a_trial_has_a_value_or_a_reason(trial, table):
    jobs, runs, reasons = trial
    found = outcome(table, jobs, runs, reasons, trial=True).dropna(subset="printed")
    assert len(found)
    valued = found["ours"].notna()
    assert (found.loc[valued, "outcome"] == "trial").all()
    assert found.loc[~valued, "outcome"].str.contains("000_mask.png is empty").all()
    alone = found[found["category"].isin(MVTEC_CATEGORIES)]
    assert (valued[alone.index] == (alone["category"] != BROKEN)).all()
    seeds = found[valued].groupby("method")["n_seeds"].unique().map(list)
    # SPADE gives the same result for every seed, so one run is enough.
    assert seeds.to_dict() == {name: [1 if name == "SPADE" else 3] for name in seeds.index}
    wholes = found[found["category"] == "average"]
    assert wholes["outcome"].str.startswith("incomplete (14/15): ").all() and len(wholes)


def test_values_are_those_of_the_rows(trial):
    jobs, runs, reasons = trial
    found = outcome("table1", jobs, runs, reasons, trial=True)
    wood = found[(found["category"] == "wood") & (found["image_size"] == 256)]
    ours = wood.set_index("method")["ours"]
    assert ours.to_dict() == pytest.approx({"Ours": 90.0, "PaDiM": 90.0})


def test_trials_never_fill_cells_of_the_declared_settings_by_themselves(trial):
    jobs, runs, reasons = trial
    found = outcome("table1", jobs, runs, reasons, trial=False)
    assert found["ours"].isna().all()


def test_without_rows_every_reason_stands(trial):
    jobs, _, reasons = trial
    found = outcome("table2", jobs, pd.DataFrame(), reasons, trial=True)
    assert found.dropna(subset="printed")["outcome"].str.startswith("not run").all()


def test_the_text_has_the_printed_layout_and_a_note_for_each_reason(trial):
    jobs, runs, reasons = trial
    text = as_text(outcome("table1", jobs, runs, reasons, trial=True)).splitlines()
    assert text[0].split() == ["image_auroc,", "128", "px", "image_auroc,", "256", "px"]
    (wood,) = [line for line in text if line.startswith("Ours wood")]
    assert wood.split()[2::2] == ["90.0", "90.0"]
    (cable,) = [line for line in text if line.startswith(f"Ours {BROKEN}")]
    number = cable.split()[2]
    (note,) = [line for line in text if line.startswith(number)]
    assert "000_mask.png is empty" in note


def test_cells_of_runs_that_were_not_asked_for_say_so(trial):
    jobs, runs, reasons = trial
    some = [job for job in jobs if job.config.category in ("wood", BROKEN)]
    found = outcome("table1", some, runs, reasons, trial=True).set_index("category")
    assert set(found.loc["zipper", "outcome"]) == {
        "not run: not among the runs that were asked for"
    }
