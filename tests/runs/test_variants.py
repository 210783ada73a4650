"""Several runs one after the other: parameters that fit all of them, and one training for many."""

import numpy as np
import pytest

import rdrepro as rd
from rdrepro.runs.notebook import resolve_variants
from rdrepro.runs.variants import run_variants
from rdrepro.study.ablation import BOTTLENECK_VARIANTS, layer_variants


def test_maps_of_chosen_layers_share_one_training(tmp_path, small_mvtec):
    given = {"preset": "quick", "category": "bottle", "image_size": 64, "epochs": 1}
    given |= {"backbone": "resnet18", "weights": "random", "data_root": str(small_mvtec)}
    runs = {
        name: rd.resolve(results_dir=str(tmp_path), **given, **changes)
        for name, changes in layer_variants("test").items()
    }
    outcomes = run_variants(runs)
    reused = [o.row["provenance"]["student_reused"] for o in outcomes.values()]
    assert reused == [False, True, True, True, True]
    assert len(list((tmp_path / "scratch").glob("*.json"))) == 5
    whole, parts = outcomes["M1,2,3"].predictions, [outcomes[f"M{k}"].predictions for k in "123"]
    np.testing.assert_allclose(whole.maps, sum(p.maps for p in parts), atol=1e-5)


def test_a_variant_without_a_fourth_stage_is_left_out_and_named(
    tmp_path, small_mvtec, resnet_file, capsys
):
    namespace = {"preset": "quick", "category": "bottle", "data_root": str(small_mvtec)}
    namespace |= {"weights": str(resnet_file), "results_dir": str(tmp_path)}
    runs = resolve_variants(namespace | {"backbone": "resnet18"}, BOTTLENECK_VARIANTS)
    assert list(runs) == ["Pre+OCE", "Pre+OCE+MFM"]
    said = capsys.readouterr().out
    assert f"Pre is left out: the weights file {resnet_file.name} has no layer4" in said


def test_a_parameter_that_the_notebook_sets_itself_is_refused():
    with pytest.raises(ValueError, match="bottleneck='oce' cannot be given here"):
        resolve_variants({"preset": "demo", "bottleneck": "oce"}, BOTTLENECK_VARIANTS)


def test_a_presets_projection_belongs_to_the_fusion(small_mvtec):
    given = {"preset": "as_printed", "weights": "random", "data_root": str(small_mvtec)}
    config = rd.resolve(**given, category="bottle", bottleneck="oce").config
    assert config.mff_projection is False and config.loss_reduction == "pointwise"
    with pytest.raises(ValueError, match="mff_projection=True needs"):
        rd.resolve(**given, category="bottle", bottleneck="oce", mff_projection=True)
