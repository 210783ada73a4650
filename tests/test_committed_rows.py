"""Every committed row keeps its keys, and every table made from them its numbers and verdicts."""

import json
from pathlib import Path

import pandas as pd
import pytest
import snapshot

import rdrepro as rd
from rdrepro.config import RunConfig, eval_key, train_key
from rdrepro.study import ablation as ablations
from rdrepro.study import blocks as readme
from rdrepro.study import (
    compare,
    deviations,
    medical_report,
    novelty_report,
    report,
    rotation,
    tables,
)
from rdrepro.study import printed as cells
from rdrepro.study import variants as studies

ROWS = Path(__file__).parents[1] / "results" / "runs"
BEFORE = json.loads((Path(__file__).parent / "golden" / "tables.json").read_text())


def test_keys_of_committed_rows_are_what_they_were():
    files = sorted(ROWS.rglob("*.json"))
    assert len(files) >= 927
    for file in files:
        row = json.loads(file.read_text())
        told, config = row["provenance"], RunConfig(**row["config"])
        data = told["train_data_sha256"], told["test_data_sha256"]
        assert told["train_key"] == train_key(config, data[0]), file
        assert told["eval_key"] == eval_key(config, *data), file


@pytest.fixture(scope="module")
def runs():
    return rd.load_runs(ROWS)


def all_tables(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Every table that the report shows or saves, by name."""
    printed = {
        f"{'table' if paper == 'rd4ad' else 'medical'}{number}": tables.printed_table(
            paper, number, runs
        )
        for paper, number in tables.LAYOUTS
    }
    shapes = {}
    for number in "567":
        shapes[f"table{number}_shape"] = ablations.ablation_table(runs, number)
        shapes[f"table{number}_order"] = ablations.orders(runs, number)
    measured = [*("printed", "ours", "delta", "n_seeds", "low", "high"), "verdict", "order"]
    columns = medical_report.columns_table(runs)
    return {
        **printed,
        **shapes,
        "compared": compare.compare(cells.printed_cells(), runs)[[*measured, "collapsed"]],
        "complexity": tables.complexity_table(runs),
        "claims": tables.claims_table(runs)[["verdict", "our runs"]],
        "memory": studies.printed_memory(),
        "novelty": novelty_report.averages_table(runs, ROWS).drop(columns="remark"),
        "novelty_classes": novelty_report.predictions_table(runs),
        "novelty_grid": novelty_report.grid_table(runs),
        "medical_columns": medical_report.readable_columns(columns),
        "medical_again": medical_report.again_table(runs),
        "medical_steps": medical_report.steps_table(runs),
        "medical_habits": medical_report.habits_table(runs),
        "medical_long": medical_report.long_table(runs),
        "medical_misses": report.medical_misses(runs),
        "misses": report.misses(runs),
        "others": tables.beside_table(runs),
        "small_backbones": tables.beside_table(runs, "small-backbones"),
        "rotation": rotation.rotation_table(runs),
        "rotation_effects": rotation.rotation_effects(runs, ROWS),
        "coverage": report.coverage_table(),
    }


def test_tables_and_blocks_keep_their_numbers_and_verdicts(runs, monkeypatch):
    monkeypatch.setattr(report.paths, "ROOT", ROWS.parents[1])  # whose coverage.csv is read
    now = {name: snapshot.of_table(table) for name, table in all_tables(runs).items()}
    now["left_out"] = [str(len(compare.left_out(runs)))]
    blocks = readme.generated_blocks(ROWS)
    now |= {f"block {name}": snapshot.of_text(text) for name, text in blocks.items()}
    assert now.keys() == BEFORE.keys()
    for name, lines in now.items():
        assert lines == BEFORE[name], name


def test_the_snapshot_sees_numbers_and_verdicts_and_no_wording():
    table = pd.DataFrame({"a": [1.25, float("nan")], "what": ["ResNet-18", "differs"], "n": [3, 4]})
    assert snapshot.of_table(table) == ["1.25 | 3", "differs | 4"]
    assert snapshot.of_text("| ResNet-18 | [1.0, 2.5] | overlaps |") == ["1.0 2.5 | overlaps"]
    moved = table.assign(a=[1.26, float("nan")])
    assert snapshot.of_table(moved) != snapshot.of_table(table)
