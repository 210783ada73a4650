"""Table 3: variants by method and resolution, printed memory by arithmetic, costs of rows."""

import numpy as np
import pandas as pd
import pytest
from builders import load, make_row

from rdrepro.config import OURS
from rdrepro.study.complexity import (
    complexity_table,
    complexity_variants,
    costs_in_words,
    printed_memory,
    storage_table,
    time_table,
)


def test_variants_are_by_method_and_resolution():
    variants = complexity_variants("padim, reverse_distillation", "64,128", "random", None)
    assert list(variants) == ["PaDiM, 64 px", "Ours, 64 px", "PaDiM, 128 px", "Ours, 128 px"]
    assert variants["Ours, 64 px"]["epochs"] == 1 and variants["PaDiM, 64 px"]["epochs"] is None
    assert complexity_variants(None, None, None, None)["Ours, 224 px"]["epochs"] is None
    assert len(complexity_variants(None, None, None, None)) == 6
    with pytest.raises(ValueError, match="'patchcore' is not reverse_distillation, padim or spade"):
        complexity_variants("patchcore", None, None, None)


def test_the_printed_banks_are_those_of_224_pixels():
    table = printed_memory().set_index(["method", "px"])
    assert table.loc[("PaDiM", 224), "MB"] == 3801
    assert table.loc[("PaDiM", 256), "MB"] == round(64 * 64 * (550**2 + 550) * 4 / 1e6)
    assert abs(table.loc[("SPADE", 224), "MB"] - 1400) < 50 < table.loc[("SPADE", 256), "MB"] - 1400


def test_random_weights_have_a_cost_and_no_performance(tmp_path):
    cost = {"trained_mib": 319.7, "weights_mib": 414.5, "peak_mib": 1000.0, "checkpoint_mib": 351.7}
    cost |= {f"{name}_seconds": [0.1, 0.2, 0.3] for name in ("image", "teacher", "map")}
    made = [
        make_row(backbone="wide_resnet50_2", weights="random", cost=cost),
        make_row(backbone="resnet50", cost=cost, metrics={"image_auroc": 1.0}),
        make_row(backbone="resnet18"),  # of no known cost
    ]
    table = complexity_table(load(made, tmp_path)).set_index("backbone")
    assert set(table.index) == {"WideResNet-50-2", "ResNet-50"}
    sizes = table.loc["WideResNet-50-2", ["official checkpoint MiB", "official checkpoint MB"]]
    assert sizes.tolist() == pytest.approx([351.7, 351.7 * 2**20 / 1e6])
    assert table["seconds"].tolist() == [0.2, 0.2]
    assert table["quartiles"].tolist() == ["[0.100, 0.300]"] * 2
    assert np.isnan(table.loc["WideResNet-50-2", "image AUROC"])
    assert table.loc["ResNet-50", "image AUROC"] == pytest.approx(100.0)
    assert complexity_table(pd.DataFrame()).empty


def three_methods(seconds, folder):
    """The costs of the three methods under equal conditions, with these medians."""
    methods = ("reverse_distillation", "padim", "spade")
    made = [
        make_row(
            method=method,
            category="bottle",
            cost={"image_seconds": [x, x, x], "trained_mib": 1.0, "weights_mib": 2.0},
            provenance={"threads": 2, "device": "cpu"},
        )
        for method, x in zip(methods, seconds, strict=True)
    ]
    return complexity_table(load(made, folder))


def test_costs_in_words_have_our_order_and_the_printed_one(tmp_path):
    (same,) = costs_in_words(three_methods((0.2, 0.3, 2.0), tmp_path / "same"))
    assert "Ours 0.20, PaDiM 0.30, SPADE 2.00 (WideResNet-50-2, CPU, 2 threads" in same
    assert same.endswith("The paper has the same order: Ours 0.31, PaDiM 0.95, SPADE 1.40.")
    (other,) = costs_in_words(three_methods((0.4, 0.3, 2.0), tmp_path / "other"))
    assert ": PaDiM 0.30, Ours 0.40" in other and "has another order" in other
    assert costs_in_words(pd.DataFrame()) == []


def test_every_measurement_has_a_line_and_a_repeat_can_leave_the_order_open(tmp_path):
    made = [
        make_row(
            method=method,
            category="bottle",
            cost={"image_seconds": [x, x, x], "trained_mib": 1.0, "weights_mib": 2.0},
            provenance={"threads": 2, "device": "cpu", "finished": f"2026-05-0{n}T00:00:00+00:00"},
        )
        for n, (method, x) in enumerate(
            [("padim", 0.3), ("spade", 2.0), (OURS, 0.4), (OURS, 0.19)], 1
        )
    ]
    costs = complexity_table(load(made, tmp_path))
    ours = costs[costs["method"] == "Ours"]
    assert ours["measurement"].tolist() == ["1 of 2", "2 of 2"]
    assert ours["seconds"].tolist() == [0.4, 0.19]
    assert len(time_table(costs)) == 4 and len(storage_table(costs)) == 3
    (said,) = costs_in_words(costs)
    assert "Ours 0.40 and 0.19, PaDiM 0.30, SPADE 2.00" in said
    assert "The measurements of Ours and PaDiM overlap, so their order is open." in said


def test_a_method_that_is_missing_is_not_compared(tmp_path):
    costs = three_methods((0.2, 0.3, 2.0), tmp_path)
    assert costs_in_words(costs[costs["method"] != "SPADE"]) == []


def test_time_and_memory_are_tables_of_text(tmp_path):
    costs = three_methods((0.2, 0.3, 2.0), tmp_path)
    time = time_table(costs).set_index("method")
    assert time.loc["SPADE", ["seconds", "of these, search"]].tolist() == ["2.000", "-"]
    memory = storage_table(costs).set_index("method")
    assert memory.loc["Ours", ["trained MiB", "bank MiB", "printed MB"]].tolist() == [
        "1.0",
        "-",
        "352",
    ]
    small = storage_table(costs.assign(backbone="ResNet-18"))
    assert set(small["printed MB"]) == {"-"}
