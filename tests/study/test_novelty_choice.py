"""The choice of the preset `novelty_tuned` on training images of three classes."""

import pytest
from builders import load
from study_rows import grid_row

import rdrepro as rd
from rdrepro.presets import CHOSEN_CLASSES
from rdrepro.study.novelty_choice import (
    GRID,
    GRID_EPOCHS,
    GRID_STUDY,
    chosen_switches,
    grid_effects,
)


@pytest.fixture
def effects_of(tmp_path):
    """A function from rows to the rows read back from the grid's study."""
    return lambda rows: load(rows, tmp_path, GRID_STUDY)


def test_a_switch_is_chosen_that_helps_on_each_of_the_three_classes(effects_of):
    rows = [grid_row(name, 1, 0.9) for name in CHOSEN_CLASSES]
    rows += [grid_row(name, 1, 0.92, image_size=64) for name in CHOSEN_CLASSES]
    smoothing = dict(zip(CHOSEN_CLASSES, (0.99, 0.99, 0.89), strict=True))  # worse on one of them
    rows += [grid_row(name, 1, auroc, sigma=0.0) for name, auroc in smoothing.items()]
    runs = effects_of(rows)
    assert chosen_switches(runs) == ["64 pixels"]
    effects = grid_effects(runs).set_index(["switch", "dataset"])["effect"]
    assert effects["64 pixels"].tolist() == pytest.approx([2, 2, 2])
    assert effects["no smoothing"].to_dict() == pytest.approx(
        {name: 100 * (auroc - 0.9) for name, auroc in smoothing.items()}
    )


def test_a_switch_counts_only_where_it_changes_the_settings(effects_of):
    rows = [grid_row(name, 1, 0.9) for name in CHOSEN_CLASSES]
    rows += [grid_row("cifar10", 1, 0.95, normalise="none")]
    assert chosen_switches(effects_of(rows)) == ["not normalised"]


def test_the_tuned_preset_is_what_the_committed_grid_chose(committed_runs):
    switches = chosen_switches(committed_runs)
    chosen = {k: v for name in switches for k, v in GRID[name].items()}
    assert chosen.pop("epochs") > GRID_EPOCHS  # helps, and costs more than two cores have
    tuned, official = rd.PRESETS["novelty_tuned"], rd.PRESETS["novelty_official"]
    assert {k: tuned.get(k) for k in chosen} == chosen
    assert set(tuned) - set(chosen) == set(official) - set(chosen)
