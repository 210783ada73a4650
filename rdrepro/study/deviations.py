"""The register of DEVIATIONS.md: where paper and code differ, and what each entry changes."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.metric_names import BY_NAME
from rdrepro.study.formats import interval, markdown
from rdrepro.study.medical_tables import habit_deviations
from rdrepro.study.novelty_choice import grid_deviations
from rdrepro.study.selection import clean, newest
from rdrepro.study.stats import summary
from rdrepro.study.titles import data_title, readable
from rdrepro.study.wording import network

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
    "O6": ("deterministic", False),
}
STUDIES = ("deviations", "deviations-transistor")  # whose runs differ in one switch at a time
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
MEASURED = "measured"  # the register's effect of an entry that `measured_effects` has
ENTRY = re.compile(r"[DEO]\d+")


def measured_effects(runs: pd.DataFrame) -> pd.DataFrame:
    """The measured effects of all switches, in the form of `effects`.

    They come from STUDIES, from the settings that were tried for novelty detection
    (`novelty_choice`), and from what the extension does differently (`medical.HABITS`).
    """
    if runs.empty:
        return runs
    tried = runs[runs["study"].isin(STUDIES)]
    meant = tried["deterministic"] | tried["provenance.device"].ne("cpu")  # O6 is a GPU's switch
    own = effects(tried[meant])
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
            found = {"entry": entry, "switch": f"`{field}={_setting(value)}`"}
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
    tested = data_title(dataset, categories)
    found |= {"data": f"{tested}, {network(backbone)}, {epochs} epochs"}
    lines = []
    for metric in metrics:
        s = summary(differences[metric])
        numbers = {"seeds": s.n, "base": 100 * base.loc[both, metric].mean()}
        numbers |= {"mean": s.mean, "low": s.low, "high": s.high}
        lines.append(found | {"metric": metric} | numbers)
    return lines


def _setting(value: Any) -> str:
    """A value as `-p` takes it."""
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


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


def effect_text(line: pd.Series) -> tuple[str, str]:
    """An effect and its 95 % interval as text, in points.

    Where there is no interval, a word says why. "not resolvable": the interval contains 0, and the
    metric is so near to 100 % that harder data might show an effect.
    """
    if np.isnan(line["mean"]):
        return "not measured", ""
    mean = f"{line['mean']:+.2f}"
    if np.isnan(line["low"]):
        return mean, "one run"
    if line["low"] <= 0 <= line["high"] and line["base"] >= SATURATED and line["mean"]:
        return "not resolvable", ""
    if np.isclose(line["low"], line["high"], atol=5e-3):
        return mean, "all alike"
    return mean, f"[{line['low']:+.2f}, {line['high']:+.2f}]"


def effects_table(measured: pd.DataFrame) -> pd.DataFrame:
    """The measured effects as a table to read: one line per entry, setting, data and metric.

    "default (%)" is the metric without the change, and "change" is in points.
    """
    lines = []
    for _, line in measured.iterrows():
        change, bounds = effect_text(line)
        data, folds = re.fullmatch(r"(.*?)(?:, (\d+ folds))?", line["data"]).groups()
        one = {"entry": line["entry"], "setting": line["switch"], "data": readable(data)}
        one |= {"metric": EFFECT_METRICS[line["metric"]], "default (%)": f"{line['base']:.1f}"}
        seeds = f"{line['seeds']} {'seed' if line['seeds'] == 1 else 'seeds'}"
        lines.append(one | {"change": change, "95 % interval": bounds, "over": folds or seeds})
    table = pd.DataFrame(lines)
    if table.empty:
        return table
    return table.sort_values(["entry", "data", "setting"], key=_in_order, ignore_index=True)


def _in_order(column: pd.Series) -> pd.Series:
    """Entries in a form that sorts D2 before D14."""
    return column.str.replace(r"^([DEO])(\d+)$", lambda m: f"{m[1]}{int(m[2]):03d}", regex=True)


def register(measured: pd.DataFrame, part: str) -> pd.DataFrame:
    """One part of the register (see REGISTER_PARTS).

    `effect` is MEASURED for an entry whose effects are in `effects_table`; for any other, two or
    three words say what is known of its effect.
    """
    table = pd.read_csv(REGISTER, dtype=str).fillna("")
    table = table[table["id"].str.startswith(REGISTER_PARTS[part])].copy()
    known = set(measured["entry"]) if len(measured) else set()
    table["effect"] = table["effect"].where(~table["id"].isin(known), MEASURED)
    return table.loc[:, (table != "").any()].reset_index(drop=True)


def register_block(measured: pd.DataFrame, part: str) -> str:
    """One part of the register as Markdown.

    Each id is an anchor and links to the entry's first measured effect. Entries that are named, and
    notes, are links too.
    """
    head, rule, *lines = markdown(register(measured, part)).splitlines()
    return "\n".join([head, rule, *map(_linked, lines)])


def _linked(line: str) -> str:
    _, entry, rest = line.split("|", 2)
    name, anchor = entry.strip(), entry.strip().lower()
    rest = ENTRY.sub(lambda other: f"[{other[0]}](#{other[0].lower()})", rest)
    rest = rest.replace("notes", f"[notes](#{anchor}-notes)")
    shown = f"[{name}](#{anchor}-effects)" if line.endswith(f"| {MEASURED} |") else name
    return f'| <a id="{anchor}"></a>{shown} |{rest}'


def effects_block(measured: pd.DataFrame) -> str:
    """The measured effects as Markdown; each entry's first line is an anchor."""
    head, rule, *lines = markdown(effects_table(measured)).splitlines()
    shown, before = [head, rule], ""
    for line in lines:
        _, entry, rest = line.split("|", 2)
        name = entry.strip()
        anchor = f'<a id="{name.lower()}-effects"></a>' if name != before else ""
        shown.append(f"| {anchor}[{name}](#{name.lower()}) |{rest}")
        before = name
    return "\n".join(shown)


def effects_in_words(measured: pd.DataFrame) -> str:
    """How many entries were measured, and the largest effect whose interval excludes 0."""
    entries = pd.read_csv(REGISTER, dtype=str)
    if measured.empty:
        return f"The register has {len(entries)} entries, and no effect was measured."
    sure = measured[(measured["low"] > 0) | (measured["high"] < 0)]
    text = (
        f"The register has {len(entries)} entries, and the effect of "
        f"{measured['entry'].nunique()} was measured. For {len(sure)} of {len(measured)} measured "
        "effects the 95 % interval excludes 0."
    )
    if sure.empty:
        return text
    largest = sure.loc[sure["mean"].abs().idxmax()]
    metric, bounds = EFFECT_METRICS[largest["metric"]], interval(largest["low"], largest["high"])
    return (
        f"{text} The largest is {largest['entry']} on {readable(largest['data'])}: "
        f"{largest['switch']} changes {metric} by {largest['mean']:+.1f} points {bounds}."
    )
