"""03_novelty: a run per class, and the table of the classes that ran."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from builders import load
from study_rows import aurocs, class_row

from rdrepro.registry import DATASETS
from rdrepro.study import novelty

# --- parameters of the notebook


def test_without_data_digits_run_and_say_so(tmp_path):
    runs = novelty.resolve_classes({"normal_class": -1})
    assert list(runs) == [f"digit {n}" for n in DATASETS["digits"].categories]
    run = runs["digit 3"]
    assert run.config.normal_class == 3 and "scikit-learn's digits" in run.banner
    assert run.rows_dir.name == "scratch" and repr(run).startswith("BUNDLED DATA")


def test_with_data_mnist_runs(mnist, monkeypatch):
    monkeypatch.setenv("RDREPRO_DATA", str(mnist[0]))
    runs = novelty.resolve_classes({"normal_class": 8, "weights": "random"})
    assert [run.config.dataset for run in runs.values()] == ["mnist"]
    assert not runs["digit 8"].banner and runs["digit 8"].preset == "novelty_official"


def test_classes_are_named_in_words():
    assert novelty._class_title("3") == "digit 3"
    assert novelty._class_title("ankle_boot") == "ankle boot"


def test_a_named_root_without_mnist_is_no_demo(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no folder MNIST; name a data set"):
        novelty.resolve_classes({"data_root": str(tmp_path)})


def test_where_mnist_is_not_on_disk_digits_run_whatever_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_DATA", str(tmp_path))
    runs = novelty.resolve_classes({"normal_class": 8, "preset": "auto"})
    assert (runs["digit 8"].config.dataset, runs["digit 8"].preset) == ("digits", "novelty_demo")


def test_a_preset_of_mnist_names_the_data_set(monkeypatch, tmp_path):
    given = {"normal_class": 8, "preset": "novelty_official", "weights": "random"}
    assert novelty.resolve_classes(given)["digit 8"].config.dataset == "mnist"


def test_mnist_runs_with_the_demos_teacher_where_no_other_is_on_disk(mnist, monkeypatch, capsys):
    monkeypatch.setenv("RDREPRO_DATA", str(mnist[0]))
    monkeypatch.setattr(novelty, "_weights_on_disk", lambda backbone: backbone != "resnet18")
    run = novelty.resolve_classes({"normal_class": 8})["digit 8"]
    assert (run.config.dataset, run.preset) == ("mnist", "novelty_demo")
    assert run.config.backbone == "efficientnet_lite0"
    assert "weights of resnet18 are not on disk, so that preset=novelty_demo" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "given",
    [{"weights": "random"}, {"backbone": "resnet18"}, {"overrides": "weights=random"}],
    ids=str,
)
def test_a_named_teacher_is_not_replaced(given):
    assert novelty._usual_preset("mnist", given) == {}


def test_weights_are_on_disk_in_either_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("RDREPRO_WEIGHTS", str(tmp_path))
    assert not novelty._weights_on_disk("resnet18")
    for folder in (tmp_path, tmp_path / "hub" / "checkpoints"):
        file = folder / "resnet18-f37072fd.pth"
        folder.mkdir(parents=True, exist_ok=True)
        file.touch()
        assert novelty._weights_on_disk("resnet18")
        file.unlink()


@pytest.mark.parametrize("overrides", ["dataset=mnist", "normal_class=3", "method=padim"])
def test_what_the_notebook_sets_is_no_override(overrides):
    name = overrides.partition("=")[0]
    with pytest.raises(ValueError, match=f"overrides: {name} cannot be given here; "):
        novelty.resolve_classes({"overrides": overrides})


def test_a_misspelt_data_set_is_named():
    with pytest.raises(
        ValueError, match=r"dataset='fashion' is not .* Did you mean 'fashion_mnist'"
    ):
        novelty.resolve_classes({"dataset": "fashion"})


# --- the table of the notebook


def made_up_outcome(auroc_sum, auroc_max, train, config):
    metrics = {"image_auroc": auroc_sum, "image_auroc_sum": auroc_sum, "image_auroc_max": auroc_max}
    row = {"metrics": metrics, "counts": {"train": train}, "config": config}
    history = pd.DataFrame({"loss": [1.0, 0.5]})
    run = SimpleNamespace(config=SimpleNamespace(dataset="mnist"))
    return SimpleNamespace(row=row, history=history, run=run)


def test_the_table_of_classes_ends_with_the_average():
    config = {"epochs": 2, "batch_size": 16}
    outcomes = {
        "0": made_up_outcome(0.99, 0.9, 33, config),
        "1": made_up_outcome(0.97, 0.8, 16, config),
    }
    table = novelty.classes_table(outcomes)
    assert table.loc["average", "sum (Sec. 4.2)"] == pytest.approx(98.0)
    assert table.loc["average", "maximum"] == pytest.approx(85.0)
    assert table["gradient steps"].tolist() == [6, 2, 4]
    assert novelty.hardest(outcomes) == "1"
    said = novelty.beside_average(table, outcomes["0"].run)
    assert "98.00 %" in said and "average over all: 99.3 %" in said
    whole = {str(n): made_up_outcome(0.99, 0.9, 16, config) for n in range(10)}
    said = novelty.beside_average(novelty.classes_table(whole), whole["0"].run)
    assert "99.3 %: -0.30 points" in said


# --- averages from rows, of which tests/study/test_novelty_tables.py has more


def test_an_average_is_also_given_without_the_class_that_settings_were_chosen_by(tmp_path):
    made = [class_row(n, metrics=aurocs(0.9 + n / 100)) for n in range(10)]
    line = novelty.averages_table(load(made, tmp_path, novelty.STUDY), tmp_path).iloc[0]
    assert line["ours"] == pytest.approx(94.5)
    others = [90 + n for n in range(10) if n != 5]
    assert line["without the chosen class"] == pytest.approx(sum(others) / 9)
