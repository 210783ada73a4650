"""Rows that differ only in settings without a meaning are one result in every conclusion."""

import copy

import pytest
from builders import load, make_row
from study_rows import SEEDS, as_printed, on

import rdrepro as rd
from rdrepro.study.catalogue import BY_NAME, Batch, Study
from rdrepro.study.compare import compare, left_out
from rdrepro.study.jobs import jobs_of
from rdrepro.study.making import files, missing
from rdrepro.study.printed import paper_cells
from rdrepro.study.rerun import rerun

SUPERSEDED = "superseded by a newer row"


def cells(table, **wanted):
    return [
        cell
        for cell in paper_cells("rd4ad", table)
        if all(getattr(cell, name) == value for name, value in wanted.items())
    ]


def test_another_data_seed_on_mvtec_takes_no_seed_from_a_verdict(tmp_path):
    made = [
        make_row(
            category="wood",
            seed=seed,
            metrics=as_printed("wood", 0.1 * seed),
            provenance=on(f"2026-01-0{seed}"),
        )
        for seed in SEEDS
    ]
    again = make_row(
        category="wood",
        seed=1,
        data_seed=2,
        metrics=as_printed("wood", 0.1),
        provenance=on("2026-01-05"),
    )
    runs = load([*made, again], tmp_path)
    wood = cells("1", category="wood", method="Ours", image_size=256)
    (line,) = compare(wood, runs).to_dict("records")
    assert (line["n_seeds"], line["verdict"]) == (3, "reproduced")
    assert left_out(runs, wood)["reason"].tolist() == [SUPERSEDED]


@pytest.mark.parametrize(
    ("column", "settings"),
    [
        ("PaDiM", {"method": "padim", "batch_size": 32}),
        ("SPADE", {"method": "spade", "batch_size": 32, "seed": 7}),
    ],
)
def test_another_batch_size_of_a_memory_bank_is_the_printed_protocol(column, settings, tmp_path):
    cost = {f"{part}_seconds": [0.1, 0.2, 0.3] for part in ("image", "teacher", "search", "map")}
    runs = load([make_row(cost=cost, **settings)], tmp_path)
    timed = cells("3", method=column, metric="seconds_per_image")
    assert timed and (compare(timed, runs)["ours"] == 0.2).any()


def test_the_width_of_an_oce_that_is_not_there_is_no_other_protocol(tmp_path):
    settings = {"bottleneck": "pretrained", "oce_width": 64}
    made = [make_row(category=c, **settings) for c in rd.MVTEC_CATEGORIES]
    first = compare(cells("5", method="Pre"), load(made, tmp_path))
    assert first["ours"].notna().all() and (first["n_seeds"] == 1).all()


def test_a_job_is_done_whatever_the_meaningless_settings_of_its_row(tmp_path, monkeypatch):
    runs = Batch({"preset": "paper", "category": "wood"}, ([{"method": "spade", "seed": 3}, {}],))
    monkeypatch.setitem(BY_NAME, "made-up", Study("made-up", "?", (runs,), (), None))
    jobs = jobs_of("made-up")
    made = [make_row(category="wood", method="spade", seed=5, batch_size=8)]
    rows = load([*made, make_row(category="wood", data_seed=4)], tmp_path)
    assert sorted(files(jobs, rows).values()) == sorted(rows["file"]) and len(jobs) == 2


def test_seeds_of_spade_are_one_job(monkeypatch):
    runs = Batch({"preset": "paper", "method": "spade"}, ([{"seed": n} for n in SEEDS],))
    monkeypatch.setitem(BY_NAME, "made-up", Study("made-up", "?", (runs,), (), None))
    assert len(jobs_of("made-up")) == 1


@pytest.mark.parametrize("study", ["complexity", "small-backbones"])
def test_committed_rows_still_count_for_their_jobs(study, committed_runs):
    assert missing(jobs_of(study), committed_runs) == []


def test_a_row_with_a_meaningless_setting_is_run_again_without_it(finished, small_mvtec, tmp_path):
    _, row, _ = finished
    old = copy.deepcopy(row)
    old["config"]["data_seed"] = 2
    file, said = rd.save_row(old, tmp_path), []
    assert rerun(str(file), [], str(small_mvtec), "cpu", said.append) == 0
    assert said == ["The result is the same, to the bit."]
