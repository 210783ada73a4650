"""Rows of the studies behind Tables 5-7: `make studies` (about two hours on two cores).

The fifteen embedded categories with every bottleneck and every choice of layers, one seed each, to
results/runs/ablation/. A data root in RDREPRO_DATA adds MVTec's bottle, three seeds each, to
results/runs/small-backbones/: with ResNet-18, whose weights are given by --weights, every choice
of layers, and with EfficientNet-Lite0 every bottleneck. Rows that are there are not made again.
"""

import argparse
import os

import rdrepro as rd
from rdrepro.config import eval_key
from rdrepro.runs.checkpoints import training_hash
from rdrepro.study.ablation import BOTTLENECK_VARIANTS, layer_variants
from rdrepro.synthetic.benchmark import REPORT_SEED

SEEDS = (1, 2, 3)
EMBEDDED = {"study": "ablation", "preset": "demo", "data_seed": REPORT_SEED}
BOTTLE = {"study": "small-backbones", "category": "bottle", "epochs": 40}


def is_done(run: rd.Run) -> bool:
    """Return whether a row of this very run is there."""
    seen = training_hash(run.dataset("train"), run.validation())
    key = eval_key(run.config, seen, run.dataset("test").fingerprint())[:8]
    return any(run.rows_dir.glob(f"*-{key}.json"))


def make_missing(**parameters: object) -> None:
    """Make a run's row where it is not there."""
    run = rd.resolve(**parameters)
    if not is_done(run):
        rd.save_row(rd.execute(run), run.rows_dir)


def run_missing(protocol: dict, variants: dict[str, dict]) -> None:
    """Make the rows of a protocol's variants that are not there."""
    runs = {name: rd.resolve(**{**protocol, **changes}) for name, changes in variants.items()}
    rd.run_variants({name: run for name, run in runs.items() if not is_done(run)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="ResNet-18 weights for MVTec's bottle")
    parser.add_argument("--only", choices=("real", "embedded"))
    arguments = parser.parse_args()
    if os.environ.get("RDREPRO_DATA") and arguments.only != "embedded":
        resnet = {**BOTTLE, "backbone": "resnet18", "weights": arguments.weights}
        for seed in SEEDS:
            run_missing({**resnet, "seed": seed}, layer_variants("test"))
        lite0 = {**BOTTLE, "backbone": "efficientnet_lite0"}
        for seed in SEEDS:
            run_missing({**lite0, "seed": seed}, BOTTLENECK_VARIANTS)
        run_missing({**resnet, "seed": SEEDS[0]}, layer_variants("train"))
    if arguments.only != "real":
        for category in rd.MVTEC_CATEGORIES:
            variants = BOTTLENECK_VARIANTS | layer_variants("test")
            del variants["M1,2,3"]  # the same run as the whole bottleneck's
            run_missing({**EMBEDDED, "category": category}, variants)


if __name__ == "__main__":
    main()
