"""Table 3: the seconds and the memory that each method needs to test an image."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdrepro import registry
from rdrepro.backbones import RANDOM
from rdrepro.config import OURS, RunConfig, foreign_fields
from rdrepro.metric_names import PRINTED_TITLES
from rdrepro.runs.schema import MIB
from rdrepro.study.formats import interval
from rdrepro.study.printed import (
    BASELINES,
    METHOD_NAMES,
    load_printed,
    paper_cells,
    printed_values,
)
from rdrepro.study.selection import alike, clean
from rdrepro.study.tiers import PRINTED_PROTOCOL, tier_of
from rdrepro.study.wording import device, network
from rdrepro.text import one_of

if TYPE_CHECKING:
    from rdrepro.runs.execute import Outcome

TABLE_3 = {**BASELINES, "Ours": OURS}  # the lines as printed, and each one's method
NOT_PRINTED = "not printed"
STAGES = ("teacher", "student", "search", "map")
MEMORY = {
    "trained_mib": "trained weights",
    "checkpoint_mib": "with the official dead layer",
    "weights_mib": "all weights",
    "bank_mib": "memory bank",
    "peak_mib": "peak of the process",
}


# WideResNet-50-2: channels of its three maps, and of the mean that SPADE compares for an image.
WIDE_CHANNELS, WIDE_POOLED = (256, 512, 1024), 2048
BANK_SIZES = (224, 256)


def complexity_variants(
    methods: str | None, image_sizes: str | None, weights: str | None, epochs: int | None
) -> dict[str, dict[str, Any]]:
    """A variant per method and resolution (Table 3).

    methods, image_sizes: separated by commas; by default all three methods, at 256 and 224 pixels.
    epochs: by default one for random weights, because such a teacher only serves to measure time
    and memory. ValueError for an unknown method.
    """
    names = {method: name for name, method in TABLE_3.items()}
    variants = {}
    image_sizes = "256,224" if image_sizes is None else str(image_sizes)
    methods = ",".join(TABLE_3.values()) if methods is None else str(methods)
    if epochs is None and weights == RANDOM:
        epochs = 1
    for size in image_sizes.split(","):
        for method in methods.split(","):
            if method.strip() not in names:
                known = one_of((OURS, *BASELINES.values()))
                raise ValueError(f"methods={methods!r}: {method!r} is not {known}")
            trained = "epochs" not in foreign_fields(method.strip())
            changes = {"method": method.strip(), "image_size": size}
            changes |= {"epochs": epochs if trained else None}
            variants[f"{names[method.strip()]}, {size.strip()} px"] = changes
    return variants


def cost_table(outcomes: Mapping[str, "Outcome"]) -> pd.DataFrame:
    """Seconds per image: median and quartiles of all stages together, and each stage's median."""
    lines = {}
    for name, outcome in outcomes.items():
        cost = outcome.row["cost"]
        first, median, third = cost["image_seconds"]
        line = {"seconds per image": median, "first quartile": first, "third quartile": third}
        line |= {s: cost[f"{s}_seconds"][1] for s in STAGES if f"{s}_seconds" in cost}
        provenance = outcome.row["provenance"]
        lines[name] = line | {"device": provenance["device"], "threads": provenance["threads"]}
    return pd.DataFrame.from_dict(lines, orient="index")


def memory_table(outcomes: Mapping[str, "Outcome"]) -> pd.DataFrame:
    """Each kind of memory in MiB (2^20 bytes) and in MB (10^6 bytes); NaN where there is none."""
    lines = {}
    for name, outcome in outcomes.items():
        mib = {title: outcome.row["cost"].get(key) for key, title in MEMORY.items()}
        lines[name] = {(title, "MiB"): value for title, value in mib.items()}
        lines[name] |= {
            (title, "MB"): None if value is None else value * MIB / 1e6
            for title, value in mib.items()
        }
    table = pd.DataFrame.from_dict(lines, orient="index").astype(float)
    columns = pd.MultiIndex.from_product([MEMORY.values(), ("MiB", "MB")])
    return table.reindex(columns=columns).round(1)


def performance_table(outcomes: Mapping[str, "Outcome"]) -> pd.DataFrame:
    """Image AUROC, pixel AUROC and PRO in percent; "not run" where the teacher is random."""
    lines = {}
    for name, outcome in outcomes.items():
        known = outcome.run.config.weights != RANDOM
        metrics = outcome.row["metrics"]
        lines[name] = {
            title: 100 * metrics[name] if known else "not run"
            for title, name in PRINTED_TITLES.items()
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def printed_memory() -> pd.DataFrame:
    """The sizes of Table 3's memory banks, calculated at two resolutions and as printed.

    They are calculated for WideResNet-50-2 in float32. PaDiM stores the mean and covariance of 550
    channels at each location. SPADE stores the features of its training images, whose number here
    is the mean over categories.
    """
    text = load_printed("text")
    whole = text[(text["section"] == "4.1-dataset") & (text["metric"] == "train_images")]
    images = whole["value"].item() / len(registry.MVTEC_CATEGORIES)
    printed = printed_values("rd4ad", "3", "method", metric="memory_mb")
    lines = []
    for size in BANK_SIZES:
        places = [(size // stride) ** 2 for stride in (4, 8, 16)]
        spade = sum(p * c for p, c in zip(places, WIDE_CHANNELS, strict=True)) + WIDE_POOLED
        chosen = RunConfig.padim_channels
        numbers = {"SPADE": images * spade, "PaDiM": places[0] * (chosen**2 + chosen)}
        for method, n in numbers.items():
            weight = {"MB": 4 * n / 1e6, "MiB": 4 * n / MIB}
            lines.append({"method": method, "px": size, **weight, "printed": printed[method]})
    return pd.DataFrame(lines).round(0).astype({"MB": int, "MiB": int, "printed": int})


def complexity_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The seconds and the memory that testing an image takes, from clean rows that measured them.

    Every measurement has a line. Those of the same method, teacher, data and machine are numbered
    from the oldest, such as "1 of 2". Seconds are medians, MiB are 2^20 bytes, and MB are 10^6
    bytes. Performance, in percent, is empty where the teacher's weights are random. The peak memory
    of a process is not shown: if the process ran several methods, its peak belongs to none of them.
    """
    if runs.empty or "cost.image_seconds" not in runs:
        return pd.DataFrame()
    rows = clean(runs)
    rows = rows[rows["cost.image_seconds"].notna()]
    rows = rows.assign(random=rows["weights"] == RANDOM)
    keys = ["method", "backbone", "random", "image_size", "dataset", "category", "precision"]
    keys += ["provenance.device", "provenance.threads"]
    groups = rows.groupby(alike(rows, keys), sort=False)
    number, size = groups.cumcount() + 1, groups["file"].transform("size")
    rows = rows.assign(measurement=number.astype(str) + " of " + size.astype(str))
    lines = [_cost_line(row) for _, row in rows.iterrows()]
    order = ["on", "backbone", "px", "method", "measurement"]
    return pd.DataFrame(lines).sort_values(order, ignore_index=True) if lines else pd.DataFrame()


def _cost_line(row: pd.Series) -> dict[str, object]:
    first, median, third = row["cost.image_seconds"]
    method = METHOD_NAMES.get(row["method"], row["method"])
    line = {"method": method, "backbone": network(row["backbone"])}
    line |= {"px": row["image_size"], "precision": row["precision"]}
    line |= {"on": row["provenance.device"]}
    line |= {"threads": row["provenance.threads"], "measurement": row["measurement"]}
    line |= {"seconds": median}
    line |= {"quartiles": interval(first, third, 3)}
    for stage in STAGES:
        seconds = row.get(f"cost.{stage}_seconds")
        line[stage] = seconds[1] if isinstance(seconds, list) else np.nan
    line |= {"trained MiB": row["cost.trained_mib"]}
    checkpoint = row.get("cost.checkpoint_mib")
    line |= {
        "official checkpoint MiB": checkpoint,
        "official checkpoint MB": _megabytes(checkpoint),
    }
    line |= {"all weights MiB": row["cost.weights_mib"], "bank MiB": row.get("cost.bank_mib")}
    bank = row.get("cost.bank_mib")
    line |= {"bank MB": _megabytes(bank)}
    known = row["weights"] != RANDOM
    for title, name in PRINTED_TITLES.items():
        line[title] = 100 * row[name] if known else np.nan
    cells = [c for c in paper_cells("rd4ad", "3") if c.metric == "seconds_per_image"]
    cell = next((c for c in cells if c.method == method), None)
    return line | {"tier": tier_of(row, cell) if cell else NOT_PRINTED}


def _megabytes(mib: float | None) -> float | None:
    """MiB as MB; None where there are none."""
    return None if pd.isna(mib) else mib * MIB / 1e6


def time_table(costs: pd.DataFrame) -> pd.DataFrame:
    """The seconds of `complexity_table` as a table to read: all stages together and each."""
    kept = ["method", "backbone", "px", "machine", "measurement", "seconds", "quartiles", *STAGES]
    kept += ["tier"]
    machines = [_machine(line) for _, line in costs.iterrows()]
    table = costs.assign(machine=machines, tier=costs["tier"].str.partition(" (")[0])
    numbers = table[["seconds", *STAGES]].map(lambda x: "-" if pd.isna(x) else f"{x:.3f}")
    stages = {stage: f"of these, {stage}" for stage in STAGES}
    return table.assign(**numbers)[kept].rename(columns=stages | {"backbone": "teacher"})


def storage_table(costs: pd.DataFrame) -> pd.DataFrame:
    """The memory of `complexity_table` in MiB as a table to read, and the paper's for its teacher.

    Lines that differ only in the machine are one, since memory does not depend on it.
    """
    printed = printed_values("rd4ad", "3", "method", metric="memory_mb")
    names = ["trained MiB", "official checkpoint MiB", "official checkpoint MB"]
    names += ["all weights MiB", "bank MiB", "bank MB"]
    numbers = costs[names].map(lambda x: "-" if pd.isna(x) else f"{x:.1f}")
    table = (
        costs[["method", "backbone", "px"]].join(numbers).rename(columns={"backbone": "teacher"})
    )
    theirs = table["method"].map(lambda method: f"{printed[method]:.0f}")
    table["printed MB"] = theirs.where(table["teacher"] == network(RunConfig.backbone), "-")
    return table.drop_duplicates(ignore_index=True)


def _machine(line: pd.Series) -> str:
    return f"{device(line['on'])}, {line['threads']} threads, {line['precision']}"


def costs_in_words(costs: pd.DataFrame) -> list[str]:
    """Sentences that compare the seconds of all methods under equal conditions.

    costs: from `complexity_table`. Only lines of the printed protocol are compared. Methods have an
    order where no measurement of one lies among those of another.
    """
    keys = ["backbone", "px", "on", "threads", "precision"]
    near = costs[costs["tier"] == PRINTED_PROTOCOL] if len(costs) else costs
    sentences = []
    for _, group in near.groupby(keys, sort=False) if len(near) else ():
        if not set(TABLE_3) <= set(group["method"]):
            continue
        seconds = group.groupby("method")["seconds"].agg(["min", "max", "mean", list])
        seconds, first = seconds.sort_values("mean"), group.iloc[0]
        ours = ", ".join(
            f"{method} {' and '.join(f'{value:.2f}' for value in values)}"
            for method, values in seconds["list"].items()
        )
        sentences.append(
            f"Seconds to test one image of {first['px']} px: {ours} ({first['backbone']}, "
            f"{_machine(first)}). {_against_the_paper(seconds)}"
        )
    return sentences


def _against_the_paper(seconds: pd.DataFrame) -> str:
    """Whether the paper has our order, as text.

    seconds: the lowest and highest measurement of each method, in the order of their means.
    """
    printed = printed_values("rd4ad", "3", "method", metric="seconds_per_image")
    theirs = ", ".join(f"{method} {printed[method]:.2f}" for method in seconds.index)
    for faster, slower in pairwise(seconds.index):
        if seconds.loc[faster, "max"] >= seconds.loc[slower, "min"]:
            return (
                f"The measurements of {faster} and {slower} overlap, so their order is open. "
                f"The paper has {theirs}."
            )
    order = [printed[method] for method in seconds.index]
    same = "the same order" if order == sorted(order) else "another order"
    return f"The paper has {same}: {theirs}."
