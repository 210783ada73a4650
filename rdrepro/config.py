"""RunConfig: everything that defines a result, resolved, and the two keys derived from it."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from rdrepro.data.medical import MEDICAL_DATASETS, MEDICAL_SPLITS, NORMAL, check_split
from rdrepro.data.mvtec import check_category
from rdrepro.data.novelty import (
    CALTECH_COUNTS,
    CLASSES,
    NOVELTY_DATASETS,
    SPLITS,
    check_class,
)
from rdrepro.losses import LOSSES, REDUCTIONS
from rdrepro.scoring import COMBINATIONS, LOSS_SCORES, MAP_SCORES
from rdrepro.text import nearest, one_of
from rdrepro.weights import NORMALISATIONS, VGG16

# Raised whenever the same configuration would give another result.
METHOD_VERSION = 1
ALL_LAYERS = (1, 2, 3)


@dataclass(frozen=True)
class RunConfig:
    """One run's settings; the defaults are the paper's protocol as the authors' code runs it.

    No path, device, library or time is a field: those are provenance. `weights` is a published
    name, `random` or `sha256:...`. D numbers are entries of DEVIATIONS.md.
    """

    # data
    dataset: str = "mvtec"  # Sec. 4.1
    category: str = "bottle"  # one of MVTEC_CATEGORIES, or a class; no default of the paper's
    normal_class: int | None = None  # Sec. 4.2; novelty detection only
    inlier_categories: int = 1  # Caltech-256 only; 1, 3 or 5 (O14)
    split: str = "official"  # novelty detection: or "validation", to choose settings by
    fold: int | None = None  # medical sets: of split="kfold", or the draw of split="report"
    data_seed: int = 1  # embedded data (1 to develop on, 2 to report), folds of medical sets
    image_size: int = 256  # Sec. 4.1; square, pixels
    # official dataset.py; "none" for MNIST, Fashion-MNIST (D9); "symmetric" for RadImageNet's
    normalise: str = "imagenet"
    mask_threshold: float = 0.5  # official test.py; of masks resized bilinearly (D19)
    label_source: str = "folder"  # "mask": official test.py, from the resized mask (D18)
    # of test images and masks, degrees counter-clockwise: the extension's "rotational independent"
    rotation: float = 0.0
    # method
    method: str = "reverse_distillation"
    backbone: str = "wide_resnet50_2"  # Sec. 4.1
    weights: str = "IMAGENET1K_V1"  # official resnet.py
    stem: str = "original"  # official resnet.py: 7x7 convolution and max-pool (D10)
    teacher_bn: str = "frozen"  # official main.py; "train": the extension's accident (E4)
    bottleneck: str = "oce+mff"  # Table 5, last column
    oce_width: int = 128  # official resnet.py: the teacher's own base width (D4)
    mff_projection: bool = False  # official resnet.py; the paper's 1x1 convolution (D2)
    train_layers: tuple[int, ...] = ALL_LAYERS  # Table 7, last column
    loss: str = "kd"  # Eq. 2; "mkd": extension, Eq. 4; "mkd_coded": its code's form (E1)
    loss_reduction: str = "flatten"  # official main.py; "pointwise": Eq. 2 as printed (D1)
    mkd_weight: float = 1000.0  # extension's code; its report prints none
    # what Table 3 compares with
    padim_channels: int = 550  # Defard et al. 2021, for WideResNet-50-2; 100 for ResNet-18
    neighbours: int = 50  # Cohen & Hoshen 2020, SPADE's K
    pooled_layer: int = 4  # SPADE's image level: the mean of the last stage; 3 where weights end
    value_weight: float = 0.01  # Salehi et al. 2021, MKD's official config.yaml; 0.5 on MVTec
    # optimisation: Sec. 4.1 and official main.py
    epochs: int = 200
    batch_size: int = 16
    lr: float = 0.005
    beta1: float = 0.5
    beta2: float = 0.999
    seed: int = 111
    precision: str = "float32"  # official main.py; resolved, never "auto"
    eval_every: int = 0  # epochs between looks at the test set, 0: never; selects nothing
    # the extension's early stopping (its Sec. 4.3); "leaky" validates on tested images (E9)
    early_stopping: str = "none"
    patience: int | None = None  # epochs without a lower validation loss; 15 there
    validation_fraction: float = 0.0  # of the training images; 0.25 there
    # scoring
    map_layers: tuple[int, ...] = ALL_LAYERS  # Table 7, last column
    map_combine: str = "sum"  # Eq. 3 (D15)
    align_corners: bool = True  # official test.py (D14)
    sigma: float = 4.0  # Sec. 4.1; pixels
    score: str = "max"  # Sec. 3.3

    def __post_init__(self):
        for field in fields(self):
            object.__setattr__(self, field.name, parse(field.name, getattr(self, field.name)))
        for name, legal in CHOICES.items():
            value = getattr(self, name)
            if value not in legal:
                raise ValueError(f"{name}={value!r} is not {one_of(legal)}.{nearest(value, legal)}")
        for name, (lowest, highest) in RANGES.items():
            value = getattr(self, name)
            if not lowest <= value <= highest:
                bound = f"at least {lowest}" if value < lowest else f"at most {highest}"
                raise ValueError(f"{name}={value} must be {bound}")
        self._check_ranges()
        self._check_class()
        self._check_stopping()
        self._check_backbone()
        self._check_weight()
        if self.mff_projection and self.bottleneck != "oce+mff":
            raise ValueError(
                f"mff_projection=True needs bottleneck='oce+mff', not {self.bottleneck!r}"
            )

    def _check_class(self) -> None:
        kinds = {
            "normal_class": NOVELTY_DATASETS,
            "split": [n for n in (*NOVELTY_DATASETS, *MEDICAL_DATASETS) if n != "caltech256"],
            "fold": MEDICAL_DATASETS,
            "inlier_categories": ["caltech256"],
        }
        for name, datasets in kinds.items():
            if self.dataset not in datasets and getattr(self, name) != getattr(RunConfig, name):
                raise ValueError(f"{name} has no meaning with dataset={self.dataset!r}")
        if self.dataset in MEDICAL_DATASETS:
            check_split(self.dataset, self.split, self.fold)
            if self.category != NORMAL:
                raise ValueError(f"category={self.category!r} is {NORMAL!r} in a medical data set")
            return
        if self.dataset not in NOVELTY_DATASETS:
            check_category(self.category)
            return
        if self.split not in SPLITS:
            raise ValueError(f"split={self.split!r} is not {one_of(SPLITS)} of {self.dataset}")
        check_class(self.dataset, self.normal_class)
        named = CLASSES[self.dataset][self.normal_class]
        if self.category != named:
            raise ValueError(f"category={self.category!r} is not {named!r}, that of normal_class")

    def _check_stopping(self) -> None:
        kind, patience, share = self.early_stopping, self.patience, self.validation_fraction
        if kind == "none" and (patience is not None or share):
            raise ValueError(
                f"patience={patience} and validation_fraction={share} have no meaning with "
                "early_stopping='none'; name a kind or leave them out"
            )
        if kind != "none" and (patience is None or patience < 1):
            raise ValueError(f"patience={patience} must be at least 1, in epochs")
        if kind == "train" and not 0 < share < 1:
            raise ValueError(f"validation_fraction={share} must lie in (0, 1)")
        if kind == "leaky" and share:
            raise ValueError(
                f"validation_fraction={share} has no meaning with early_stopping='leaky', which "
                "validates on all tested normal images"
            )
        if kind != "none" and self.dataset in NOVELTY_DATASETS:
            raise ValueError(f"early_stopping={kind!r} has no meaning with {self.dataset}")
        if kind == "leaky" and self.dataset not in MEDICAL_DATASETS:
            raise ValueError(
                f"early_stopping='leaky' has no meaning with {self.dataset}; the extension leaked "
                f"on {one_of(MEDICAL_DATASETS)}"
            )

    def _check_weight(self) -> None:
        weighed = {self.loss, self.score} & {"mkd", "mkd_coded", "mkd_loss"}
        if self.mkd_weight != RunConfig.mkd_weight and not weighed:
            raise ValueError(
                f"mkd_weight={self.mkd_weight:g} has no meaning with loss={self.loss!r} and "
                f"score={self.score!r}; leave it out"
            )

    def _check_backbone(self) -> None:
        if self.method == "mkd" and self.backbone != VGG16:
            raise ValueError(
                f"backbone={self.backbone!r} does not fit method='mkd', whose teacher is {VGG16}; "
                f"use backbone={VGG16}"
            )
        if self.backbone == VGG16 and self.method != "mkd":
            raise ValueError(
                f"backbone={VGG16!r} is the teacher of method='mkd' alone, not of "
                f"{self.method!r}; use another backbone"
            )

    def _check_ranges(self) -> None:
        if self.image_size % 32:
            below = self.image_size // 32 * 32
            raise ValueError(
                f"image_size={self.image_size} is not a multiple of 32, the bottleneck's stride; "
                f"the nearest are {below} and {below + 32}"
            )
        for name in ("beta1", "beta2", "mask_threshold"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must lie in [0, 1)")
        if not 0 <= self.rotation < 360:
            raise ValueError(f"rotation={self.rotation} must lie in [0, 360), in degrees")
        if self.lr <= 0:
            raise ValueError(f"lr={self.lr} must be positive")
        if not set(self.map_layers) <= set(self.train_layers):
            raise ValueError(
                f"map_layers={self.map_layers} are not all among train_layers={self.train_layers}; "
                "a layer that was not trained has no meaningful map"
            )


REMEMBERING = ("padim", "spade")  # they keep features of normal images and train nothing
BASELINES = (*REMEMBERING, "mkd")
METHODS = ("reverse_distillation", *BASELINES)
BOTTLENECKS = ("pretrained", "oce", "oce+mff")  # the columns of Table 5
STEMS = ("original", "no_maxpool")  # the second halves every stride, of a ResNet only
CHOICES = {
    "dataset": ("mvtec", "synthetic", *NOVELTY_DATASETS, *MEDICAL_DATASETS),
    "inlier_categories": CALTECH_COUNTS,
    "split": tuple(dict.fromkeys((*SPLITS, *sum(MEDICAL_SPLITS.values(), ())))),
    "normalise": ("imagenet", *NORMALISATIONS),
    "stem": STEMS,
    "label_source": ("folder", "mask"),
    "method": METHODS,
    "teacher_bn": ("frozen", "train"),
    "early_stopping": ("none", "train", "leaky"),
    "bottleneck": BOTTLENECKS,
    "pooled_layer": (3, 4),
    "loss": LOSSES,
    "loss_reduction": REDUCTIONS,
    "precision": ("float32", "bfloat16"),
    "map_combine": COMBINATIONS,
    "score": (*MAP_SCORES, *LOSS_SCORES),
}
LARGEST_SEED = 2**63 - 1  # torch.manual_seed
RANGES = {
    "image_size": (32, 4096),
    "epochs": (1, 100_000),
    "batch_size": (1, 65_536),
    "oce_width": (1, 4096),
    "seed": (0, LARGEST_SEED),
    "data_seed": (0, LARGEST_SEED),
    "eval_every": (0, 100_000),
    "sigma": (0, 256),
    "mkd_weight": (0, 1e9),
    "value_weight": (0, 1e9),
    "padim_channels": (1, 100_000),
    "neighbours": (1, 1_000_000),
}
# What a trained student does not depend on; everything else is in its train_key.
EVAL_FIELDS = (
    "eval_every",
    "mask_threshold",
    "label_source",
    "rotation",
    "map_layers",
    "map_combine",
    "align_corners",
    "sigma",
    "score",
)
# What a method that only remembers has not; left at the defaults in its rows.
DISTILLATION_FIELDS = (
    *("teacher_bn", "bottleneck", "oce_width", "mff_projection", "train_layers", "loss"),
    *("loss_reduction", "mkd_weight", "epochs", "lr", "beta1", "beta2", "eval_every"),
    *("early_stopping", "patience", "validation_fraction"),
    *("map_layers", "map_combine", "score"),
)
# What has no meaning for a VGG, and for a map that is as large as the image.
MAP_FIELDS = ("stem", "align_corners")
# What a method has that some other has not.
OWN_FIELDS = {
    "reverse_distillation": (*DISTILLATION_FIELDS, *MAP_FIELDS),
    "padim": ("padim_channels", *MAP_FIELDS),
    "spade": ("neighbours", "pooled_layer", *MAP_FIELDS),
    "mkd": ("value_weight", "epochs", "lr", "beta1", "beta2"),
}


def foreign_fields(method: str) -> set[str]:
    """Return the fields that a method has not; its rows hold their defaults."""
    owned = {name for names in OWN_FIELDS.values() for name in names}
    return owned - set(OWN_FIELDS.get(method, ()))


# Fields that the paper's protocol does not fix: the seed is free, the precision a footnote.
FREE_FIELDS = ("category", "seed", "data_seed", "precision", "eval_every")
FIELD_NAMES = tuple(f.name for f in fields(RunConfig))
_TYPES = {f.name: f.type for f in fields(RunConfig)}


def protocol_differences(config: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the fields that leave the paper's protocol: {name: (value, the paper's)}."""
    default = {f.name: f.default for f in fields(config)}
    return {
        name: (value, default[name])
        for name, value in asdict(config).items()
        if name not in FREE_FIELDS and value != default[name]
    }


def parse(name: str, value: Any) -> Any:
    """Return a field's value in its own type, from a plain value or from text.

    ValueError, in one sentence, for an unknown field or a value of another kind (False is no
    integer, "" no number).
    """
    if name not in _TYPES:
        raise ValueError(f"{name!r} is no setting.{nearest(name, FIELD_NAMES)}")
    kind = _TYPES[name]
    if kind == tuple[int, ...]:
        return _parse_layers(name, value)
    if kind is bool:
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise ValueError(f"{name}={value!r} must be True or False")
    if kind == int | None:
        return None if value is None or value != value else _parse_number(name, value, int)
    if kind is str:
        if isinstance(value, str):
            return value
        legal = f": {one_of(CHOICES[name])}" if name in CHOICES else ""
        raise ValueError(f"{name}={value!r} must be text{legal}")
    return _parse_number(name, value, kind)


def _parse_number(name: str, value: Any, kind: type) -> int | float:
    noun = "a whole number" if kind is int else "a number"
    try:
        if isinstance(value, bool):
            raise ValueError
        if kind is int and str(value).lstrip("-").isdigit():
            return int(value)  # exact, however large
        number = float(value)
        if not math.isfinite(number) or (kind is int and number % 1):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}={value!r} must be {noun}") from None
    return kind(number)


def _parse_layers(name: str, value: Any) -> tuple[int, ...]:
    parts = value if isinstance(value, tuple | list) else str(value).split(",")
    try:
        layers = tuple(sorted({int(str(part)) for part in parts}))
    except ValueError:
        layers = ()
    if not layers or not set(layers) <= set(ALL_LAYERS):
        raise ValueError(f'{name}={value!r} must name layers among 1, 2 and 3, as in "2,3" or 3')
    return layers


def parse_overrides(text: str) -> dict[str, Any]:
    """Parse "oce_width=64 map_combine=product" into fields; ValueError says what is off."""
    settings = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"overrides: {word!r} is not of the form name=value")
        if name in settings:
            raise ValueError(f"{name} is given twice in overrides; keep one")
        settings[name] = parse(name, value)
    return settings


def train_key(config: RunConfig, train_data: str) -> str:
    """Return what identifies a trained student: its settings and the hash of its training data."""
    return _digest({**_changed(config, EVAL_FIELDS), "train_data": train_data})


def eval_key(config: RunConfig, train_data: str, test_data: str) -> str:
    """Return what identifies a result: the student, the scoring and the hash of the test data."""
    trained = train_key(config, train_data)
    changed = _changed(config, tuple(n for n in FIELD_NAMES if n not in EVAL_FIELDS))
    return _digest({**changed, "train_key": trained, "test_data": test_data})


def _changed(config: RunConfig, skipped: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that differ from the defaults, so that a new field changes no key."""
    default = {f.name: f.default for f in fields(config)}
    return {
        name: value
        for name, value in asdict(config).items()
        if name not in skipped and value != default[name]
    }


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps({**content, "method_version": METHOD_VERSION}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
