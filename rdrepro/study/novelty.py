"""Table 4, one-class novelty detection: a run per class, and averages over classes from rows."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdrepro import paths, registry
from rdrepro.config import parse_overrides
from rdrepro.presets import CHOSEN_CLASSES
from rdrepro.registry import DATASETS, check_dataset
from rdrepro.runs.notebook import resolve_notebook
from rdrepro.runs.rows import read_scores
from rdrepro.study.formats import interval
from rdrepro.study.printed import printed_values
from rdrepro.study.selection import by_protocol, clean, complete, newest
from rdrepro.study.stats import average_interval, prediction_intervals, summary

if TYPE_CHECKING:
    from rdrepro.runs.execute import Outcome
    from rdrepro.runs.run import Run

STUDY, CURVES_STUDY = "novelty", "novelty-curves"
ALL_CLASSES = -1  # as the parameter `normal_class`: every class in turn
OWN = {
    "dataset": "it is a parameter of the notebook, -p dataset NAME",
    "normal_class": "it is a parameter of the notebook, -p normal_class NUMBER",
    "method": "the notebook trains Reverse Distillation",
}


def resolve_classes(namespace: dict[str, Any]) -> dict[str, "Run"]:
    """The runs of 03_novelty's parameters by class: one class, or all for normal_class=-1.

    dataset: by default MNIST if it is on disk, or if a data root or one of its presets is given;
    otherwise scikit-learn's digits. ValueError for a data set that is neither one of Table 4's nor
    digits, or if the overrides name a field of OWN.
    """
    dataset = namespace.get("dataset")
    if dataset is None:
        dataset = _usual_dataset(namespace.get("preset"), namespace.get("data_root"))
    check_dataset(dataset, registry.ONE_CLASS)
    wanted = namespace.get("normal_class")
    everyone = wanted in (None, ALL_CLASSES, str(ALL_CLASSES))
    numbers = range(len(DATASETS[dataset].categories)) if everyone else [wanted]
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
    if (
        named
        or preset in ("novelty_official", "novelty_tuned")
        or (root / DATASETS["mnist"].folders[0]).is_dir()
    ):
        return "mnist"
    return "digits"


def gradient_steps(row: Mapping[str, Any]) -> int:
    """The number of gradient steps in a run's training.

    row: a result row, or a line of `load_runs`.
    """
    config, images = row.get("config", row), row.get("counts.train")
    images = row["counts"]["train"] if images is None else images
    return int(config["epochs"]) * math.ceil(images / config["batch_size"])


def classes_table(outcomes: Mapping[str, "Outcome"]) -> pd.DataFrame:
    """The image AUROC of each normal class in percent, by the sum and the maximum of the map.

    The last line is the average over the classes that ran. Table 4 prints only this average.
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


def hardest(outcomes: Mapping[str, "Outcome"]) -> str:
    """The normal class with the lowest image AUROC."""
    return min(outcomes, key=lambda name: outcomes[name].row["metrics"]["image_auroc"])


def printed_average(dataset: str) -> float | None:
    """The AUROC that Table 4 prints for a data set, in percent; None if it prints none."""
    return printed_values("rd4ad", "4", "dataset", method="Ours").get(dataset)


def beside_average(table: pd.DataFrame, run: "Run") -> str:
    """A sentence with the average of `classes_table` and the value that Table 4 prints."""
    dataset, average = run.config.dataset, table.loc["average", "sum (Sec. 4.2)"]
    classes, printed = len(table) - 1, printed_average(dataset)
    said = (
        f"Average over {classes} of {len(DATASETS[dataset].categories)} classes: {average:.2f} %."
    )
    if printed is None:
        return f"{said} No printed number belongs to {dataset}."
    if classes < len(DATASETS[dataset].categories):
        return f"{said} Table 4 prints an average over all: {printed} %."
    return f"{said} Table 4 prints {printed} %: {average - printed:+.2f} points; one seed."


def protocols(runs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield a study's rows on Table 4's data sets by protocol, the newest of each class and seed.

    Rows of one protocol have the same preset name and agree in every setting that affects a result,
    except the class. Rows on validation images are left out; `novelty_choice` has tables of them.
    """
    rows = clean_rows(runs, STUDY)
    if rows.empty:
        return
    rows = rows[rows["dataset"].map(printed_average).notna() & (rows["split"] == "official")]
    for group in by_protocol(rows, ["provenance.preset"], ["normal_class", "fold"]):
        yield newest(group, "normal_class", "seed")


def clean_rows(runs: pd.DataFrame, study: str) -> pd.DataFrame:
    """The clean rows of a study, the newest of each preset and configuration."""
    return newest(clean(runs, study), "provenance.preset", "provenance.eval_key")


def averages_table(runs: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """Table 4's averages over the classes by data set and protocol, in percent.

    folder: the folder given to `load_runs`.

    A repetition is a seed that has every class. If there is none, there is no average. "over seeds"
    is the 95 % t-interval of the mean over repetitions. "over images" is the interval of the newest
    repetition's average, over its test images. "delta" is ours minus printed. "without the chosen
    class" is the average without the class by which settings were chosen. "remark" says whether the
    settings of the preset were chosen by validation.
    """
    return pd.DataFrame([_average_line(group, folder) for group in protocols(runs)])


def _average_line(group: pd.DataFrame, folder: Path | None) -> dict[str, object]:
    first = group.iloc[-1]
    name, classes = first["dataset"], len(DATASETS[first["dataset"]].categories)
    whole = complete(group, "seed", "normal_class", classes)
    others = whole[whole["normal_class"] != CHOSEN_CLASSES.get(name)]
    s = summary(100 * whole.groupby("seed")["image_auroc"].mean())
    images = _over_images(whole, folder) if len(whole) else (np.nan, np.nan)
    printed, steps = printed_average(name), [gradient_steps(r) for _, r in group.iterrows()]
    selection = first.get("provenance.selection")
    return {
        "data": registry.title_of(name),
        "preset": first["provenance.preset"],
        "backbone": first["backbone"],
        "px": first["image_size"],
        "epochs": first["epochs"],
        "steps": f"{np.mean(steps):.0f}",
        "classes": f"{group['normal_class'].nunique()}/{classes}",
        "seeds": s.n,
        "ours": s.mean,
        "over seeds": interval(s.low, s.high, 2),
        "over images": interval(*(100 * x for x in images), 2),
        "maximum": 100 * whole["image_auroc_max"].mean(),
        "without the chosen class": 100 * others["image_auroc"].mean(),
        "printed": printed,
        "delta": s.mean - printed,
        "remark": selection if isinstance(selection, str) else "",
    }


def _over_images(whole: pd.DataFrame, folder: Path | None) -> tuple[float, float]:
    """The interval over images of the newest seed's average, as fractions.

    NaN if its classes were tested on different images.
    """
    last = whole[whole["seed"] == whole.iloc[-1]["seed"]]
    kept = [read_scores(row, folder) for _, row in last.iterrows()]
    if any(k["path"] != kept[0]["path"] for k in kept):
        return np.nan, np.nan
    return average_interval([k["score"] for k in kept], [k["label"] for k in kept])


def predictions_table(runs: pd.DataFrame, preset: str = "novelty_official") -> pd.DataFrame:
    """The image AUROC of each class in percent, and where that of one more seed should lie.

    For each data set, the protocol with the given preset and the most rows is taken. The last
    column is the 95 % prediction interval of `stats.prediction_intervals`.
    """
    largest: dict[str, pd.DataFrame] = {}
    for group in protocols(runs):
        first = group.iloc[-1]
        if first["provenance.preset"] == preset and len(group) > len(
            largest.get(first["dataset"], ())
        ):
            largest[first["dataset"]] = group
    parts = [_class_lines(name, group) for name, group in largest.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _class_lines(name: str, group: pd.DataFrame) -> pd.DataFrame:
    values = group.pivot_table(index="normal_class", columns="seed", values="image_auroc")
    bounds = 100 * prediction_intervals(values)
    part = pd.DataFrame({"data": registry.title_of(name), "class": values.index.astype(int)})
    part["name"] = [DATASETS[name].categories[n] for n in part["class"]]
    part["seeds"] = values.notna().sum(axis=1).to_numpy()
    part["image AUROC"] = 100 * values.mean(axis=1).to_numpy()
    texts = [interval(*x, 2) for x in bounds[["low", "high"]].to_numpy(float)]
    return part.assign(**{"one more seed": texts})
