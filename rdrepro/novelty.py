"""One-class novelty detection (Table 4): a class a run, its table, and the choice of settings."""

import math
import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from rdrepro import paths
from rdrepro.cells import paper_cells
from rdrepro.config import parse_overrides
from rdrepro.data.novelty import CLASSES, check_dataset, is_there
from rdrepro.notebook import resolve_notebook
from rdrepro.resolve import Run
from rdrepro.results import Outcome

ALL_CLASSES = -1  # as normal_class: every class in turn
OWN = {
    "dataset": "it is a parameter of the notebook, -p dataset NAME",
    "normal_class": "it is a parameter of the notebook, -p normal_class NUMBER",
    "method": "the notebook trains Reverse Distillation",
}


def resolve_classes(namespace: dict[str, Any]) -> dict[str, Run]:
    """Resolve 03_novelty's parameters to a run per class: one, or all for normal_class=-1.

    Without a data set: MNIST where it is on disk, or where a data root was named; else
    scikit-learn's digits. ValueError for a data set that is none of Table 4's or digits.
    """
    dataset = namespace.get("dataset")
    if dataset is None:
        dataset = _usual_dataset(namespace.get("preset"), namespace.get("data_root"))
    check_dataset(dataset)
    wanted = namespace.get("normal_class")
    everyone = wanted in (None, ALL_CLASSES, str(ALL_CLASSES))
    numbers = range(len(CLASSES[dataset])) if everyone else [wanted]
    for name in parse_overrides(str(namespace.get("overrides") or "")):
        if name in OWN:
            raise ValueError(f"overrides: {name} cannot be given here; {OWN[name]}")
    given = namespace | {"dataset": dataset, "normal_class": None}
    runs = [resolve_notebook(given, normal_class=n) for n in numbers]
    return {run.config.category: run for run in runs}


def _usual_dataset(preset: str | None, data_root: str | None) -> str:
    if preset == "novelty_demo":
        return "digits"
    root = paths.data_dir() or paths.ROOT / "data"
    named = data_root or os.environ.get("RDREPRO_DATA")
    if named or preset in ("novelty_official", "novelty_tuned") or is_there(root, "mnist"):
        return "mnist"
    return "digits"


def gradient_steps(row: Mapping[str, Any]) -> int:
    """Return how many steps a run's training took, from a row or a line of `load_runs`."""
    config, images = row.get("config", row), row.get("counts.train")
    images = row["counts"]["train"] if images is None else images
    return int(config["epochs"]) * math.ceil(images / config["batch_size"])


def classes_table(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return image AUROC by normal class in percent, of the map's sum and maximum, and averages.

    The last line is the average over the classes that ran; Table 4 prints it alone.
    """
    lines = {}
    for name, outcome in outcomes.items():
        metrics = outcome.row["metrics"]
        lines[name] = {
            "sum (Sec. 4.2)": 100 * metrics["image_auroc_sum"],
            "maximum": 100 * metrics["image_auroc_max"],
            "training images": outcome.row["counts"]["train"],
            "gradient steps": gradient_steps(outcome.row),
            "last loss": outcome.history["loss"].iloc[-1],
        }
    table = pd.DataFrame.from_dict(lines, orient="index", dtype=float)
    table.loc["average"] = table.mean()
    whole = ["training images", "gradient steps"]
    return table.round(dict.fromkeys(whole, 0)).astype(dict.fromkeys(whole, int)).round(4)


def hardest(outcomes: Mapping[str, Outcome]) -> str:
    """Return the normal class whose image AUROC is lowest."""
    return min(outcomes, key=lambda name: outcomes[name].row["metrics"]["image_auroc"])


def printed_average(dataset: str) -> float | None:
    """Return Table 4's AUROC of a data set in percent; None where it prints none."""
    cells = [
        c.value for c in paper_cells("rd4ad", "4") if c.method == "Ours" and c.dataset == dataset
    ]
    return cells[0] if cells else None


def beside_average(table: pd.DataFrame, run: Run) -> str:
    """Return a sentence: the average of `classes_table`, and what Table 4 prints."""
    dataset, average = run.config.dataset, table.loc["average", "sum (Sec. 4.2)"]
    classes, printed = len(table) - 1, printed_average(dataset)
    said = f"Average over {classes} of {len(CLASSES[dataset])} classes: {average:.2f} %."
    if printed is None:
        return f"{said} No printed number belongs to {dataset}."
    if classes < len(CLASSES[dataset]):
        return f"{said} Table 4 prints an average over all: {printed} %."
    return f"{said} Table 4 prints {printed} %: {average - printed:+.2f} points; one seed."
