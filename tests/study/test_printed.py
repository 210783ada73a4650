"""Printed tables as cells: none missing, each of ours with a protocol, units and margins."""

import math
from dataclasses import asdict

import pytest

from rdrepro import paths
from rdrepro.config import FIELD_NAMES
from rdrepro.registry import MVTEC_CATEGORIES, TEXTURES
from rdrepro.study.printed import (
    Cell,
    load_printed,
    paper_cells,
    printed_cells,
    printed_values,
    protocol_defaults,
)


def cell(paper="rd4ad", table="1", **wanted):
    """The one printed cell with these values."""
    (found,) = (
        c
        for c in paper_cells(paper, table)
        if all(getattr(c, name) == value for name, value in wanted.items())
    )
    return found


def test_cells_are_the_papers_and_each_of_ours_has_a_protocol():
    cells = printed_cells()
    assert len(cells) == 758 and len({(*asdict(c).values(),)[:7] for c in cells}) == 758
    ours = [c for c in cells if c.method.startswith("Ours") or c.table in "567"]
    assert all(isinstance(c, Cell) for c in ours)
    assert all(c.protocol for c in cells if c.paper == "rd4ad" and c.method == "Ours")
    assert not any(c.protocol for c in cells if c.method in ("RKD", "US", "CutPaste"))


def test_a_protocol_names_every_field_that_affects_a_result():
    free = {
        "category",
        "seed",
        "data_seed",
        "precision",
        "deterministic",
        "eval_every",
        "eval_last",
    }
    assert set(protocol_defaults()) == set(FIELD_NAMES) - free
    protocol = cell(method="Ours", category="carpet", image_size=256).protocol
    assert set(protocol) == set(protocol_defaults())


@pytest.mark.parametrize(
    ("wanted", "changed"),
    [
        ({"table": "1", "image_size": 128, "category": "grid"}, {"image_size": 128}),
        ({"table": "5", "method": "Pre", "metric": "pro"}, {"bottleneck": "pretrained"}),
        (
            {"table": "6", "method": "ResNet18", "metric": "pro"},
            {"backbone": "resnet18", "oce_width": 64},
        ),
        ({"table": "7", "method": "M2,3", "metric": "pro"}, {"map_layers": (2, 3)}),
        ({"table": "3", "method": "PaDiM", "metric": "pro"}, {"method": "padim"}),
    ],
    ids=str,
)
def test_a_cell_changes_what_its_column_is_about(wanted, changed):
    method = {"method": "Ours"} | wanted
    protocol = cell(**method).protocol
    assert {k: v for k, v in protocol.items() if v != protocol_defaults()[k]} == changed


def test_averages_are_over_the_categories_that_are_printed():
    of = {"method": "Ours", "image_size": 256}
    assert cell(category="average", **of).units == MVTEC_CATEGORIES
    assert cell(category="carpet", **of).units == ("carpet",)
    four = cell("rkd_medical", "4", method="Ours+L_MKD", category="average_textures", metric="pro")
    assert set(four.units) == set(TEXTURES) - {"grid"}
    assert cell(table="4", method="Ours", dataset="mnist").units == tuple(range(10))
    assert cell(table="4", method="Ours", dataset="caltech256").units == tuple(range(10))


def test_a_category_has_a_wider_margin_than_the_average_and_a_cost_has_none():
    of = {"method": "Ours", "image_size": 256}
    assert cell(category="average", **of).margin < cell(category="carpet", **of).margin
    assert cell(table="3", method="Ours", metric="seconds_per_image").margin is None
    head = cell("rkd_medical", "3", dataset="head_ct", method="Ours")
    oct_ = cell("rkd_medical", "3", dataset="retinal_oct", method="Ours")
    assert head.margin is None and oct_.margin > 0
    for kind in ("average_textures", "average_objects"):
        assert cell(category=kind, **of).margin == 0.8
        assert cell(table="2", category=kind, metric="pro", **of).margin == 1.5


def test_the_extensions_pro_is_compared_with_the_recall_that_it_is():
    of = {"method": "Ours", "category": "bottle", "metric": "pro"}
    assert cell("rkd_medical", "2", **of).row_metric == "recall_at_youden"
    assert cell(table="2", image_size=256, **of).row_metric == "pixel_aupro_official"


def test_printed_values_by_one_key_and_by_several():
    by_bottleneck = printed_values("rd4ad", "5", "method", metric="image_auroc")
    assert by_bottleneck == {"Pre": 96.0, "Pre+OCE": 97.9, "Pre+OCE+MFM": 98.5}
    both = printed_values("rd4ad", "5", "method", "metric")
    assert len(both) == 9 and both["Pre", "image_auroc"] == 96.0
    textures = printed_values("rkd_medical", "4", "category", method="Ours+L_MKD", metric="pro")
    assert textures["carpet"] == 92.7 and math.isnan(textures["grid"])  # printed as a dash
    assert printed_values("rd4ad", "5", "method", metric="nothing") == {}


def test_files_of_printed_numbers_keep_text_as_text():
    table = load_printed("rd4ad")
    assert set(map(type, table["table"])) == {str}
    assert not table["category"].isna().any() and set(table["table"]) == set("1234567")


def test_a_missing_file_of_printed_numbers_names_the_way_out(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'rd4' is not one of claims, rd4ad, .*'rd4ad'"):
        load_printed("rd4")
    monkeypatch.setattr(paths, "PAPER", tmp_path)
    with pytest.raises(FileNotFoundError, match="use a checkout of the repository"):
        load_printed("rd4ad")
