"""Every committed row keeps its keys, and every table made from them its numbers and verdicts."""

import json

import pandas as pd
import pytest
import snapshot
from builders import ROOT

from rdrepro import paths
from rdrepro.study import (
    ablation,
    claims,
    compare,
    complexity,
    fast,
    medical_tables,
    novelty,
    novelty_choice,
    rotation,
    tables,
)
from rdrepro.study.printed import printed_cells
from rdrepro.study.report import medical, register, results

ROWS = ROOT / "results" / "runs"
BEFORE = json.loads((ROOT / "tests" / "golden" / "tables.json").read_text())
COMPARED = ["printed", "ours", "delta", "n_seeds", "low", "high", "verdict", "order", "collapsed"]
COMPARED += ["tier"]
PRINTED = {
    f"{'table' if paper == 'rd4ad' else 'medical'}{number}": (paper, number)
    for paper, number in tables.LAYOUTS
}
SHAPES = {
    f"table{number}_{what}": (make, number)
    for number in "567"
    for what, make in (("shape", ablation.ablation_table), ("order", ablation.orders))
}
# Every other table that the report shows or saves.
TABLES = {
    "compared": lambda runs: compare.compare(printed_cells(), runs)[COMPARED],
    "complexity": complexity.complexity_table,
    "claims": lambda runs: claims.claims_table(runs)[["verdict", "our runs"]],
    "memory": lambda runs: complexity.printed_memory(),
    "novelty": lambda runs: novelty.averages_table(runs, ROWS).drop(columns="remark"),
    "novelty_classes": novelty.predictions_table,
    "novelty_grid": novelty_choice.grid_table,
    "medical_columns": lambda runs: medical_tables.readable_columns(
        medical_tables.columns_table(runs)
    ),
    "medical_earlier": medical_tables.earlier_split_table,
    "medical_again": medical_tables.again_table,
    "medical_steps": medical_tables.steps_table,
    "medical_habits": medical_tables.habits_table,
    "medical_long": medical_tables.long_table,
    "medical_misses": medical.medical_misses,
    "misses": results.misses,
    "others": tables.beside_table,
    "small_backbones": lambda runs: tables.beside_table(runs, "small-backbones"),
    "rotation": rotation.rotation_table,
    "rotation_effects": lambda runs: rotation.rotation_effects(runs, ROWS),
    "coverage": lambda runs: register.coverage_table(),
    "fast": fast.comparison,
    "fast_collapses": fast.collapses,
    "fast_steps": fast.more_steps,
    "fast_2000": fast.two_thousand,
}


MEASURED = "speed"  # the block that comes from measurements, which every run of them changes


@pytest.mark.parametrize("name", PRINTED)
def test_printed_tables_keep_their_numbers_and_verdicts(name, committed_runs):
    table = tables.printed_table(*PRINTED[name], committed_runs)
    assert snapshot.of_table(table) == BEFORE[name]
    assert list(table.index) == BEFORE[f"{name} rows"]


@pytest.mark.parametrize("name", SHAPES)
def test_tables_in_shape_keep_their_numbers_and_verdicts(name, committed_runs):
    make, number = SHAPES[name]
    assert snapshot.of_table(make(committed_runs, number)) == BEFORE[name]


@pytest.mark.parametrize("name", TABLES)
def test_other_tables_keep_their_numbers_and_verdicts(name, committed_runs, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", ROOT)  # whose coverage.csv is read
    assert snapshot.of_table(TABLES[name](committed_runs)) == BEFORE[name]


def test_as_many_rows_are_left_out(committed_runs):
    assert [str(len(compare.left_out(committed_runs)))] == BEFORE["left_out"]


def test_generated_blocks_keep_their_numbers_and_verdicts(committed_blocks):
    for name, text in committed_blocks.items():
        if name == MEASURED:
            continue
        assert snapshot.of_text(text) == BEFORE[f"block {name}"], name


def test_the_snapshot_has_every_table_and_block(committed_blocks):
    blocks = {f"block {name}" for name in committed_blocks if name != MEASURED}
    labels = (f"{name} rows" for name in PRINTED)
    assert BEFORE.keys() == {*PRINTED, *labels, *SHAPES, *TABLES, "left_out", *blocks}


def test_the_snapshot_sees_numbers_and_verdicts_and_no_wording():
    table = pd.DataFrame({"a": [1.25, float("nan")], "what": ["ResNet-18", "differs"], "n": [3, 4]})
    assert snapshot.of_table(table) == ["1.25 | 3", "differs | 4"]
    assert snapshot.of_text("| ResNet-18 | [1.0, 2.5] | overlaps |") == ["1.0 2.5 | overlaps"]
    moved = table.assign(a=[1.26, float("nan")])
    assert snapshot.of_table(moved) != snapshot.of_table(table)
