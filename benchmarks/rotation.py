"""Rows of turned test images: `make rotation` (under an hour on two cores).

To results/runs/rotation/: six embedded categories, and with a data root in RDREPRO_DATA and
ResNet-18 weights given by --weights MVTec's bottle, each at every angle. A student trains once and
is kept; the other angles only test it. Rows that are there are not made again.
"""

import argparse
import os

from studies import run_missing

from rdrepro.registry import check_category
from rdrepro.study.rotation import ANGLES, ROTATION_STUDY
from rdrepro.synthetic.benchmark import REPORT_SEED

TURNED = {f"{angle} degrees": {"rotation": angle} for angle in ANGLES}
# Two textures, a round object, one that lies at any angle, and two that stand upright.
CATEGORIES = ("wood", "carpet", "bottle", "screw", "transistor", "hazelnut")
EMBEDDED = {"study": ROTATION_STUDY, "preset": "demo", "data_seed": REPORT_SEED, "seed": 1}
BOTTLE = {"study": ROTATION_STUDY, "preset": "quick", "category": "bottle", "seed": 1}
BOTTLE |= {"backbone": "resnet18", "epochs": 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="ResNet-18 weights for MVTec's bottle")
    parser.add_argument("--categories", default=",".join(CATEGORIES), help="embedded ones")
    arguments = parser.parse_args()
    if arguments.weights and not os.environ.get("RDREPRO_DATA"):
        parser.error("--weights is for MVTec's bottle: name its data root in RDREPRO_DATA")
    categories = [name.strip() for name in arguments.categories.split(",") if name.strip()]
    for category in categories:
        check_category(category)
    for category in categories:
        run_missing({**EMBEDDED, "category": category}, TURNED)
    if arguments.weights:
        run_missing({**BOTTLE, "weights": arguments.weights}, TURNED)


if __name__ == "__main__":
    main()
