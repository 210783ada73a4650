"""Table 4 in the report: the tables and figures of notebook 11, and its sentences."""

import pandas as pd
import pytest
from builders import load
from study_rows import all_classes, aurocs, class_row, grid_row

from rdrepro.presets import CHOSEN_CLASSES
from rdrepro.study import novelty, novelty_text
from rdrepro.study.novelty import CURVES_STUDY, STUDY
from rdrepro.study.novelty_choice import GRID_STUDY
from rdrepro.study.report import novelty as shown

EMPTY = pd.DataFrame()


@pytest.fixture
def novelty_runs(tmp_path):
    """Rows of novelty detection: averages, a grid of choices, and two long trainings."""
    load(all_classes("novelty_official", [0.98, 0.99]), tmp_path, STUDY)
    load(all_classes("novelty_tuned", [0.97], sigma=0.0), tmp_path, STUDY)
    grid = [grid_row("mnist", 1, 0.9), grid_row("mnist", 1, 0.95, image_size=64)]
    load(grid, tmp_path, GRID_STUDY)
    history = {"epoch": [1, 2, 3], "loss": [3, 2, 1], "seconds": [1, 1, 1]}
    tested = history | {"image_auroc": [None, 0.9, 0.99]}
    long = [
        class_row(5, seed, epochs=3, metrics=aurocs(0.99), history=one)
        for seed, one in ((1, history), (2, tested))
    ]
    return load(long, tmp_path, CURVES_STUDY)


@pytest.fixture
def averages(novelty_runs, tmp_path):
    return novelty.averages(novelty_runs, tmp_path)


def test_all_three_tables_are_saved_with_every_column(novelty_runs, averages, tmp_path):
    shown.save_tables(novelty_runs, averages, tmp_path / "out")
    saved = {f.stem: f for f in (tmp_path / "out").glob("*.csv")}
    assert set(saved) == {"novelty", "novelty_classes", "novelty_grid"}
    table = pd.read_csv(saved["novelty"])
    assert table["ours"].tolist() == pytest.approx([98.5, 97])
    assert "over images, newest seed" in table and "over images" not in table
    assert table["remark"].tolist()[1] == "other classes were used"


def test_averages_are_shown_to_one_decimal_with_what_all_lines_share_in_the_caption(averages):
    html = shown.averages_shown(averages).data
    assert "In all lines: backbone ResNet-18, classes 10/10." in html
    assert ">98.5<" in html and "98.50" not in html
    assert "printed protocol" in html and "99.3" not in html  # the printed table has it


def test_classes_are_folded_and_the_grid_is_not(novelty_runs):
    assert "Every class: 10 lines" in shown.classes_shown(novelty_runs).data
    grid = shown.grid_shown(novelty_runs).data
    assert "<details" not in grid and ">5.00<" in grid


def test_figures_draw_every_class_and_long_training(novelty_runs):
    panel = shown.novelty_classes(novelty_runs).axes[0]
    assert [len(dots.get_offsets()) for dots in panel.collections] == [20, 10]
    loss, tests = shown.novelty_curves(novelty_runs).axes
    assert len(loss.lines) == 2 and tests.lines[0].get_ydata().tolist() == [90, 99]
    assert tests.lines[0].get_label() == "MNIST, 5: +9.0 points from epoch 2 to 3"


def test_without_rows_everything_says_so(tmp_path):
    averages = novelty.averages(EMPTY)
    assert novelty_text.novelty_found(EMPTY, averages) == [
        "No run of novelty detection is here yet."
    ]
    assert novelty_text.choice_verdict(EMPTY) == ""
    tables = (shown.averages_shown(averages), shown.classes_shown(EMPTY), shown.grid_shown(EMPTY))
    assert all("No rows" in table.data for table in tables)
    assert shown.novelty_classes(EMPTY) == shown.novelty_curves(EMPTY) == shown.NO_NOVELTY
    shown.save_tables(EMPTY, averages, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- sentences


def test_the_finding_states_differences_and_what_is_too_little(novelty_runs, averages):
    differs, few, missing, tuned = novelty_text.novelty_found(novelty_runs, averages)
    assert differs.endswith("differ from the printed values by -0.8 points on MNIST.")
    assert few == "MNIST has fewer than 3 seeds, too few for a verdict."
    assert missing == "Fashion-MNIST, CIFAR-10 and Caltech-256 have not run."
    assert tuned.endswith("change the averages by -1.5 points on MNIST.")


def test_the_finding_states_the_verdict_of_three_seeds(tmp_path):
    runs = load(all_classes("novelty_official", [0.9929, 0.993, 0.9931]), tmp_path, STUDY)
    said = novelty_text.novelty_found(runs, novelty.averages(runs, tmp_path))
    assert said[1] == "The verdict on MNIST is *reproduced*."


def test_the_choice_names_what_helps_in_every_data_set(novelty_runs, tmp_path):
    assert novelty_text.choice_verdict(novelty_runs) == "No switch helps in every data set."
    rows = [grid_row(name, 1, 0.9) for name in CHOSEN_CLASSES]
    rows += [grid_row(name, 1, 0.92, image_size=64) for name in CHOSEN_CLASSES]
    said = novelty_text.choice_verdict(load(rows, tmp_path / "grid", GRID_STUDY))
    assert said.startswith("These help in every data set: 64 pixels. `novelty_tuned` takes them")
    assert "it has 2 instead of 5" in said


def test_without_averages_of_the_study_nothing_is_said_of_the_tuned_settings(tmp_path):
    runs = load(all_classes("novelty_official", [0.98]), tmp_path, "another-study")
    averages = novelty.averages(runs, tmp_path)
    assert averages.empty and len(novelty_text.novelty_found(runs, averages)) == 3
