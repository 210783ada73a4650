"""Captions of the report's figures: what is drawn, in which units, and what to look for."""

from pathlib import Path

from rdrepro.files import one_at_a_time, replacing

# By the name under which a figure is saved, in the order of the report. A caption's first sentence
# is also the figure's alternative text. Figures are numbered by their place here, without those of
# KEPT_HERE.
FIGURES = {
    "maps": (
        "Anomaly maps of the embedded categories, one image for each kind of defect. "
        "From left to right: the input, the outlined defect and the anomaly map (no unit; brighter "
        "is more anomalous). The image is the one with the median score of its kind. All maps of a "
        "category share one colour scale. It mirrors Figs. 1 and 6 of the paper."
    ),
    "overlays": (
        "Anomaly maps of a run that has kept them: one image for each kind of defect, and the one "
        "with the smallest defect. From left to right: the input, the outlined defect and the "
        "anomaly map (no unit; brighter is more anomalous). It mirrors Figs. 1, 6 and 7 of the "
        "paper."
    ),
    "regions": (
        "PRO curves of runs that have kept their maps, and the share found of each defect region. "
        "The left curves end at a false positive rate of 0.3, the limit of the AUPRO. On the "
        "right, each dot is a region, its size is in pixels, and 5 % of the normal pixels are "
        "above the threshold. Small regions are the hardest."
    ),
    "paper_against_ours": (
        "Our value of each metric and the printed value, in percent. Bars are 95 % intervals "
        "where a cell has one, cut at 100. A hollow diamond is the printed value. The title says "
        "the verdict, or the tier, where all cells share it; otherwise it stands on the right."
    ),
    "deltas": (
        "Our value minus the printed value, in points. Blue is higher than printed and red is "
        "lower."
    ),
    "scores_embedded": (
        "Image scores of normal and anomalous test images, by embedded category. Scores are scaled "
        "to 0-1, and bars are shares of each class in percent. Where the two colours overlap, no "
        "threshold separates the classes. It mirrors Fig. 5 of the paper."
    ),
    "small_backbones": (
        "Training loss, ROC curves and image scores of runs on MVTec AD with smaller backbones. "
        "The loss is a mean over images and has no unit. The closer a ROC curve is to the upper "
        "left corner, the better the image AUROC. Where two ROC curves coincide, the lower one is "
        "drawn wider."
    ),
    "novelty_classes": (
        "Image AUROC (%) of each class, where that class is the normal one. Each dot is a run, "
        "and each colour is a preset with its resolution and epochs. Dots of one colour in one "
        "line differ in the seed alone. The paper prints only the averages over the classes "
        "(Table 4)."
    ),
    "novelty_curves": (
        "Training loss and image AUROC (%) of the test set during long training on one class. The "
        "loss is a mean over images and has no unit. The legend says what the last test adds to "
        "the first. No test selected an epoch. Each panel has a scale of its own."
    ),
    "medical_columns": (
        "Image AUROC (%) of the extension's Table 3: printed values and ours, by data set. A "
        "hollow diamond is a printed value. A filled mark is ours, the mean of the folds of one "
        "teacher. Bars are 95 % intervals, and ours are over images. Where two bars overlap, our "
        "result does not contradict the printed one. Bars this long make that weak evidence."
    ),
    "medical_stopping": (
        "The loss L_MKD of one fold, with and without early stopping. Dotted lines are the loss "
        "of the images held out. A dot marks its lowest point, the epoch that is tested. The axis "
        "ends at twice the highest training loss, because the first validation losses lie far "
        "above it. It mirrors Fig. 7 of the extension."
    ),
    "fast": (
        "PRO (%) of the presets paper and fast, and of fast at 2,000 steps, against gradient steps "
        "and seconds of training, on logarithmic axes. Seconds are the least of the runs, each "
        "its epochs times the median over them. A large mark is the mean, and small dots beside "
        "it are seeds. The thin bar goes from the lowest seed to the "
        "highest. The wide bar is the mean plus and minus the standard deviation over the last ten "
        "epochs. Several embedded categories are averaged."
    ),
    "rotation": (
        "Image AUROC, pixel AUROC and AUPRO (%) against the angle of the test images, in degrees "
        "counter-clockwise. There is a panel for each data set. At 0 degrees the images are as in "
        "training. A flat line means that the detector does not depend on the orientation."
    ),
}
# Figures of stored maps, which only some machines have. They have no number, so that the numbers of
# the others are the same everywhere and have no gap.
KEPT_HERE = ("overlays", "regions")
LIST = "captions.md"


def key_of(name: str) -> str:
    """The key in FIGURES of a figure: its name, or the part before "_" or "/" that is a key.

    Raises KeyError, with a message that says where to add a caption, for a name without one.
    """
    for key in FIGURES:
        if _belongs(name, key):
            return key
    raise KeyError(f"figure {name!r} has no caption; add one to rdrepro/study/captions.py")


def label_of(name: str) -> str:
    """What a caption begins with: "Figure" and a number, from 1, where the figure has one."""
    key = key_of(name)
    numbered = [other for other in FIGURES if other not in KEPT_HERE]
    if key in KEPT_HERE:
        return "Figure of maps that are kept here"
    return f"Figure {numbered.index(key) + 1}"


def caption_of(name: str) -> str:
    """The caption of a figure, without its number."""
    return FIGURES[key_of(name)]


def alt_of(name: str) -> str:
    """The alternative text of a figure: the first sentence of its caption."""
    return caption_of(name).partition(". ")[0].removesuffix(".") + "."


def category_of(stem: str) -> str:
    """The category of a row, from the name of its file without the ending."""
    return stem.partition("-")[0].replace("_", " ")


def write_captions(folder: Path) -> Path:
    """Write the captions of all figures in a folder to its file LIST; return the file.

    Several notebooks may write at once. Each waits for the other, so that no figure is missing.
    """
    target = folder / LIST
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(target):
        text = captions_text(folder)
        with replacing(target) as aside:
            aside.write_text(text, encoding="utf-8")
    return target


def captions_text(folder: Path) -> str:
    """The captions of all figures in a folder as Markdown, in the order of the report."""
    names = [p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.png")]
    known = [name for name in names if any(_belongs(name, key) for key in FIGURES)]
    lines = ["# Captions of the figures in this folder", ""]
    places = list(FIGURES)
    for name in sorted(known, key=lambda name: (places.index(key_of(name)), name)):
        text = f"{category_of(name.partition('/')[2])}. " if "/" in name else ""
        lines += [f"**{label_of(name)}** (`{name}`): {text}{caption_of(name)}", ""]
    return "\n".join(lines)


def _belongs(name: str, key: str) -> bool:
    return name == key or name.startswith((f"{key}_", f"{key}/"))
