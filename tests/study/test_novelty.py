"""03_novelty: a run per class, and the table of the classes that ran."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torchvision
from builders import load
from study_rows import aurocs, class_row

from rdrepro.registry import DATASETS
from rdrepro.study import novelty

# --- parameters of the notebook


def test_without_data_digits_run_and_say_so(tmp_path):
    runs = novelty.resolve_classes({"normal_class": -1})
    assert list(runs) == list(DATASETS["digits"].categories)
    run = runs["3"]
    assert run.config.normal_class == 3 and "scikit-learn's digits" in run.banner
    assert run.rows_dir.name == "demo" and repr(run).startswith("BUNDLED DATA")


def test_with_data_mnist_runs(mnist, monkeypatch):
    monkeypatch.setenv("RDREPRO_DATA", str(mnist[0]))
    runs = novelty.resolve_classes({"normal_class": 8, "weights": "random"})
    assert [run.config.dataset for run in runs.values()] == ["mnist"]
    assert not runs["8"].banner and runs["8"].rows_dir.name == "novelty_official"


def test_a_named_root_without_data_is_no_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    given = {"normal_class": 8, "weights": "random", "data_root": str(tmp_path)}
    run = novelty.resolve_classes(given)["8"]
    with pytest.raises(ConnectionError, match="mnist is not in"):
        run.dataset("train")


def test_a_root_of_the_environment_without_data_is_no_demo(tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_DATA", str(tmp_path / "nowhere"))
    runs = novelty.resolve_classes({"normal_class": 8, "weights": "random"})
    assert runs["8"].config.dataset == "mnist"


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
