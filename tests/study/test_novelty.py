"""Table 4: a run per class, and the averages over classes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torchvision
from builders import load, make_row

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


# --- averages from rows


OFFICIAL = {"dataset": "mnist", "image_size": 32, "epochs": 5, "score": "sum"}
OFFICIAL |= {"backbone": "resnet18", "oce_width": 64, "normalise": "none"}


def class_row(number, seed, auroc, preset="novelty_official", **changes):
    """A row of a class of MNIST, with the scores of twenty test images."""
    scores = np.random.default_rng([number, seed]).random(20).round(6)
    labels = np.repeat([0, 1], 10)
    return make_row(
        **OFFICIAL | {"normal_class": number, "category": str(number), "seed": seed} | changes,
        metrics={"image_auroc": auroc, "image_auroc_sum": auroc, "image_auroc_max": auroc - 0.1},
        scores={
            "path": [f"test/{i:05d}" for i in range(20)],
            "label": labels.tolist(),
            "score": (scores + labels).tolist(),
        },
        provenance={"preset": preset},
    )


def test_averages_are_over_the_classes_of_seeds_that_have_them_all(tmp_path):
    rows = [class_row(n, 1, 0.90 + n / 100) for n in range(10)]
    rows += [class_row(n, 2, 0.92 + n / 100) for n in range(7)] + [class_row(5, 3, 0.1)]
    runs = load(rows, tmp_path, novelty.STUDY)
    line = novelty.averages_table(runs, tmp_path).iloc[0]
    assert (line["seeds"], line["classes"]) == (1, "10/10")
    assert line["ours"] == pytest.approx(94.5)
    assert line["maximum"] == pytest.approx(84.5)
    assert line["printed"] == novelty.printed_average("mnist") == 99.3
    assert line["delta"] == pytest.approx(94.5 - 99.3)
    others = [90 + n for n in range(10) if n != 5]  # the class that settings were chosen by
    assert line["without the chosen class"] == pytest.approx(np.mean(others))
    low, high = map(float, line["over images"].strip("[]").split(","))
    assert low < high <= 100


def test_rows_of_other_protocols_are_lines_of_their_own(tmp_path):
    rows = [class_row(n, 1, 0.9) for n in range(10)]
    rows += [class_row(n, 1, 0.8, image_size=64) for n in range(3)]
    rows += [class_row(0, 1, 0.7, split="validation")]  # in the table of the grid
    table = novelty.averages_table(load(rows, tmp_path, novelty.STUDY), tmp_path)
    assert dict(zip(table["px"], table["classes"], strict=True)) == {32: "10/10", 64: "3/10"}
    assert table.set_index("px").loc[64, "seeds"] == 0


def test_each_class_has_an_interval_for_one_more_seed(tmp_path):
    rows = [class_row(n, s, 0.9 + n / 100 + s / 1000) for n in range(3) for s in (1, 2, 3)]
    table = novelty.predictions_table(load(rows, tmp_path, novelty.STUDY))
    assert table["class"].tolist() == [0, 1, 2] and set(table["seeds"]) == {3}
    assert table["image AUROC"].tolist() == pytest.approx([90.2, 91.2, 92.2])
    for value, text in zip(table["image AUROC"], table["one more seed"], strict=True):
        low, high = map(float, text.strip("[]").split(","))
        assert low < value < high
