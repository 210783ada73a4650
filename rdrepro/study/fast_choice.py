"""How the preset `fast` was chosen, on development data alone: the trials, in order, and their log.

A trial changes settings of `paper` cut to a tenth of its epochs. It is judged by what it loses or
gains against `paper` at its 200 epochs on the same images, in units of the design's margins for one
category. The mean is taken over three metrics, then over data sets, then over the two kinds of
data (drawn categories, and defects pasted on real training images).
"""

from typing import Any

from rdrepro.paths import ROOT

LOG = ROOT / "results" / "fast" / "trials.csv"
COLUMNS = (
    *("order", "trial", "settings", "data", "image_size", "data_seed", "seed", "steps"),
    *("image_auroc", "pixel_auroc", "pixel_aupro", "last_loss", "commit", "finished"),
)
COSINE = {"lr_schedule": "cosine"}
TRIALS: dict[str, dict[str, Any]] = {
    "paper": {"epochs": 200},
    "a tenth of the epochs": {},
    "cosine": COSINE,
    "linear": {"lr_schedule": "linear"},
    "averaging": {"weight_averaging": 0.25},
    "cosine, warm-up": {**COSINE, "warmup": 0.1},
}
