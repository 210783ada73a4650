"""The paper's studies: one protocol run in several variants (Tables 3, 5, 6 and 7)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from rdrepro.ablations import printed_backbone
from rdrepro.cells import BACKBONES, BASELINES, BOTTLENECKS, load_print, paper_cells
from rdrepro.config import RunConfig
from rdrepro.cost import MIB
from rdrepro.data.mvtec import MVTEC_CATEGORIES
from rdrepro.maps import save_maps
from rdrepro.models.teacher import NoFourthStageError
from rdrepro.notebook import resolve_notebook
from rdrepro.progress import say
from rdrepro.resolve import Run, drawing_name, resolve
from rdrepro.results import Outcome, carry_out, save_row
from rdrepro.text import one_of
from rdrepro.weights import LITE0, RANDOM

# The columns of Tables 5 and 7 and the lines of Table 3, as printed, and what each changes.
BOTTLENECK_VARIANTS = {name: {"bottleneck": value} for name, value in BOTTLENECKS.items()}
TABLE_7 = {"M1": "1", "M2": "2", "M3": "3", "M2,3": "2,3", "M1,2,3": "1,2,3"}
TABLE_3 = {**BASELINES, "Ours": "reverse_distillation"}
READINGS = ("test", "train", "both")
TRAINED = " (trained)"  # on these layers, beside the printed name
LIMITATIONS_SIZE = 128  # pixels; Sec. 4.1, "Limitations"
METRICS = {
    "image AUROC": "image_auroc",
    "pixel AUROC": "pixel_auroc",
    "PRO": "pixel_aupro_official",
    "AUPRO": "pixel_aupro",
}
PRINTED = {"image AUROC": "image_auroc", "pixel AUROC": "pixel_auroc", "PRO": "pro"}


def layer_variants(reading: str = "test") -> dict[str, dict[str, Any]]:
    """Return Table 7's columns by how they are read (D25): maps chosen when testing, or training.

    ValueError for a reading that is not in READINGS.
    """
    if reading not in READINGS:
        raise ValueError(f"reading={reading!r} is not {one_of(READINGS)}")
    chosen = {name: {"map_layers": layers} for name, layers in TABLE_7.items()}
    whole = {"M1,2,3": chosen.pop("M1,2,3")}
    trained = {
        name + TRAINED: {"train_layers": layers, "map_layers": layers}
        for name, layers in TABLE_7.items()
        if name not in whole
    }
    parts = {"test": chosen, "train": trained, "both": chosen | trained}
    return parts[reading] | whole


def backbone_variants(backbones: str | None, synthetic: bool) -> dict[str, dict[str, Any]]:
    """Return a variant per backbone, of names separated by commas, each perhaps NAME=WEIGHTS.

    Without any, Table 6's three; on embedded data, which download nothing, the shipped one and the
    same network with random weights. ValueError for an empty name or one given twice.
    """
    usual = f"{LITE0},{LITE0}={RANDOM}" if synthetic else ",".join(BACKBONES.values())
    variants = {}
    for word in str(usual if backbones is None else backbones).split(","):
        name, _, weights = (part.strip() for part in word.partition("="))
        label = f"{name}, {Path(weights).name}" if weights else name
        if not name or label in variants:
            raise ValueError(f"backbones={backbones!r} names {name!r} twice or not at all")
        variants[label] = {"backbone": name} | ({"weights": weights} if weights else {})
    return variants


def resolve_backbones(namespace: dict[str, Any]) -> dict[str, Run]:
    """Resolve 05_backbones' parameters once per teacher; see `backbone_variants`."""
    places = {name: namespace.get(name) for name in ("preset", "category", "data_root")}
    synthetic = resolve(**places, weights=RANDOM).config.dataset == "synthetic"
    variants = backbone_variants(namespace.get("backbones"), synthetic)
    return resolve_variants(namespace, variants, own=["backbones"])


def limitations_runs(runs: Mapping[str, Run]) -> dict[str, Run]:
    """Return what the check of Sec. 4.1, "Limitations", adds to Table 7's runs: one at 128 pixels.

    For transistor only, and where the runs themselves have another resolution.
    """
    whole = runs["M1,2,3"]
    if whole.config.category != "transistor" or whole.config.image_size == LIMITATIONS_SIZE:
        return {}
    smaller = replace(whole, config=replace(whole.config, image_size=LIMITATIONS_SIZE))
    if whole.config.dataset == "synthetic":
        root = whole.data_root.with_name(drawing_name(whole.config.data_seed, LIMITATIONS_SIZE))
        smaller = replace(smaller, data_root=root)
    return {"smaller": smaller}


def complexity_variants(
    methods: str | None, image_sizes: str | None, weights: str | None, epochs: int | None
) -> dict[str, dict[str, Any]]:
    """Return a variant per method and resolution (Table 3), names and numbers between commas.

    Without any, all three methods at 224 and 256 pixels. A random teacher serves time and memory
    only, so it is trained for one epoch unless told otherwise. ValueError for an unknown method.
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
                known = one_of(("reverse_distillation", *BASELINES.values()))
                raise ValueError(f"methods={methods!r}: {method!r} is not {known}")
            distilled = method.strip() == "reverse_distillation"
            changes = {"method": method.strip(), "image_size": size}
            changes |= {"epochs": epochs if distilled else None}
            variants[f"{names[method.strip()]}, {size.strip()} px"] = changes
    return variants


def resolve_variants(
    namespace: dict[str, Any], variants: Mapping[str, Mapping[str, Any]], own: Sequence[str] = ()
) -> dict[str, Run]:
    """Resolve a notebook's parameters once per variant.

    A variant that needs a fourth stage which the weights have not is left out, and said so.
    """
    runs = {}
    for name, changes in variants.items():
        try:
            runs[name] = resolve_notebook(namespace, own, **changes)
        except NoFourthStageError as error:
            say(f"{name} is left out: {error}")
    return runs


def run_variants(runs: Mapping[str, Run], timed: bool = False) -> dict[str, Outcome]:
    """Train or find, test and save the row of each variant, one after the other."""
    outcomes = {}
    for number, (name, run) in enumerate(runs.items(), 1):
        say(f"{name} ({number} of {len(runs)})")  # a bar around the runs' own would garble them
        outcomes[name] = outcome = carry_out(run, timed)
        file = save_row(outcome.row, run.rows_dir)
        if run.keep_maps:
            save_maps(outcome.predictions, file)
    return outcomes


def variants_table(outcomes: Mapping[str, Outcome], table: str) -> pd.DataFrame:
    """Return each variant's metrics in percent, and on real data what a printed table has for it.

    The print is an average over fifteen categories with its own teacher: a direction, no equal.
    """
    cells = {(c.method, c.metric): c.value for c in paper_cells("rd4ad", table)}
    lines = {}
    for name, outcome in outcomes.items():
        metrics, config = outcome.row["metrics"], outcome.run.config
        lines[name] = {title: _percent(metrics[key]) for title, key in METRICS.items()}
        lines[name]["trained (millions)"] = outcome.row["counts"]["trainable_parameters"] / 1e6
        for title, metric in PRINTED.items() if config.dataset == "mvtec" else ():
            column = name.removesuffix(TRAINED)
            if table == "6":
                column = printed_backbone(config.backbone, config.weights)
            lines[name][f"{title}, printed average"] = cells.get((column, metric))
    return pd.DataFrame(lines).T.astype(float).round(2)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def cost_table(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return seconds per image by stage: median, and first and third quartile of the whole."""
    lines = {}
    for name, outcome in outcomes.items():
        cost = outcome.row["cost"]
        first, median, third = cost["image_seconds"]
        line = {"seconds per image": median, "first quartile": first, "third quartile": third}
        stages = ("teacher", "student", "search", "map")
        line |= {s: cost[f"{s}_seconds"][1] for s in stages if f"{s}_seconds" in cost}
        provenance = outcome.row["provenance"]
        lines[name] = line | {"device": provenance["device"], "threads": provenance["threads"]}
    return pd.DataFrame.from_dict(lines, orient="index")


MEMORY = {
    "trained_mib": "trained weights",
    "checkpoint_mib": "with the official dead layer",
    "weights_mib": "all weights",
    "bank_mib": "memory bank",
    "peak_mib": "peak of the process",
}


def memory_table(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return each kind of memory in MiB (2^20 bytes) and in MB (10^6), NaN where there is none."""
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


def performance_table(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return image AUROC, pixel AUROC and PRO in percent; "not run" where the teacher is random."""
    lines = {}
    for name, outcome in outcomes.items():
        known = outcome.run.config.weights != RANDOM
        metrics = outcome.row["metrics"]
        lines[name] = {
            title: _percent(metrics[METRICS[title]]) if known else "not run" for title in PRINTED
        }
    return pd.DataFrame.from_dict(lines, orient="index")


# WideResNet-50-2: channels of the three maps, and of the mean that SPADE's image level compares.
WIDE_CHANNELS, WIDE_POOLED = (256, 512, 1024), 2048
BANK_SIZES = (224, 256)


def printed_memory() -> pd.DataFrame:
    """Return what Table 3's banks weigh by arithmetic, at two resolutions, beside the print.

    WideResNet-50-2 in float32: PaDiM's mean and covariance of 550 channels at each location, and
    SPADE's features of the mean number of training images.
    """
    text = load_print("text")
    whole = text[(text["section"] == "4.1-dataset") & (text["metric"] == "train_images")]
    images = whole["value"].item() / len(MVTEC_CATEGORIES)
    printed = {c.method: c.value for c in paper_cells("rd4ad", "3") if c.metric == "memory_mb"}
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


def limitations_table(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return pixel AUROC of the transistor check in percent, and what the paper prints for it.

    outcomes: Table 7's and that of `limitations_runs`; without a check none of them is shown.
    """
    if all(outcome.run.config.category != "transistor" for outcome in outcomes.values()):
        return pd.DataFrame(columns=["pixel AUROC", "printed"])
    text = load_print("text")
    passage = text[(text["section"] == "4.1-limitations") & (text["metric"] == "pixel_auroc")]
    printed = passage.set_index(["method", "image_size"])["value"].to_dict()
    lines = {}
    for name in (n for n in ("M1,2,3", "M2,3", "M3", "smaller") if n in outcomes):
        outcome = outcomes[name]
        config = outcome.run.config
        key = (name if name in TABLE_7 else "Ours", config.image_size)
        value = printed.get(key) if config.dataset == "mvtec" else None
        ours = 100 * outcome.row["metrics"]["pixel_auroc"]
        layers = ",".join(map(str, config.map_layers))
        lines[f"M{layers}, {config.image_size} px"] = {"pixel AUROC": ours, "printed": value}
    return pd.DataFrame.from_dict(lines, orient="index", dtype=float).round(2)
