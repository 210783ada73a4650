"""Every metric that a result row holds: its names in rows, tables and papers, and its meaning."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric of a test set, a fraction in [0, 1], higher is better."""

    name: str  # in a row
    title: str  # in tables and figures
    about: str
    required: bool = False  # whether every row has it
    printed: str = ""  # its name in results/paper, with the printed values


METRICS = (
    Metric("image_auroc", "image AUROC", "AUROC of the image scores", True, "image_auroc"),
    Metric(
        "pixel_auroc", "pixel AUROC", "AUROC of all pixels of the test set", printed="pixel_auroc"
    ),
    Metric("pixel_aupro", "AUPRO", "exact AUPRO of the whole test set up to FPR 0.3"),
    Metric(
        "pixel_aupro_official",
        "PRO",
        "the authors' per-image PRO (DEVIATIONS.md, D16-D17); null where undefined",
        printed="pro",
    ),
    Metric("image_ap", "image AP", "average precision of the image scores", True),
    Metric("pixel_ap", "pixel AP", "average precision of all pixels"),
    Metric(
        "image_f1_max",
        "image F1-max",
        "highest F1 of the image scores; its threshold is chosen on the test set",
        True,
    ),
    Metric(
        "pixel_f1_max",
        "pixel F1-max",
        "highest F1 of all pixels; its threshold is chosen on the test set",
    ),
    Metric(
        "recall_at_youden",
        "recall at Youden's J",
        "share of defect pixels at or above the pixels' Youden threshold, which is chosen on the "
        "test set; the extension prints it as PRO",
    ),
    Metric(
        "image_auroc_max",
        "image AUROC of the maximum",
        "AUROC of the map's maximum; of novelty detection, whose own score is the sum",
    ),
    Metric(
        "image_auroc_sum",
        "image AUROC of the sum",
        "AUROC of the map's sum (Sec. 4.2); of novelty detection",
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}
# The metric of a row with which each printed metric is compared (D16).
ROW_METRIC = {metric.printed: metric.name for metric in METRICS if metric.printed}
# The three metrics that Tables 1-2 and 5-7 print, as {title: name in a row}.
PRINTED_TITLES = {BY_NAME[name].title: name for name in ROW_METRIC.values()}


def title_of(name: str) -> str:
    """The title of a metric in tables and figures.

    name: the metric's name in a row or in results/paper. Any other text is returned as it is.
    """
    name = ROW_METRIC.get(name, name)
    return BY_NAME[name].title if name in BY_NAME else name
