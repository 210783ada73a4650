"""What notebooks 13 and 14 of the report show, from made-up rows."""

import pandas as pd
import pytest
from builders import ROOT, load, make_row

from rdrepro import paths
from rdrepro.study import claims, coverage, deviations
from rdrepro.study.report import register, shapes

SMALL = {"category": "bottle", "backbone": "resnet18", "oce_width": 64, "epochs": 40}


@pytest.fixture
def simulated(monkeypatch):
    monkeypatch.setattr(paths, "ROOT", ROOT)  # whose coverage.csv is read
    return register.coverage_table()


def layers(folder):
    """Two columns of Table 7 on bottle, and another protocol, in two seeds each."""
    made = [make_row(seed=s, **SMALL) for s in (1, 2)]
    made += [make_row(seed=s, map_layers=(3,), **SMALL) for s in (1, 2)]
    made += [make_row(seed=s, sigma=2.0, **SMALL) for s in (1, 2)]
    return load(made, folder, register.SMALL)


def test_runs_of_other_protocols_are_a_line_each_without_the_ablations(tmp_path):
    others = register.other_protocols(layers(tmp_path))
    assert set(others["differs in"]) == {"", "sigma=2"}
    table = register.readable_protocols(others)
    assert len(table) == 2 and set(table["", "teacher"]) == {"ResNet-18"}
    assert sorted(table["", "also changed"]) == ["", "sigma=2"]
    assert table["image AUROC", "printed"].tolist() == ["100.0", "100.0"]
    assert table["image AUROC", "ours [95 %]"].str.startswith("100.0 [").all()
    assert register.readable_protocols(pd.DataFrame()).empty


def test_coverage_is_in_percent_and_what_is_off_is_marked(simulated):
    table = register.readable_coverage(simulated)
    assert set(table["level (%)"]) == {"95.0", "90.0"}
    off = (table["contains it (%)"].astype(float) - table["level (%)"].astype(float)).abs() > 2.05
    assert set(table.loc[off, register.OFF]) == {"outside"}


def test_what_was_found_has_a_line_for_claims_deviations_and_intervals(simulated):
    claimed = claims.claims_table(pd.DataFrame())
    lines = register.in_short(pd.DataFrame(), claimed, simulated).data.splitlines()
    assert [line[:2] for line in lines] == ["- "] * 3
    assert lines[0].startswith(f"- Of {len(claimed)} claims, our runs contradict 0")
    assert not lines[2].endswith(":")


def test_intervals_that_fall_short_are_a_list_with_reasons(simulated):
    text = register.coverage_in_words(simulated).data
    first, listed, why = text.split("\n\n")
    assert first.endswith("they do not:")
    assert listed.count("\n- ") + 1 == len(coverage.in_words(simulated)) - 1 - 2
    assert all(reason in why for reason in coverage.REASONS.values())


def test_every_part_of_the_register_and_every_claim_is_shown():
    parts = list(register.registers(pd.DataFrame()))
    assert len(parts) == len(deviations.REGISTER_PARTS)
    shown = list(register.claim_tables(claims.claims_table(pd.DataFrame())))
    assert "no claim" in shown[0].data and ">C1<" in shown[3].data


def test_a_table_in_shape_has_a_sentence_and_is_saved(tmp_path):
    found, *tables = shapes.shape(layers(tmp_path), "7", tmp_path / "out")
    assert found.data.startswith(
        f"{shapes.FOUND}\n\n- Bottle (MVTec AD), ResNet-18, 40 epochs, maps chosen at test"
    )
    assert len(tables) == 1 and "Table 7 in shape" in tables[0].data
    assert {f.stem for f in (tmp_path / "out").glob("*.csv")} == {"table7_shape", "table7_order"}


def test_without_rows_shapes_say_so(tmp_path):
    empty = pd.DataFrame()
    (found,) = shapes.shape(empty, "5", tmp_path)
    assert found.data == f"{shapes.FOUND}\n\n- N{shapes.UNTESTED[1:]}."
    assert "Table 6: no protocol" in shapes.in_short(empty, tmp_path).data
    assert "No rows" in next(shapes.costs(empty, tmp_path)).data
