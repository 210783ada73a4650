"""Made-up rows of the studies: at the paper's own numbers, and of one-class novelty detection."""

from builders import make_row

from rdrepro.study.novelty_choice import GRID_EPOCHS
from rdrepro.study.printed import paper_cells

SEEDS = (1, 2, 3)
TUNED = "other classes were used"  # what the tuned preset's settings were chosen by


def as_printed(category, shift=0.0):
    """The paper's own numbers for a category, as a row's metrics, shifted by so many points."""
    metrics = {}
    for table in "12":
        for cell in paper_cells("rd4ad", table):
            if (cell.method, cell.image_size, cell.category) == ("Ours", 256, category):
                metrics[cell.row_metric] = min((cell.value + shift) / 100, 1.0)
    return metrics


def on(day, **said):
    """The provenance of a row that was finished on a day."""
    return {"finished": f"{day}T00:00:00+00:00"} | said


def class_row(digit, seed=1, preset="novelty_official", **changes):
    """A row of one class of MNIST, tested on the whole test set."""
    settings = {"dataset": "mnist", "score": "sum", "normalise": "none", "backbone": "resnet18"}
    settings |= {"image_size": 32, "category": str(digit), "normal_class": digit, "seed": seed}
    counts = {"test_normal": 1000, "test_anomalous": 9000} | changes.pop("counts", {})
    said = {"preset": preset} | changes.pop("provenance", {})
    said |= {"selection": TUNED} if preset == "novelty_tuned" else {}
    return make_row(counts=counts, provenance=said, **settings | changes)


def all_classes(preset, values, **changes):
    """Rows of all ten classes of MNIST, an AUROC per seed."""
    return [
        class_row(digit, seed, preset, metrics=aurocs(value), **changes)
        for seed, value in enumerate(values, 1)
        for digit in range(10)
    ]


def aurocs(value):
    """The metrics of a row of novelty detection: of the map's sum, and of its maximum."""
    return {"image_auroc": value, "image_auroc_sum": value, "image_auroc_max": value - 0.1}


def grid_row(dataset, seed, value, **changes):
    """A row of the grid that settings were chosen by."""
    settings = {"split": "validation", "epochs": GRID_EPOCHS, "dataset": dataset}
    settings |= {"normalise": "imagenet" if dataset == "cifar10" else "none"}
    return class_row(5, seed, metrics=aurocs(value), **settings | changes)
