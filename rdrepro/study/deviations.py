"""The register of DEVIATIONS.md: where paper and code differ, and the effect of each entry."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.metric_names import BY_NAME
from rdrepro.study.medical_tables import habit_deviations
from rdrepro.study.novelty_choice import grid_deviations
from rdrepro.study.selection import clean, newest
from rdrepro.study.stats import summary

# The switches whose effect is measured: by entry of DEVIATIONS.md, a setting and its other value.
SWITCHES: dict[str, tuple[str, Any]] = {
    "D1": ("loss_reduction", "pointwise"),
    "D2": ("mff_projection", True),
    "D14": ("align_corners", False),
    "D15": ("map_combine", "product"),
    "D18": ("label_source", "mask"),
    "D19": ("mask_threshold", 0.0),
    "E4": ("teacher_bn", "train"),
    "O1": ("precision", "float32"),
}
FORMULA = "D16"  # the official formula instead of the exact one, on the same maps
EFFECT_METRICS = {n: BY_NAME[n].title for n in ("image_auroc", "pixel_auroc", "pixel_aupro")}
SATURATED = 99.0  # percent; above it an interval that contains 0 says nothing about harder data
REGISTER_PARTS = {"register": "D", "extension": "E", "choices": "O"}
REGISTER_TITLES = {
    "register": "The paper and the authors' code",
    "extension": "The extension's report and its code",
    "choices": "Our own choices",
}
REGISTER = Path(__file__).with_suffix(".csv")
PROTOCOL = ["dataset", "backbone", "epochs"]


def measured_effects(runs: pd.DataFrame) -> pd.DataFrame:
    """The measured effects of all switches, in the form of `effects`.

    They come from the study "deviations", from the settings that were tried for novelty detection
    (`novelty_choice`), and from what the extension does differently (`medical.HABITS`).
    """
    if runs.empty:
        return runs
    own = effects(runs[runs["study"] == "deviations"])
    found = [t for t in (own, grid_deviations(runs), habit_deviations(runs)) if len(t)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def effects(runs: pd.DataFrame) -> pd.DataFrame:
    """The effect of each switch in points, one line per entry, data and metric.

    runs: rows that differ in one switch at a time. They are paired by category and seed, and
    categories are averaged before seeds are compared. Columns: entry, switch, data, metric, seeds,
    base (percent), and mean, low and high (95 % t-interval).
    """
    lines = []
    runs = clean(runs)
    for protocol, group in runs.groupby(PROTOCOL) if len(runs) else ():
        # A switch whose field does not vary was not measured on these data.
        varied = {k: v for k, v in SWITCHES.items() if group[v[0]].nunique() > 1}
        base = _with(group, varied, None)
        for entry, (field, value) in varied.items():
            found = {"entry": entry, "switch": f"`{field}={value}`"}
            lines += _lines(found, protocol, base, _with(group, varied, entry))
        official = base.assign(pixel_aupro=base["pixel_aupro_official"])
        found = {"entry": FORMULA, "switch": "`pixel_aupro_official`"}
        lines += _lines(found, protocol, base, official, ["pixel_aupro"])
    return pd.DataFrame(lines)


def _lines(
    found: dict, protocol: tuple, base: pd.DataFrame, changed: pd.DataFrame, metrics: list = ()
) -> list[dict[str, Any]]:
    metrics = list(metrics or EFFECT_METRICS)
    pairs = ["category", "seed"]
    base, changed = (newest(t, *pairs).set_index(pairs)[metrics] for t in (base, changed))
    both = base.index.intersection(changed.index)
    differences = 100 * (changed - base).loc[both].groupby("seed").mean()
    dataset, backbone, epochs = protocol
    categories = both.get_level_values("category").unique()
    name = categories[0] if len(categories) == 1 else f"{len(categories)} categories"
    found |= {"data": f"{dataset} {name}, {backbone}, {epochs} epochs"}
    lines = []
    for metric in metrics:
        s = summary(differences[metric])
        numbers = {"seeds": s.n, "base": 100 * base.loc[both, metric].mean()}
        numbers |= {"mean": s.mean, "low": s.low, "high": s.high}
        lines.append(found | {"metric": metric} | numbers)
    return lines


def _with(
    runs: pd.DataFrame, switches: dict[str, tuple[str, Any]], entry: str | None
) -> pd.DataFrame:
    """The rows in which this entry's switch, and no other, has its other value.

    entry: None for the rows in which no switch has its other value.
    """
    chosen = pd.Series(True, index=runs.index)
    for name, (field, value) in switches.items():
        chosen &= (runs[field] == value) == (name == entry)
    return runs[chosen]


def effect_text(line: pd.Series) -> str:
    """An effect as text for the register."""
    if np.isnan(line["low"]):
        return "not measured yet" if np.isnan(line["mean"]) else f"{line['mean']:+.2f} (one run)"
    if line["low"] <= 0 <= line["high"] and line["base"] >= SATURATED and line["mean"]:
        return "not resolvable"
    if np.isclose(line["low"], line["high"], atol=5e-3):
        return f"{line['mean']:+.2f} (all alike)"
    return f"{line['mean']:+.2f} [{line['low']:+.2f}, {line['high']:+.2f}]"


def effects_table(measured: pd.DataFrame) -> pd.DataFrame:
    """The measured effects, with a column for each metric."""
    lines = measured.assign(text=measured.apply(effect_text, axis="columns"))
    keys = ["entry", "switch", "data", "seeds"]
    table = lines.pivot_table(index=keys, columns="metric", values="text", aggfunc="first")
    table = table.reindex(columns=list(EFFECT_METRICS), fill_value="").fillna("")
    table = table.rename(columns=EFFECT_METRICS)
    table = table.reset_index().rename_axis(columns=None)
    return table.sort_values(["entry", "data"], key=_entry_order, ignore_index=True)


def _entry_order(column: pd.Series) -> pd.Series:
    """Entries in a form that sorts D2 before D14."""
    return column.str.replace(r"^([DEO])(\d+)$", lambda m: f"{m[1]}{int(m[2]):03d}", regex=True)


def register(measured: pd.DataFrame, part: str) -> pd.DataFrame:
    """One part of the register (see REGISTER_PARTS), with the measured effects of its entries."""
    table = pd.read_csv(REGISTER, dtype=str).fillna("")
    table = table[table["id"].str.startswith(REGISTER_PARTS[part])].copy()
    table["effect, in points"] = [
        _stated(measured, entry, otherwise)
        for entry, otherwise in zip(table["id"], table.pop("effect"), strict=True)
    ]
    return table.loc[:, (table != "").any()].reset_index(drop=True)


def _stated(measured: pd.DataFrame, entry: str, otherwise: str) -> str:
    """The effects of an entry as text, by data; the register's own text if nothing was measured."""
    lines = measured[measured["entry"] == entry] if len(measured) else measured
    stated = []
    several = len(lines) > 0 and lines["switch"].nunique() > 1
    for (data, switch), group in lines.groupby(["data", "switch"]) if len(lines) else ():
        data = f"{switch}, {data}" if several else data
        texts = [f"{EFFECT_METRICS[x['metric']]} {effect_text(x)}" for _, x in group.iterrows()]
        moved = group[["mean", "low", "high"]].to_numpy().any()
        stated.append(f"{data}: {', '.join(texts) if moved else 'no change'}")
    return "; ".join(stated) or otherwise
