"""The measured effect of each switch: `make deviations` (about three hours on two cores).

Trains and scores the protocol below once per switch and seed, and writes a row each to
results/runs/deviations/. `make tables` then writes the effects into DEVIATIONS.md. A data root in
RDREPRO_DATA adds MVTec's bottle with ResNet-18, whose weights are given by --weights.
"""

import argparse
import os

import rdrepro as rd
from rdrepro.data.mvtec import MVTEC_TEXTURES
from rdrepro.study.deviations import SWITCHES

SEEDS = (1, 2, 3)
# Textures, where the papers' numbers part most (RD4AD issue 22; the extension's Table 1).
EMBEDDED = [
    {"preset": "demo", "overrides": "data_seed=2", "category": category}
    for category in MVTEC_TEXTURES
]
REAL = [{"preset": "quick", "category": "bottle"}]
# Not measured on real data: the weights at hand have their batch norms folded.
SKIPPED = {"quick": ("teacher_bn",), "demo": ()}


def run_once(switch: dict, seed: int, **protocol: object) -> None:
    """Train (or find) and test one student; write its row."""
    run = rd.resolve(study="deviations", seed=seed, **{"precision": "auto", **protocol, **switch})
    rd.save_row(rd.execute(run), run.rows_dir)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="ResNet-18 weights for MVTec's bottle")
    parser.add_argument("--only", choices=("real", "embedded"))
    arguments = parser.parse_args()
    protocols = []
    if os.environ.get("RDREPRO_DATA") and arguments.only != "embedded":
        protocols += [{**protocol, "weights": arguments.weights} for protocol in REAL]
    if arguments.only != "real":
        protocols += EMBEDDED
    for protocol in protocols:
        skipped = SKIPPED[protocol["preset"]]
        measured = [{name: value} for name, value in SWITCHES.values() if name not in skipped]
        for switch in ({}, *measured):
            for seed in SEEDS:
                run_once(switch, seed, **protocol)


if __name__ == "__main__":
    main()
