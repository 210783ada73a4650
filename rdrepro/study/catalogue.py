"""The catalogue: every study and printed table as data, with runs, seeds and training hours.

A study is a folder of results/runs. Its runs are written as parameters of `resolve`, with weights
named as in a row. `python -m rdrepro.study list` prints the catalogue.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from rdrepro.backbones import IMAGENET, LITE0, RANDOM, default_weights, usual_weights
from rdrepro.config import FIELD_NAMES, RunConfig
from rdrepro.presets import CHOSEN_CLASSES, PRESETS, preset_settings
from rdrepro.registry import FOLDS, MVTEC_CATEGORIES, TEXTURES
from rdrepro.runs.configure import configure, separate
from rdrepro.study.ablation import BOTTLENECK_VARIANTS, LIMITATIONS_SIZE, layer_variants
from rdrepro.study.deviations import SWITCHES
from rdrepro.study.medical import HABITS, READINGS
from rdrepro.study.novelty_choice import GRID, GRID_EPOCHS
from rdrepro.study.rotation import ANGLES
from rdrepro.study.tables import LAYOUTS, table_name
from rdrepro.text import nearest

Changes = Mapping[str, Any]
SEEDS = (1, 2, 3)
DEVELOPMENT, REPORT = {"data_seed": 1}, {"data_seed": 2}  # of the embedded benchmark
# amdegroot's convolutions of VGG-16, which never belonged to a classifier, as lpips ships them.
VGG_FEATURES = "sha256:c6202c684b82fdf2"
# ResNet-50 with quantised weights (facebookresearch/kill-the-bits, expanded), 68.2 % top-1.
QUANTISED_RESNET50 = "sha256:54709d28474cf6c8"


@dataclass(frozen=True)
class Batch:
    """Runs that share settings: one run for each combination of choices along the axes."""

    settings: Changes
    axes: Sequence[Sequence[Changes]] = ()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for choices in product(*self.axes):
            run = dict(self.settings)
            for changes in choices:
                run |= changes
            yield run


@dataclass(frozen=True)
class Study:
    """One folder of rows: the runs that belong in it, and what they are for."""

    name: str
    question: str
    batches: tuple[Batch, ...]
    feeds: tuple[str, ...]  # printed tables, or parts of the report
    hours: float | None  # of training behind the committed rows; None: not run yet
    threads: int | None = 1  # of torch; last digits depend on them. None: any
    timed: bool = False  # whether testing a single image is timed as well
    # Runs on the earlier split of Head CT (O18). Their rows are kept, but they are not made any
    # more.
    earlier: tuple[Batch, ...] = ()

    def runs(self) -> list[dict[str, Any]]:
        """The parameters of every run, in the order in which they are made, without duplicates."""
        distinct: dict[tuple[str, ...], dict[str, Any]] = {}
        for run in (run for batch in self.batches for run in batch):
            distinct.setdefault(identity(vars(configuration(run)), "precision" in run), run)
        return list(distinct.values())


# The configurations of runs by the text of their parameters. Tables ask for them for every cell.
_CONFIGURATIONS: dict[str, RunConfig] = {}


def configuration(run: Changes) -> RunConfig:
    """The configuration of a run in the catalogue, without looking for data or weights.

    If the run names no precision, it is float32 here, although the device may choose another.
    """
    text = repr(sorted(run.items()))  # which keeps 1 and True apart
    if text not in _CONFIGURATIONS:
        _CONFIGURATIONS[text] = _configured(run)
    return _CONFIGURATIONS[text]


def _configured(run: Changes) -> RunConfig:
    places, chosen = separate(run)
    config = configure(preset_settings(places["preset"]), chosen, RunConfig.precision)
    if config.weights == default_weights(config.backbone):
        config = replace(config, weights=usual_weights(config.backbone))
    return config


def identity(config: Mapping[str, Any], with_precision: bool) -> tuple[str, ...]:
    """A key that is equal for a configuration and for the rows of its runs.

    with_precision: whether the precision is part of the key. A run without a named precision may
    have any.
    """
    left_open = () if with_precision else ("precision",)
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}
    return tuple(f"{name}={values[name]}" for name in FIELD_NAMES if name not in left_open)


def each(name: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """An axis along one field, with a choice for each value."""
    return [{name: value} for value in values]


def seeds(*values: int) -> list[dict[str, Any]]:
    """An axis along the seeds, by default SEEDS."""
    return each("seed", values or SEEDS)


ALL = each("category", MVTEC_CATEGORIES)
DEMO = {"preset": "demo", **REPORT}
RESNET18 = {"backbone": "resnet18", "weights": IMAGENET}
BOTTLE = {"category": "bottle", "epochs": 40}
# The teacher's batch norms (E4) are switched in medical-habits. O6 means nothing on a processor.
APART = ("teacher_bn", "deterministic")
SWITCHED = [{}, *({f: value} for f, value in SWITCHES.values() if f not in APART)]
CHOICES_OF_LAYERS = list(layer_variants("test").values())
PARTS_OF_LAYERS = CHOICES_OF_LAYERS[:-1]  # M1,2,3 is one of the bottleneck runs
# Only Head CT's files say which pictures are neighbours (O18).
HEAD_CT = {"dataset": "head_ct", "split": "blocks"}
BRAIN_MRI = {"dataset": "brain_mri", "split": "kfold"}
SETS = [HEAD_CT, BRAIN_MRI]
EARLIER = [{"dataset": "head_ct", "split": "kfold"}]
EVERY_FOLD = each("fold", range(FOLDS))
# A small form of the extension: a frozen teacher (E4) and fewer epochs than its code's 199.
REDUCED = {"teacher_bn": "frozen", "epochs": 60}
LONG = {**REDUCED, "epochs": PRESETS["medical"]["epochs"], "backbone": LITE0}
LONG |= {"seed": 1, "data_seed": 1, "fold": 0}
READ = [how for column in READINGS.values() for how in column.values()]
OWN_READINGS = [how for how in READ if how["preset"] != "mkd"]
MKD_RUN = {"preset": "mkd", "weights": VGG_FEATURES, "seed": 1, "data_seed": 1}
CLASSES = each("normal_class", range(10))
CHOSEN = [{"dataset": n, "normal_class": k} for n, k in CHOSEN_CLASSES.items()]
FASHION_AND_CIFAR = each("dataset", ("fashion_mnist", "cifar10"))
PAPER_AND_FAST = each("preset", ("paper", "fast"))
REAL = each("category", ("bottle", "transistor"))
# 2,000 steps, as ReContrast's (Guo et al. 2023): 143 epochs of 14 steps on either real category.
TWO_THOUSAND = {"preset": "fast", "epochs": 143}
LAST_TEN = {"eval_last": 10}
SMALL_REAL = {"backbone": LITE0, "image_size": LIMITATIONS_SIZE, **LAST_TEN}
EMBEDDED_128 = {"dataset": "synthetic", "backbone": LITE0, "image_size": LIMITATIONS_SIZE, **REPORT}
# On the development seed, image AUROC was farthest below that of `paper` on these four.
HARDEST = each("category", ("toothbrush", "pill", "cable", "grid"))
TURNED_CATEGORIES = ("wood", "carpet", "bottle", "screw", "transistor", "hazelnut")

STUDIES = (
    # studies at the printed protocol
    Study(
        "paper",
        "Do Tables 1 and 2 reproduce at the paper's main resolution?",
        (Batch({"preset": "paper"}, (seeds(), ALL)),),
        ("table1", "table2", "table3", "table5", "table6", "table7"),
        None,
        None,
    ),
    Study(
        "paper-128",
        "Do Tables 1 and 2 reproduce at 128 pixels?",
        (Batch({"preset": "paper", "image_size": LIMITATIONS_SIZE}, (seeds(), ALL)),),
        ("table1", "table2"),
        None,
        None,
    ),
    Study(
        "paper-bottlenecks",
        "Does each part of the bottleneck add as much as in Table 5?",
        (
            Batch(
                {"preset": "paper"},
                (seeds(), ALL, list(BOTTLENECK_VARIANTS.values())[:-1]),
            ),
        ),
        ("table5",),
        None,
        None,
    ),
    Study(
        "paper-backbones",
        "Do other teachers give the values of Table 6?",
        (Batch({"preset": "paper"}, (seeds(), ALL, each("backbone", ("resnet18", "resnet50")))),),
        ("table6",),
        None,
        None,
    ),
    Study(
        "paper-layers",
        "Do other choices of layers give the values of Table 7?",
        (Batch({"preset": "paper"}, (seeds(), ALL, PARTS_OF_LAYERS)),),
        ("table7",),
        None,
        None,
    ),
    Study(
        "paper-baselines",
        "Do PaDiM, SPADE and MKD give the values of Tables 1 to 3?",
        (
            Batch({"preset": "paper", "method": "spade"}, (ALL,)),
            Batch({"preset": "paper", "method": "padim"}, (seeds(), ALL)),
            Batch({"preset": "mkd", "dataset": "mvtec"}, (seeds(), ALL)),
        ),
        ("table1", "table2", "table3", "medical1", "medical2"),
        None,
        None,
    ),
    Study(
        "extension",
        "Does the extension's method give the values of its Tables 1, 2 and 4?",
        (Batch({}, (each("preset", ("extension", "extension_mkd")), seeds(), ALL)),),
        ("medical1", "medical2", "medical4"),
        None,
        None,
    ),
    Study(
        "medical-printed",
        "Does the extension's Table 3 reproduce at its own protocol?",
        (
            Batch(
                {"split": "report"},
                (
                    each("dataset", ("head_ct", "brain_mri", "retinal_oct")),
                    seeds(),
                    OWN_READINGS,
                ),
            ),
            Batch(
                {"preset": "mkd"},
                (
                    seeds(),
                    [
                        {"dataset": "head_ct", "split": "report"},
                        {"dataset": "brain_mri", "split": "report"},
                        {"dataset": "retinal_oct", "split": "official"},
                    ],
                ),
            ),
        ),
        ("medical3",),
        None,
        None,
    ),
    Study(
        "novelty-mkd",
        "Does MKD give the values of Table 4?",
        (
            Batch(
                {"preset": "mkd"},
                (each("dataset", ("mnist", "fashion_mnist", "cifar10")), seeds(), CLASSES),
            ),
        ),
        ("table4",),
        None,
        None,
    ),
    Study(
        "medical-mkd",
        "What does MKD reach on Head CT, with folds of consecutive numbers?",
        (Batch({**MKD_RUN, **HEAD_CT, "epochs": 60}, (EVERY_FOLD,)),),
        ("medical",),
        None,
    ),
    # studies at smaller protocols, which were run
    Study(
        "readme",
        "What does the demo reach?",
        (Batch({"preset": "demo", "category": "wood", **DEVELOPMENT}),),
        ("README.md",),
        0.01,
        2,
    ),
    Study(
        "embedded",
        "How hard are the embedded categories?",
        (Batch(DEMO, (ALL,)),),
        ("README.md", "figure 3"),
        0.17,
    ),
    Study(
        "complexity",
        "How much time and memory does testing an image take?",
        (
            Batch(
                {"preset": "paper", "category": "bottle", "weights": RANDOM},
                (
                    each("precision", ("float32",)),
                    each("image_size", (256, 224)),
                    [{"method": "padim"}, {"method": "spade"}, {"epochs": 1}],
                ),
            ),
            Batch(
                {"preset": "quick", "category": "bottle", "seed": 1, **RESNET18},
                (
                    # The file of ResNet-18's weights ends at the third stage.
                    [{"method": "padim"}, {"method": "spade", "pooled_layer": 3}, {"epochs": 40}],
                ),
            ),
        ),
        ("table3",),
        0.07,
        2,
        timed=True,
    ),
    Study(
        "small-backbones",
        "What do small teachers reach on MVTec AD's category bottle?",
        (
            Batch({**BOTTLE, "preset": "paper", **RESNET18}, (seeds(), CHOICES_OF_LAYERS)),
            Batch(
                {**BOTTLE, "preset": "paper", "backbone": LITE0},
                (seeds(), list(BOTTLENECK_VARIANTS.values())),
            ),
            Batch(
                {**BOTTLE, "preset": "paper", **RESNET18, "seed": SEEDS[0]},
                (list(layer_variants("train").values()),),
            ),
            Batch({"preset": "paper", "category": "bottle", **RESNET18}, (seeds(),)),
        ),
        ("README.md", "Tables 5-7 in shape", "figures 1, 2 and 4"),
        5.12,
    ),
    Study(
        "gpu-first",
        "Does a GPU give the results of the processor?",
        (
            Batch({"preset": "paper", "category": "bottle", **RESNET18}, (seeds(),)),
            Batch(
                {"preset": "paper", "category": "bottle", "backbone": "resnet50", "seed": SEEDS[0]}
                | {"weights": QUANTISED_RESNET50}
            ),
        ),
        ("README.md", "Table 6 in shape"),
        0.07,
        16,
    ),
    Study(
        "ablation",
        "Do the steps of Tables 5 and 7 appear on the embedded categories?",
        (Batch(DEMO, (ALL, [*BOTTLENECK_VARIANTS.values(), *PARTS_OF_LAYERS])),),
        ("Tables 5-7 in shape",),
        0.41,
    ),
    Study(
        "deviations",
        "What does each switch change?",
        (
            Batch(DEMO, (each("category", TEXTURES), SWITCHED, seeds())),
            Batch({"preset": "quick", "category": "bottle", **RESNET18}, (SWITCHED, seeds())),
        ),
        ("DEVIATIONS.md",),
        1.94,
    ),
    Study(
        "deviations-10-epochs",
        "What does each switch change with ten epochs?",
        (
            Batch(
                {"preset": "quick", "category": "bottle", "epochs": 10, **RESNET18},
                (SWITCHED, seeds()),
            ),
        ),
        ("RESULTS.md",),
        0.52,
    ),
    Study(
        "deviations-transistor",
        "What does each switch change at the printed number of steps, on harder images?",
        (
            Batch(
                {"preset": "paper", "category": "transistor", **RESNET18},
                ([*SWITCHED, {"deterministic": False}], seeds()),
            ),
        ),
        ("DEVIATIONS.md",),
        None,
        16,
    ),
    Study(
        "fast",
        "Does a tenth of the gradient steps give the quality of the paper's 200 epochs?",
        (
            Batch({**EMBEDDED_128, **LAST_TEN}, (seeds(), ALL, PAPER_AND_FAST)),
            Batch(SMALL_REAL, (seeds(), REAL, PAPER_AND_FAST)),
            Batch({**SMALL_REAL, **TWO_THOUSAND}, (seeds(SEEDS[0]), REAL)),
            Batch({**EMBEDDED_128, "preset": "fast"}, (HARDEST, seeds(*range(4, 24)))),
        ),
        ("README.md", "RESULTS.md"),
        2.18,
    ),
    Study(
        "fast-more",
        "Does it hold for larger images and other teachers, and which number of steps is enough?",
        (
            Batch({**SMALL_REAL, **TWO_THOUSAND}, (seeds(*SEEDS[1:]), REAL)),
            # `paper` on bottle with ResNet-18 is in the study small-backbones.
            Batch({**RESNET18, "category": "bottle", "preset": "fast", **LAST_TEN}, (seeds(),)),
            Batch({**EMBEDDED_128, "preset": "fast"}, (seeds(), HARDEST, each("epochs", (40, 80)))),
            Batch(
                {"backbone": LITE0, "category": "transistor", **LAST_TEN},
                (seeds(), PAPER_AND_FAST),
            ),
        ),
        ("RESULTS.md",),
        None,
    ),
    Study(
        "novelty",
        "What does one-class novelty detection reach?",
        (
            Batch(
                {"preset": "novelty_official", "dataset": "mnist", **RESNET18},
                (seeds(), CLASSES),
            ),
            Batch(
                {"preset": "novelty_official", "seed": 1, **RESNET18},
                (FASHION_AND_CIFAR, CLASSES),
            ),
            Batch(
                {"preset": "novelty_official", "seed": 2, **RESNET18},
                (FASHION_AND_CIFAR, CLASSES[:4]),
            ),
            Batch(
                {"preset": "novelty_tuned", "dataset": "mnist", **RESNET18},
                (seeds(), CLASSES),
            ),
            Batch(
                {"preset": "novelty_tuned", "seed": 1, **RESNET18},
                (FASHION_AND_CIFAR, CLASSES),
            ),
        ),
        ("table4", "novelty"),
        2.54,
    ),
    Study(
        "novelty-grid",
        "Which switches help novelty detection, judged by training images alone?",
        (
            Batch(
                {
                    "preset": "novelty_official",
                    "split": "validation",
                    "epochs": GRID_EPOCHS,
                    **RESNET18,
                },
                (seeds(1, 2), CHOSEN, list(GRID.values())),
            ),
        ),
        ("novelty", "DEVIATIONS.md"),
        0.50,
    ),
    Study(
        "novelty-curves",
        "Is the curve of novelty detection flat after five epochs?",
        (
            Batch(
                {
                    "preset": "novelty_official",
                    "epochs": 20,
                    "eval_every": 4,
                    "seed": 1,
                    **RESNET18,
                },
                ([c for c in CHOSEN if c["dataset"] != "fashion_mnist"],),
            ),
        ),
        ("novelty",),
        0.20,
    ),
    Study(
        "medical-table3",
        "What does each column of the extension's Table 3 reach with small teachers?",
        (
            Batch(
                {**REDUCED, "seed": 1, "data_seed": 1},
                (EVERY_FOLD, SETS, [RESNET18, {"backbone": LITE0}], OWN_READINGS),
            ),
            Batch({**MKD_RUN, **BRAIN_MRI, "epochs": 60}, (EVERY_FOLD,)),
        ),
        ("medical3", "medical"),
        4.83,
        earlier=(
            Batch(
                {**REDUCED, "seed": 1, "data_seed": 1},
                (EVERY_FOLD, EARLIER, [RESNET18, {"backbone": LITE0}], OWN_READINGS),
            ),
            Batch({**MKD_RUN, "epochs": 60}, (EVERY_FOLD, EARLIER)),
        ),
    ),
    Study(
        "medical-habits",
        "What does each habit of the extension's code change?",
        (
            Batch(
                {**REDUCED, "backbone": LITE0, "seed": 1, "data_seed": 1},
                (EVERY_FOLD, SETS, [how for _, _, how in HABITS.values()]),
            ),
        ),
        ("medical", "DEVIATIONS.md"),
        2.11,
        earlier=(
            Batch(
                {**REDUCED, "backbone": LITE0, "seed": 1, "data_seed": 1},
                (EVERY_FOLD, EARLIER, [how for _, _, how in HABITS.values()]),
            ),
        ),
    ),
    Study(
        "medical-long",
        "What does the number of epochs in the extension's code change?",
        (
            Batch({**LONG, **HEAD_CT}, (OWN_READINGS,)),
            Batch({**MKD_RUN, **BRAIN_MRI, "epochs": 201, "fold": 0}),
        ),
        ("medical",),
        0.97,
        earlier=(Batch({**LONG, **EARLIER[0]}, (OWN_READINGS,)),),
    ),
    Study(
        "medical-again",
        "Do another seed and other folds give values inside the predicted intervals?",
        (
            Batch(
                {**REDUCED, "backbone": LITE0, "seed": 2, "data_seed": 2},
                (EVERY_FOLD, SETS, OWN_READINGS),
            ),
        ),
        ("medical",),
        0.84,
        earlier=(
            Batch(
                {**REDUCED, "backbone": LITE0, "seed": 2, "data_seed": 2},
                (EVERY_FOLD, EARLIER, OWN_READINGS),
            ),
        ),
    ),
    Study(
        "rotation",
        'Is the method "rotational independent", as the extension says?',
        (
            Batch(
                {**DEMO, "seed": 1},
                (each("category", TURNED_CATEGORIES), each("rotation", ANGLES)),
            ),
            Batch(
                {"preset": "quick", "category": "bottle", "seed": 1, "epochs": 10, **RESNET18},
                (each("rotation", ANGLES),),
            ),
        ),
        ("rotation",),
        0.07,
    ),
)
BY_NAME = {study.name: study for study in STUDIES}
PRINTED = tuple(table_name(paper, number) for paper, number in LAYOUTS)
# Which studies have the runs of each printed table.
TABLES = {
    table: tuple(study.name for study in STUDIES if table in study.feeds) for table in PRINTED
}


def studies_of(name: str) -> list[Study]:
    """The studies of this name: a single study, or all studies of a printed table.

    ValueError, with the nearest known name, for any other name.
    """
    if name in TABLES:
        return [BY_NAME[study] for study in TABLES[name]]
    if name not in BY_NAME:
        known = [*BY_NAME, *TABLES]
        raise ValueError(
            f"{name!r} is neither a study nor a table.{nearest(name, known)} "
            "`python -m rdrepro.study list` shows all"
        )
    return [BY_NAME[name]]
