"""How the settings of `novelty_tuned` were chosen, on one class of each of three data sets.

A switch is the change of one setting of `novelty_official`. Switches were tried one at a time, on
training images only. A switch was taken if it helped on every class whose settings it changes. More
epochs helped too but were not taken: because the study ran on two cores, the preset trains for
fewer steps than `novelty_official`.
"""

import numpy as np
import pandas as pd

from rdrepro.presets import CHOSEN_CLASSES
from rdrepro.registry import DATASETS
from rdrepro.study.formats import interval
from rdrepro.study.novelty import clean_rows
from rdrepro.study.stats import summary

GRID_STUDY = "novelty-grid"
# Each line changes one setting of `novelty_official`. Runs train on a thousand images.
GRID_EPOCHS = 10
GRID = {
    "novelty_official": {},
    "64 pixels": {"image_size": 64},
    "normalised": {"normalise": "imagenet"},
    "not normalised": {"normalise": "none"},
    "no smoothing": {"sigma": 0.0},
    "loss of each location (Eq. 2)": {"loss_reduction": "pointwise"},
    "twice the epochs": {"epochs": 2 * GRID_EPOCHS},
    "stem without max-pool": {"stem": "no_maxpool"},
}
SWITCHES = ("image_size", "normalise", "sigma", "loss_reduction", "epochs", "stem")


def chosen_class(dataset: str) -> str:
    """The name of the class of a data set by which the settings were chosen."""
    return DATASETS[dataset].categories[CHOSEN_CLASSES[dataset]]


def grid_effects(runs: pd.DataFrame) -> pd.DataFrame:
    """The effect of each switch on each class, in points.

    Columns: switch, dataset, seed, effect, and image_auroc in percent. Each run is paired with that
    of `novelty_official` on the same class and seed. Where a switch changes none of the official
    settings of a data set, it has no line.
    """
    rows = clean_rows(runs, GRID_STUDY)
    lines = []
    for (name, seed), group in rows.groupby(["dataset", "seed"]) if len(rows) else ():
        official = _row_of(group, {})
        for switch, changes in GRID.items():
            row = _row_of(group, changes)
            counts = switch == "novelty_official" or not _is_own(name, changes)
            if counts and official is not None and row is not None:
                effect = 100 * (row["image_auroc"] - official["image_auroc"])
                line = {"switch": switch, "dataset": name, "seed": seed, "effect": effect}
                lines.append(line | {"image_auroc": 100 * row["image_auroc"]})
    return pd.DataFrame(lines)


def chosen_switches(runs: pd.DataFrame) -> list[str]:
    """The switches that help, on average over seeds, on every class whose settings they change."""
    effects = grid_effects(runs)
    if effects.empty:
        return []
    means = effects.groupby(["switch", "dataset"])["effect"].mean()
    return [
        switch
        for switch, changes in GRID.items()
        if changes
        and all(means.get((switch, n), 0) > 0 for n in CHOSEN_CLASSES if not _is_own(n, changes))
    ]


def _usual(name: str) -> dict[str, object]:
    """The values that `novelty_official` has for a data set in the fields of the grid."""
    usual = {"image_size": 32, "sigma": 4.0, "loss_reduction": "flatten", "stem": "original"}
    own = "imagenet" if DATASETS[name].normalised else "none"
    return usual | {"normalise": own, "epochs": GRID_EPOCHS}


def _is_own(name: str, changes: dict[str, object]) -> bool:
    """Whether a switch leaves the official settings of a data set unchanged."""
    return changes.items() <= _usual(name).items()


def _row_of(group: pd.DataFrame, changes: dict[str, object]) -> pd.Series | None:
    """The newest row with these changes; None if there is none.

    group: the rows of one data set and seed.
    """
    wanted = _usual(group.iloc[0]["dataset"]) | changes
    fits = group[np.logical_and.reduce([group[k] == wanted[k] for k in SWITCHES])]
    return fits.iloc[-1] if len(fits) else None


def grid_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The effect of each switch on validation images in points, by class and averaged.

    The first line is `novelty_official` itself, in percent. Intervals are 95 % t-intervals over
    pairs of class and seed.
    """
    effects = grid_effects(runs)
    lines = []
    for switch in GRID if len(effects) else ():
        group = effects[effects["switch"] == switch]
        column = "image_auroc" if switch == "novelty_official" else "effect"
        s = summary(group[column])
        line = {"switch": switch}
        for name in CHOSEN_CLASSES:
            mean = group[group["dataset"] == name][column].mean()
            line[f"{DATASETS[name].title}, {chosen_class(name)}"] = mean
        line |= {"average": s.mean, "95 % interval": interval(s.low, s.high, 2), "pairs": s.n}
        lines.append(line)
    return pd.DataFrame(lines)


# The entry of DEVIATIONS.md to which each switch of the grid belongs.
ENTRIES = {
    "64 pixels": ("D10", "`image_size=64`"),
    "stem without max-pool": ("D10", "`stem=no_maxpool`"),
    "normalised": ("D9", "`normalise=imagenet`"),
    "not normalised": ("D9", "`normalise=none`"),
    "no smoothing": ("D12", "`sigma=0`"),
    "loss of each location (Eq. 2)": ("D1", "`loss_reduction=pointwise`"),
}


def grid_deviations(runs: pd.DataFrame) -> pd.DataFrame:
    """The effects of the switches by data set, in the form of `deviations.effects`."""
    effects = grid_effects(runs)
    lines = []
    for (switch, name), group in effects.groupby(["switch", "dataset"]) if len(effects) else ():
        if switch not in ENTRIES:
            continue
        entry, setting = ENTRIES[switch]
        s, base = summary(group["effect"]), (group["image_auroc"] - group["effect"]).mean()
        data = f"{name} {chosen_class(name)} (validation images), resnet18, "
        line = {"entry": entry, "switch": setting, "data": f"{data}{GRID_EPOCHS} epochs"}
        line |= {"metric": "image_auroc", "seeds": s.n, "base": base}
        lines.append(line | {"mean": s.mean, "low": s.low, "high": s.high})
    return pd.DataFrame(lines)
