"""Rows behind the extension's Table 3: `make medical` (about two hours on two cores).

A data root in RDREPRO_DATA must hold head_ct and brain_mri as downloaded. Every reading of every
column, five folds each, with EfficientNet-Lite0 or, by --weights, ResNet-18, goes to
results/runs/medical-table3; what each habit of the extension changes to
results/runs/medical-habits; one fold at the epochs that its code runs to results/runs/medical-long.
MKD runs at the others' epochs, and with --epochs 201 at those of its code. Rows that are there are
not made again.
"""

import argparse

from rdrepro.study.medical_report import STUDY
from studies import make_missing

from rdrepro.presets import PRESETS
from rdrepro.registry import FOLDS
from rdrepro.study.medical import HABITS, READINGS
from rdrepro.study.medical_tables import HABITS_STUDY, LONG_STUDY

EPOCHS = 60  # of the 199 that its code runs, which would take six hours here
LITE0 = "efficientnet_lite0"
MKD = "MKD"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("columns", "habits", "long", "mkd"), required=True)
    parser.add_argument("--weights", help="weights of ResNet-18, or for --part mkd of VGG-16")
    parser.add_argument("--datasets", default="head_ct,brain_mri")
    parser.add_argument("--folds", default=",".join(map(str, range(FOLDS))))
    parser.add_argument("--seed", default=1)
    parser.add_argument("--data-seed", default=1)
    parser.add_argument("--epochs", type=int, help="others than the part's own")
    parser.add_argument("--study", help="another name than the part's own")
    parser.add_argument("--only", default="", help="readings or habits whose name begins so")
    arguments = parser.parse_args()
    teacher = {"backbone": "resnet18", "weights": arguments.weights}
    if not arguments.weights:
        teacher = {"backbone": LITE0}
    usual = {**teacher, "teacher_bn": "frozen", "epochs": EPOCHS}  # folded in ResNet-18's file
    columns = {name: how for column in READINGS.values() for name, how in column.items()}
    mkd = columns.pop(MKD)
    parts = {
        "columns": (STUDY, columns, usual),
        "habits": (HABITS_STUDY, {n: how for n, (_, _, how) in HABITS.items()}, usual),
        "long": (LONG_STUDY, columns, {**usual, "epochs": PRESETS["medical"]["epochs"]}),
        "mkd": (STUDY, {MKD: mkd}, {"weights": arguments.weights or None, "epochs": EPOCHS}),
    }
    study, variants, settings = parts[arguments.part]
    variants = {n: how for n, how in variants.items() if n.startswith(arguments.only)}
    if not variants:
        parser.error(f"--only {arguments.only!r} begins no name of --part {arguments.part}")
    settings |= {"seed": arguments.seed, "data_seed": arguments.data_seed}
    settings |= {"study": arguments.study or study}
    settings |= {"epochs": arguments.epochs or settings["epochs"]}
    for fold in arguments.folds.split(","):
        for dataset in arguments.datasets.split(","):
            for changes in variants.values():
                folded = changes.get("teacher_bn") == "train" and arguments.weights
                if not folded:
                    where = {"dataset": dataset, "fold": fold, "split": "kfold"}
                    make_missing(**{**settings, **where, **changes})


if __name__ == "__main__":
    main()
