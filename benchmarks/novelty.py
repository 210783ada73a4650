"""Rows behind Table 4: `make novelty` (hours on two cores).

With a data root in RDREPRO_DATA that holds MNIST, FashionMNIST and cifar-10-batches-py as
torchvision lays them out, and ResNet-18 weights given by --weights: every class of every data set
by the named presets (results/runs/novelty), the grid that `novelty_tuned` was chosen by
(results/runs/novelty-grid), and long training on one class (results/runs/novelty-curves). Rows
that are there are not made again.
"""

import argparse

from studies import make_missing

from rdrepro.presets import CHOSEN_CLASSES
from rdrepro.study.novelty_choice import GRID, GRID_EPOCHS

SEEDS = (1, 2, 3)
LONG, EVERY = 20, 4  # epochs of the curves, and between looks at the test set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="ResNet-18 weights")
    parser.add_argument("--part", choices=("classes", "grid", "curves"), required=True)
    parser.add_argument("--preset", default="novelty_official")
    parser.add_argument("--datasets", default="mnist,fashion_mnist,cifar10")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--classes", default="0,1,2,3,4,5,6,7,8,9")
    arguments = parser.parse_args()
    datasets, seeds = arguments.datasets.split(","), arguments.seeds.split(",")
    usual = {"preset": arguments.preset, "weights": arguments.weights}
    if arguments.part == "curves":
        changes = {"epochs": LONG, "eval_every": EVERY, "study": "novelty-curves", "seed": 1}
        for dataset in datasets:
            chosen = {"dataset": dataset, "normal_class": CHOSEN_CLASSES[dataset]}
            make_missing(**usual, **changes, **chosen)
        return
    for seed in seeds:
        for dataset in datasets:
            chosen = {"dataset": dataset, "seed": seed}
            if arguments.part == "grid":
                chosen |= {"study": "novelty-grid", "split": "validation"}
                chosen |= {"normal_class": CHOSEN_CLASSES[dataset], "epochs": GRID_EPOCHS}
                for changes in GRID.values():
                    make_missing(**{**usual, **chosen, **changes})
            if arguments.part == "classes":
                for number in arguments.classes.split(","):
                    make_missing(**usual, **chosen, study="novelty", normal_class=number)


if __name__ == "__main__":
    main()
