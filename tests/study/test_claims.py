"""The claims of both papers, and what rows say of each."""

import pandas as pd
from builders import load, make_row
from study_rows import SEEDS

from rdrepro.study.claims import NOT_YET, UNTESTED, claims_table


def test_a_claim_has_the_verdict_of_its_cells(reproduced):
    claims = claims_table(reproduced)
    backbones = claims[claims["evidence"].str.contains("ResNet18 image AUROC 97.9")]
    assert len(backbones) and backbones["our runs"].str.contains("not run").all()
    assert set(backbones["verdict"]) == {"open"}
    untested = claims[claims["evidence"] == UNTESTED]
    assert set(untested["verdict"]) == {UNTESTED} and len(untested) > 5
    assert claims["verdict"].eq("supported").any()
    assert "2.5%" in claims.loc["C2", "evidence"]


def test_one_cell_that_differs_contradicts_a_claim_in_part(tmp_path):
    rows = [make_row(category="transistor", seed=s, metrics={"pixel_auroc": 0.8}) for s in SEEDS]
    assert claims_table(load(rows, tmp_path))["verdict"].eq("contradicted in part").any()


def test_a_claim_without_a_run_of_its_cells_is_not_tested_yet(tmp_path):
    nothing = {NOT_YET, UNTESTED}
    assert set(claims_table(pd.DataFrame())["verdict"]) == nothing
    embedded = load([make_row(dataset="synthetic")], tmp_path / "embedded")
    assert set(claims_table(embedded)["verdict"]) == nothing
    one_category = make_row(backbone="resnet18", oce_width=64)  # of Table 6's fifteen
    assert set(claims_table(load([one_category], tmp_path / "one"))["verdict"]) == nothing


def test_a_claim_without_a_verdict_names_the_tables_that_show_it(tmp_path):
    claims = claims_table(load([make_row(rotation=30.0)], tmp_path, "rotation"))
    shown = claims[claims["verdict"].str.startswith("no verdict")]
    assert set(shown["verdict"]) == {"no verdict; see rotation"}
    assert shown["test"].str.contains("rotation").all()
