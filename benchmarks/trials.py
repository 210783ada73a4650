"""Trials by which the preset `fast` was chosen: `python -m benchmarks.trials NAME ...`.

Each trial trains on development data alone: the embedded categories drawn with the development
seed, and training images of two real categories of which some are held out and given drawn defects.
No test image of a reported data set is opened. Every run is one line of results/fast/trials.csv.
"""

import argparse
import csv
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

from rdrepro.paths import ROOT
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study.fast_choice import COLUMNS, LOG, TRIALS

EMBEDDED = [
    {"preset": "demo", "category": name, "data_seed": 1, "image_size": 128}
    for name in MVTEC_CATEGORIES
]
PASTED = [
    {"preset": "paper", "category": name, "backbone": "efficientnet_lite0", "split": "pasted"}
    | {"data_seed": 1, "image_size": 128}
    for name in ("bottle", "transistor")
]
METRICS = ("image_auroc", "pixel_auroc", "pixel_aupro")


def run_one(task: tuple[str, dict[str, Any], int, str, str]) -> None:
    """Train and score one trial on one data set, and add its line to the log."""
    from rdrepro.progress import say
    from rdrepro.runs.execute import execute
    from rdrepro.runs.resolve import resolve

    name, data, seed, file, folder = task
    places = {"results_dir": folder, "study": "fast-trials"}
    started = time.perf_counter()
    row = execute(resolve(**{**data, "epochs": 20, **TRIALS[name], "seed": seed}, **places))
    config, origin = row["config"], row["provenance"]
    line = {
        "trial": name,
        "settings": " ".join(f"{k}={v}" for k, v in TRIALS[name].items()),
        "data": f"{config['dataset']} {config['category']} {config['split']}",
        "image_size": config["image_size"],
        "data_seed": config["data_seed"],
        "seed": seed,
        "steps": config["epochs"] * -(-row["counts"]["train"] // config["batch_size"]),
        **{metric: row["metrics"][metric] for metric in METRICS},
        "last_loss": row["history"]["loss"][-1],
        "commit": origin["git_commit"][:7] + ("+" if origin["dirty"] else ""),
        "finished": origin["finished"],
    }
    with Path(file).open("a", newline="") as out:
        csv.DictWriter(out, COLUMNS).writerow(line)
    say(f"{name}: {line['data']} seed {seed}, {time.perf_counter() - started:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=list(TRIALS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--data", choices=("embedded", "pasted", "both"), default="both")
    parser.add_argument("--only", nargs="+", help="categories; by default all")
    parser.add_argument("--data-root", default=str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--folder", default=str(ROOT / "results" / "scratch" / "fast-trials"))
    asked = parser.parse_args()
    LOG.parent.mkdir(parents=True, exist_ok=True)
    if not LOG.is_file():
        with LOG.open("w", newline="") as out:
            csv.DictWriter(out, COLUMNS).writeheader()
    sets = [d | {"data_root": asked.data_root} for d in PASTED] + EMBEDDED
    sets = {"embedded": EMBEDDED, "pasted": sets[: len(PASTED)], "both": sets}[asked.data]
    sets = [d for d in sets if not asked.only or d["category"] in asked.only]
    tasks = [
        (name, data, seed, str(LOG), asked.folder)
        for name in asked.names
        for seed in asked.seeds
        for data in sets
    ]
    with multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        for _ in pool.imap(run_one, tasks, chunksize=1):
            pass


if __name__ == "__main__":
    main()
