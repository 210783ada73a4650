"""Table 4, one-class novelty detection: a run per class, and averages over classes from rows."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdrepro import paths, registry
from rdrepro.backbones import default_weights
from rdrepro.config import parse_overrides
from rdrepro.presets import AUTO, CHOSEN_CLASSES, PRESETS
from rdrepro.progress import say
from rdrepro.registry import DATASETS, check_dataset
from rdrepro.runs.notebook import resolve_notebook
from rdrepro.runs.rows import read_scores
from rdrepro.study.formats import interval
from rdrepro.study.printed import Cell, paper_cells, printed_values
from rdrepro.study.selection import by_protocol, clean, complete, newest
from rdrepro.study.stats import average_interval, prediction_intervals, summary
from rdrepro.study.tiers import tier_of
from rdrepro.study.wording import network

if TYPE_CHECKING:
    from rdrepro.runs.execute import Outcome
    from rdrepro.runs.run import Run

DEMO = "novelty_demo"  # the preset that needs no download
STUDY, CURVES_STUDY = "novelty", "novelty-curves"
ALL_CLASSES = -1  # as the parameter `normal_class`: every class in turn
OWN = {
    "dataset": "it is a parameter of the notebook, -p dataset NAME",
    "normal_class": "it is a parameter of the notebook, -p normal_class NUMBER",
    "method": "the notebook trains Reverse Distillation",
}


def resolve_classes(namespace: dict[str, Any]) -> dict[str, "Run"]:
    """The runs of 03_novelty's parameters by class: one class, or all for normal_class=-1.

    dataset: by default MNIST if it is on disk or one of its presets is given; otherwise
    scikit-learn's digits. Without a named data set, preset or teacher nothing is downloaded: if
    the weights of ResNet-18 are not on disk, the preset is `novelty_demo`. ValueError for a data
    set that is neither one of Table 4's nor digits, or if the overrides name a field of OWN;
    FileNotFoundError if a data root without MNIST is named, but no data set.
    """
    dataset = namespace.get("dataset")
    if dataset is None:
        dataset = _usual_dataset(namespace.get("preset"), namespace.get("data_root"))
        namespace = namespace | _usual_preset(dataset, namespace)
    check_dataset(dataset, registry.ONE_CLASS)
    wanted = namespace.get("normal_class")
    everyone = wanted in (None, ALL_CLASSES, str(ALL_CLASSES))
    numbers = range(len(DATASETS[dataset].categories)) if everyone else [wanted]
    for name in parse_overrides(str(namespace.get("overrides") or "")):
        if name in OWN:
            raise ValueError(f"overrides: {name} cannot be given here; {OWN[name]}")
    given = namespace | {"dataset": dataset, "normal_class": None}
    runs = [resolve_notebook(given, normal_class=n) for n in numbers]
    return {_class_title(run.config.category): run for run in runs}


def _class_title(category: str) -> str:
    """A class in words: a numeral is called a digit."""
    return f"digit {category}" if category.isdigit() else category.replace("_", " ")


def _usual_dataset(preset: str | None, data_root: str | None) -> str:
    if preset == DEMO:
        return "digits"
    if preset in ("novelty_official", "novelty_tuned"):
        return "mnist"
    root = paths.existing(data_root) if data_root else paths.data_dir()
    folder = DATASETS["mnist"].folders[0]
    if root and (root / folder).is_dir():
        return "mnist"
    if data_root:
        raise FileNotFoundError(
            f"data_root={data_root!r} has no folder {folder}; name a data set that is there, as in "
            "-p dataset cifar10, or leave data_root out to run on scikit-learn's digits"
        )
    return "digits"


def _usual_preset(dataset: str, namespace: Mapping[str, Any]) -> dict[str, str]:
    """The preset to change to if ResNet-18's weights would have to be downloaded for MNIST."""
    overrides = parse_overrides(str(namespace.get("overrides") or ""))
    chosen = {"backbone", "weights"} & set(overrides)
    chosen |= {n for n in ("backbone", "weights") if namespace.get(n) is not None}
    if dataset != "mnist" or namespace.get("preset") not in (None, AUTO) or chosen:
        return {}
    teacher = PRESETS["novelty_official"]["backbone"]
    if _weights_on_disk(teacher):
        return {}
    say(
        f"The weights of {teacher} are not on disk, so that preset={DEMO} runs, whose teacher "
        "comes with the package; preset=novelty_official downloads them."
    )
    return {"preset": DEMO}


def _weights_on_disk(backbone: str) -> bool:
    """Whether the usual weights of a torchvision network are there without a download."""
    import torch
    import torchvision

    url = torchvision.models.get_model_weights(backbone)[default_weights(backbone)].url
    folders = (paths.weights_dir(), Path(torch.hub.get_dir()) / "checkpoints")
    return any((folder / url.rsplit("/", 1)[-1]).is_file() for folder in folders if folder)


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


def _printed_cell(dataset: str) -> Cell:
    """The cell of Table 4 for a data set and the paper's own method."""
    cells = paper_cells("rd4ad", "4")
    return next(c for c in cells if (c.dataset, c.method) == (dataset, "Ours"))


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
    """The result of `averages` with intervals as text, to two decimals."""
    return with_texts(averages(runs, folder))


def averages(runs: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """Table 4's averages over the classes by data set and protocol, in percent.

    folder: the folder given to `load_runs`.

    A repetition is a seed that has every class. If there is none, there is no average. "over seeds"
    is the 95 % t-interval of the mean over repetitions. "over images" is the interval of the newest
    repetition's average, over its test images. Both are pairs (low, high). "delta" is ours minus
    printed. "without the chosen class" is the average without the class by which settings were
    chosen. "tier" is how near the runs come to the printed protocol. "remark" says whether the
    settings of the preset were chosen by validation.
    """
    return pd.DataFrame([_average_line(group, folder) for group in protocols(runs)])


def with_texts(averages: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """The result of `averages` with its intervals as text. digits: their decimals."""
    names = [name for name in ("over seeds", "over images") if name in averages]
    texts = {name: [interval(*pair, digits) for pair in averages[name]] for name in names}
    return averages.assign(**texts)


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
        "backbone": network(first["backbone"]),
        "px": first["image_size"],
        "epochs": first["epochs"],
        "steps": f"{np.mean(steps):.0f}",
        "classes": f"{group['normal_class'].nunique()}/{classes}",
        "seeds": s.n,
        "ours": s.mean,
        "over seeds": (s.low, s.high),
        "over images": tuple(100 * x for x in images),
        "maximum": 100 * whole["image_auroc_max"].mean(),
        "without the chosen class": 100 * others["image_auroc"].mean(),
        "printed": printed,
        "delta": s.mean - printed,
        "tier": tier_of(first, _printed_cell(name)),
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


def predictions_table(
    runs: pd.DataFrame, preset: str = "novelty_official", digits: int = 2
) -> pd.DataFrame:
    """The image AUROC of each class in percent, and where that of one more seed should lie.

    For each data set, the protocol with the given preset and the most rows is taken. The last
    column is the 95 % prediction interval of `stats.prediction_intervals`. digits: its decimals.
    """
    largest: dict[str, pd.DataFrame] = {}
    for group in protocols(runs):
        first = group.iloc[-1]
        if first["provenance.preset"] == preset and len(group) > len(
            largest.get(first["dataset"], ())
        ):
            largest[first["dataset"]] = group
    parts = [_class_lines(name, group, digits) for name, group in largest.items()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _class_lines(name: str, group: pd.DataFrame, digits: int) -> pd.DataFrame:
    values = group.pivot_table(index="normal_class", columns="seed", values="image_auroc")
    bounds = 100 * prediction_intervals(values)
    part = pd.DataFrame({"data": registry.title_of(name), "class": values.index.astype(int)})
    names = [DATASETS[name].categories[n] for n in part["class"]]
    part["name"] = [n.replace("_", " ") for n in names]
    part["seeds"] = values.notna().sum(axis=1).to_numpy()
    part["image AUROC"] = 100 * values.mean(axis=1).to_numpy()
    texts = [interval(*x, digits) for x in bounds[["low", "high"]].to_numpy(float)]
    return part.assign(**{"one more seed": texts})
