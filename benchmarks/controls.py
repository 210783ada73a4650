"""How hard the embedded benchmark is: `make controls` (about half an hour on two cores).

There are two controls without pre-training on all fifteen categories: the demo with a random
teacher, and nearest neighbours of raw patches. They are compared with the shipped teacher. Its
values are rows of the study *embedded* or, with --development, runs on the development seed. The
script prints whether the five promises of the benchmark are kept.
"""

import argparse
import sys

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors
from torch.nn.functional import interpolate, unfold

import rdrepro as rd
from rdrepro.data.reading import stack_images
from rdrepro.synthetic.benchmark import DEVELOPMENT_SEED, REPORT_SEED

# Raw patches: 8x8 RGB patches at half overlap of the image at a quarter of its size.
PATCH, STEP, SCALE, GALLERY = 8, 4, 0.25, 20_000


def raw_patch_auroc(run: rd.Run) -> float:
    """The image AUROC of the largest distance of a raw patch to its nearest normal one."""
    train, test = (patches(run.dataset(split)) for split in ("train", "test"))
    gallery = np.concatenate(train)
    chosen = np.random.default_rng(0).permutation(len(gallery))[:GALLERY]
    neighbours = NearestNeighbors(n_neighbors=1).fit(gallery[chosen])
    scores = [neighbours.kneighbors(p)[0].max() for p in test]
    labels = [path.parent.name != "good" for path in run.dataset("test").paths]
    return rd.auroc(scores, labels)


def patches(data: rd.MVTecAD) -> list[np.ndarray]:
    """Each image's patches, (number, 3 * PATCH * PATCH)."""
    images = interpolate(
        stack_images(data).float() / 255, scale_factor=SCALE, mode="bilinear", antialias=True
    )
    return list(unfold(images, PATCH, stride=STEP).transpose(1, 2).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--development", action="store_true", help="on the development seed")
    arguments = parser.parse_args()
    table = []
    for category in rd.MVTEC_CATEGORIES:
        shipped = trained(category) if arguments.development else committed(category)
        seed = DEVELOPMENT_SEED if arguments.development else REPORT_SEED
        control = rd.resolve(preset="demo", category=category, data_seed=seed, weights="random")
        table.append(
            {
                "category": category,
                "shipped": shipped["image_auroc"],
                "random": rd.execute(control)["metrics"]["image_auroc"],
                "raw patches": raw_patch_auroc(control),
                "AUPRO": shipped["pixel_aupro"],
            }
        )
        sys.stdout.write(f"{table[-1]}\n")
    report(pd.DataFrame(table).set_index("category"))


def trained(category: str) -> dict[str, float]:
    """The metrics of a run on the development seed, which writes no row."""
    run = rd.resolve(preset="demo", category=category, data_seed=DEVELOPMENT_SEED)
    return rd.execute(run)["metrics"]


def committed(category: str) -> pd.Series:
    """The newest row of the study *embedded* for a category, which holds its metrics."""
    rows = rd.load_runs()
    return rows[(rows["study"] == "embedded") & (rows["category"] == category)].iloc[-1]


def report(table: pd.DataFrame) -> None:
    """Print the table and whether each promise is kept; exit with 1 where one is broken."""
    mean = table.mean()
    between = int(table["shipped"].between(0.85, 0.98).sum())
    promises = {
        "shipped teacher, mean image AUROC above 0.93": mean["shipped"] > 0.93,
        "random teacher, mean image AUROC below 0.85": mean["random"] < 0.85,
        "raw patches, mean image AUROC below 0.85": mean["raw patches"] < 0.85,
        f"five categories or more between 0.85 and 0.98 ({between})": between >= 5,
        "mean AUPRO below 0.93": mean["AUPRO"] < 0.93,
    }
    table.loc["mean"] = mean
    sys.stdout.write(f"{table.round(3).to_string()}\n")
    for promise, kept in promises.items():
        sys.stdout.write(f"{'kept' if kept else 'BROKEN'}: {promise}\n")
    sys.exit(not all(promises.values()))


if __name__ == "__main__":
    main()
