"""RunConfig, all the settings that define a result, and the two keys derived from it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from dataclasses import fields as declared_fields
from typing import Any

from rdrepro import fields, registry
from rdrepro.backbones import IMAGENET, VGG16
from rdrepro.fields import said_of, setting
from rdrepro.text import nearest, one_of

# To be raised whenever the same configuration would give another result.
METHOD_VERSION = 1
ALL_LAYERS = fields.LAYERS
LARGEST_SEED = 2**63 - 1  # torch.manual_seed
BOTTLENECKS = ("pretrained", "oce", "oce+mff")  # the columns of Table 5
LARGEST_LR = 1  # ours
STEMS = ("original", "no_maxpool")  # no_maxpool halves every stride; for ResNets only
REDUCTIONS = ("flatten", "pointwise")
LOSSES = ("kd", "mkd", "mkd_coded")
COMBINATIONS = ("sum", "product")
OPTIMISERS = ("adam", "muon")
SCHEDULES = ("constant", "cosine")
MAP_SCORES = ("max", "sum", "top1pct")
LOSS_SCORES = ("kd_loss", "mkd_loss")
SPLITS = tuple(dict.fromkeys(split for entry in registry.ENTRIES for split in entry.splits))
INLIERS = tuple(sorted({n for entry in registry.ENTRIES for n in entry.inlier_categories}))

OURS = "reverse_distillation"
METHODS = [OURS, "padim", "spade", "mkd"]  # `methods.register` adds to this list
DISTILLED = (OURS,)
TRAINED = (OURS, "mkd")  # by gradient descent
MAPPED = (OURS, "padim", "spade")  # whose maps are upsampled from a `Teacher`'s features


@dataclass(frozen=True)
class RunConfig:
    """The settings of one run. The defaults are the paper's protocol as the authors' code runs it.

    Paths, device, libraries and times are not fields: they belong to a row's provenance. `weights`
    is a published name, `random` or `sha256:...`. Numbers such as D1, E4 and O18 are entries of
    DEVIATIONS.md. Raises ValueError for a value or a combination that is not allowed, and says what
    is.
    """

    # data
    dataset: str = setting(
        "mvtec",
        "Sec. 4.1",
        choices=registry.DATASETS,
        row=", ".join(f"{e.name} (embedded)" if e.drawn else e.name for e in registry.ENTRIES),
    )
    category: str = setting(
        "bottle",
        "ours: the paper has no default",
        free=True,
        hint="one of MVTec AD's fifteen",
        row="MVTec AD's category; elsewhere the normal class's name, or empty",
    )
    normal_class: int | None = setting(
        None,
        "Sec. 4.2",
        later=True,
        hint="0-9, or -1 for all in turn; of caltech256, a draw of categories",
        row="novelty detection (Table 4): the class that is normal, or the number of a draw of "
        "Caltech-256's categories; null elsewhere",
    )
    inlier_categories: int = setting(
        1,
        "Sec. 4.2 (O14)",
        choices=INLIERS,
        later=True,
        row="Caltech-256: how many random categories are normal; without meaning elsewhere",
    )
    split: str = setting(
        "official",
        "Sec. 4.1",
        choices=SPLITS,
        later=True,
        hint="official, pasted, validation, blocks, kfold or report (ten test normals)",
        row="official: the data set's own; validation: part of the training images, to choose "
        "settings by; pasted: the same of MVTec-like data, with drawn defects; report: ten test "
        "normals, as the extension; kfold: every normal tested once; blocks: the same in runs of "
        "consecutive numbers",
    )
    fold: int | None = setting(
        None,
        "ours (O18)",
        low=0,
        later=True,
        enforced=True,
        hint="0-4 of blocks or kfold, -1 for all; of report, the number of the draw",
        row="of split=blocks or kfold, or the draw of split=report",
    )
    data_seed: int = setting(
        1,
        "ours; embedded data: 1 to develop on, 2 to report; folds: the number of the draw",
        low=0,
        high=LARGEST_SEED,
        free=True,
    )
    image_size: int = setting(256, "Sec. 4.1", low=32, high=4096, hint="pixels, a multiple of 32")
    normalise: str = setting(
        "imagenet",
        'official dataset.py; "none" for MNIST and Fashion-MNIST (D9); "symmetric": RadImageNet',
        choices=("imagenet", "none", "symmetric"),
        later=True,
        enforced=True,
        row="how images reach the teacher (DEVIATIONS.md, D9); symmetric: in [-1, 1]",
    )
    mask_threshold: float = setting(
        0.5, "official test.py; of masks resized bilinearly (D19)", low=0, below=1, trains=False
    )
    label_source: str = setting(
        "folder",
        'ours; "mask": official test.py, from the resized mask (D18)',
        choices=("folder", "mask"),
        trains=False,
    )
    rotation: float = setting(
        0.0,
        'ours, to test the extension\'s "rotational independent"',
        low=0,
        below=360,
        unit="degrees",
        trains=False,
        later=True,
        enforced=True,
        row="degrees by which test images and masks are rotated counter-clockwise",
    )
    # method
    method: str = setting(OURS, "Sec. 3", choices=METHODS, row=", ".join(METHODS))
    backbone: str = setting(
        "wide_resnet50_2",
        "Sec. 4.1",
        hint="torchvision ResNet, efficientnet_lite0 or timm/NAME",
    )
    weights: str = setting(
        IMAGENET,
        "official resnet.py",
        hint="IMAGENET1K_V1, random, or the path of a state dict",
    )
    stem: str = setting(
        "original",
        "official resnet.py: 7x7 convolution and max-pool (D10)",
        choices=STEMS,
        methods=MAPPED,
        later=True,
        hint="original, or no_maxpool for twice as fine maps",
        row="the teacher's first layers; another value names what was changed (D10)",
    )
    teacher_bn: str = setting(
        "frozen",
        'official main.py; "train": an accident of the extension\'s code (E4)',
        choices=("frozen", "train"),
        methods=DISTILLED,
    )
    bottleneck: str = setting(
        "oce+mff",
        "Table 5, last column",
        choices=BOTTLENECKS,
        methods=DISTILLED,
        row=f"{', '.join(BOTTLENECKS)} (Table 5)",
    )
    oce_width: int = setting(
        128,
        "official resnet.py: the teacher's own base width (D4)",
        low=1,
        high=4096,
        methods=DISTILLED,
    )
    mff_projection: bool = setting(
        False, "official resnet.py; the paper has a 1x1 convolution (D2)", methods=DISTILLED
    )
    train_layers: tuple[int, ...] = setting(
        ALL_LAYERS, "Table 7, last column", methods=DISTILLED, hint='layers to distil, as in "2,3"'
    )
    loss: str = setting(
        "kd",
        'Eq. 2; "mkd": extension, Eq. 4; "mkd_coded": the form of its code (E1)',
        choices=LOSSES,
        methods=DISTILLED,
        hint="kd, mkd (Eq. 4 of the extension) or mkd_coded (as its code has it)",
        row="kd (Eq. 2), mkd (extension, Eq. 4), mkd_coded (the form that its code has)",
    )
    loss_reduction: str = setting(
        "flatten",
        'official main.py; "pointwise": Eq. 2 as printed (D1)',
        choices=REDUCTIONS,
        methods=DISTILLED,
        hint="flatten (official) or pointwise (Eq. 2)",
    )
    # With loss="kd" only the score may use the weight. It is part of the student's key even then:
    # each weight trains the same student anew, which costs time and changes no result.
    mkd_weight: float = setting(
        1000.0,
        "extension's code; its report prints none",
        low=0,
        high=1e9,
        methods=DISTILLED,
        hint="lambda of the extension's Eq. 4",
    )
    # baselines
    padim_channels: int = setting(
        550,
        "Defard et al. 2021, for WideResNet-50-2; 100 for ResNet-18",
        low=1,
        high=100_000,
        methods=("padim",),
        later=True,
        row="PaDiM: how many random channels it keeps; without meaning elsewhere",
    )
    neighbours: int = setting(
        50,
        "Cohen & Hoshen 2020, SPADE's K",
        low=1,
        high=1_000_000,
        methods=("spade",),
        later=True,
        row="SPADE: nearest normal images; without meaning elsewhere",
    )
    pooled_layer: int = setting(
        4,
        "Cohen & Hoshen 2020: the mean of the last stage; 3 where the weights end there",
        choices=(3, 4),
        methods=("spade",),
        later=True,
        row="SPADE: the layer whose mean the image level compares; without meaning elsewhere",
    )
    value_weight: float = setting(
        0.01,
        "Salehi et al. 2021, official config.yaml; 0.5 on MVTec AD",
        low=0,
        high=1e9,
        methods=("mkd",),
        later=True,
        row="MKD: weight of the squared differences beside the cosines; without meaning elsewhere",
    )
    # optimisation
    epochs: int = setting(
        200,
        "Sec. 4.1, official main.py",
        low=1,
        high=100_000,
        methods=TRAINED,
        hint="passes over the training images",
    )
    batch_size: int = setting(
        16, "Sec. 4.1, official main.py", low=1, high=65_536, hint="images per gradient step"
    )
    optimiser: str = setting(
        "adam",
        "Sec. 4.1, official main.py",
        choices=OPTIMISERS,
        methods=TRAINED,
        later=True,
        enforced=True,
        row="adam, or muon: kernels of convolutions by Muon (Jordan et al. 2024), the rest by Adam",
    )
    muon_lr: float = setting(
        0.2,
        "ours, chosen on development data (study/fast_choice.py)",
        low=0,
        high=10,
        methods=TRAINED,
        later=True,
        enforced=True,
        hint="learning rate of Muon",
        row="Muon's learning rate for kernels; without meaning with adam",
    )
    lr: float = setting(0.005, "Sec. 4.1, official main.py", methods=TRAINED)
    beta1: float = setting(0.5, "Sec. 4.1, official main.py", low=0, below=1, methods=TRAINED)
    beta2: float = setting(0.999, "Sec. 4.1, official main.py", low=0, below=1, methods=TRAINED)
    lr_schedule: str = setting(
        "constant",
        "official main.py, which has none",
        choices=SCHEDULES,
        methods=TRAINED,
        later=True,
        enforced=True,
        row="how the learning rate falls to zero; constant: it does not fall",
    )
    weight_averaging: float = setting(
        0.0,
        "official main.py, which does not average",
        low=0,
        high=1,
        methods=TRAINED,
        later=True,
        enforced=True,
        hint="share of the steps, the last ones, whose weights are averaged",
        row="share of the gradient steps, the last ones, whose weights are averaged; 0: the last "
        "weights",
    )
    hard_mining: float = setting(
        0.0,
        "official main.py, which has none; idea: Guo et al. 2023 (ReContrast)",
        low=0,
        below=1,
        methods=DISTILLED,
        later=True,
        enforced=True,
        hint="share of the locations, the best restored ones, without gradient",
        row="share of the locations, the best restored ones of each layer and batch, without "
        "gradient",
    )
    seed: int = setting(
        111,
        "official main.py",
        low=0,
        high=LARGEST_SEED,
        free=True,
        hint="of the first weights and the order of images",
    )
    precision: str = setting(
        "float32",
        'official main.py; resolved, never "auto"',
        choices=("float32", "bfloat16"),
        free=True,
        hint="auto, float32 or bfloat16",
    )
    deterministic: bool = setting(
        True,
        "official main.py, setup_seed; False: cuDNN may choose its fastest kernels (O6)",
        later=True,
        free=True,
        hint="False: a GPU may use faster kernels, whose results vary in their last digits",
        row="whether a GPU computes the same bits in every run; without meaning on a CPU",
    )
    eval_every: int = setting(
        0,
        "ours: epochs between looks at the test set, which select nothing; 0: never",
        low=0,
        high=100_000,
        methods=DISTILLED,
        trains=False,
        free=True,
    )
    eval_last: int = setting(
        0,
        "ours: how many of the last epochs are looked at as well, which selects nothing",
        low=0,
        high=100_000,
        methods=DISTILLED,
        trains=False,
        free=True,
        later=True,
    )
    early_stopping: str = setting(
        "none",
        'Sec. 4.1; "train": extension, Sec. 4.3; "leaky": its code, by tested images (E9)',
        choices=("none", "train", "leaky"),
        methods=DISTILLED,
        later=True,
        enforced=True,
        hint="none, train, or leaky (by tested images, as the extension's code)",
        row="which images validate: none, part of the training images, or the test set's normal "
        "ones (the extension's code)",
    )
    patience: int | None = setting(
        None,
        "15 in the extension, Sec. 4.3",
        low=1,
        methods=DISTILLED,
        later=True,
        enforced=True,
        hint="epochs without a lower validation loss",
        row="epochs without a lower validation loss before training stops",
    )
    validation_fraction: float = setting(
        0.0,
        "0.25 in the extension, Sec. 4.3",
        low=0,
        below=1,
        methods=DISTILLED,
        later=True,
        enforced=True,
        hint="share of the training images",
        row="share of the training images kept for validation",
    )
    # scoring
    map_layers: tuple[int, ...] = setting(
        ALL_LAYERS,
        "Table 7, last column",
        methods=DISTILLED,
        trains=False,
        hint='layers whose maps count, as in "2,3"',
    )
    map_combine: str = setting(
        "sum", "Eq. 3 (D15)", choices=COMBINATIONS, methods=DISTILLED, trains=False
    )
    align_corners: bool = setting(True, "official test.py (D14)", methods=MAPPED, trains=False)
    sigma: float = setting(
        4.0, "Sec. 4.1", low=0, high=256, trains=False, hint="pixels; 0: no smoothing"
    )
    score: str = setting(
        "max",
        "Sec. 3.3",
        choices=(*MAP_SCORES, *LOSS_SCORES),
        methods=DISTILLED,
        trains=False,
    )

    def __post_init__(self):
        for name, declared in FIELDS.items():
            object.__setattr__(self, name, fields.parse(name, getattr(self, name), declared))
        for name, declared in FIELDS.items():
            if name not in CHECKED_TOGETHER:  # these are checked together with others
                fields.check(name, getattr(self, name), said_of(declared))
        self._check_size_and_layers()
        chosen = ("category", "normal_class", "inlier_categories", "split", "fold")
        registry.check_choice(self.dataset, *(getattr(self, name) for name in chosen))
        self._check_stopping()
        self._check_backbone()
        self._check_meaning()

    def _check_size_and_layers(self) -> None:
        if self.image_size % 32:
            below = self.image_size // 32 * 32
            raise ValueError(
                f"image_size={self.image_size} is not a multiple of 32, the bottleneck's stride; "
                f"the nearest are {below} and {below + 32}"
            )
        for name in ("lr", "muon_lr"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if self.lr > LARGEST_LR:
            raise ValueError(
                f"lr={self.lr:g} is too high: Adam changes each weight by about lr in a step, and "
                f"the weights overflow; use {LARGEST_LR} or less (the paper has {RunConfig.lr})"
            )
        if not set(self.map_layers) <= set(self.train_layers):
            raise ValueError(
                f"map_layers={self.map_layers} are not all among train_layers={self.train_layers}; "
                "a layer that was not trained has no meaningful map"
            )

    def _check_stopping(self) -> None:
        kind, patience, share = self.early_stopping, self.patience, self.validation_fraction
        family = registry.DATASETS[self.dataset].family
        if kind == "none" and (patience is not None or share):
            raise ValueError(
                f"patience={patience} and validation_fraction={share} have no meaning with "
                "early_stopping='none'; name a kind or leave them out"
            )
        if kind != "none" and (patience is None or patience < 1):
            raise ValueError(f"patience={patience} must be at least 1, in epochs")
        if kind == "train" and not 0 < share < 1:
            raise ValueError(f"validation_fraction={share} must lie in (0, 1)")
        if kind != "none" and self.weight_averaging:
            raise ValueError(
                f"weight_averaging={self.weight_averaging:g} has no meaning with "
                f"early_stopping={kind!r}, which keeps the weights of one epoch; leave one out"
            )
        if kind != "none" and self.eval_last:
            raise ValueError(
                f"eval_last={self.eval_last} has no meaning with early_stopping={kind!r}, since "
                "the last epoch is not known before; use eval_every"
            )
        if kind == "leaky" and share:
            raise ValueError(
                f"validation_fraction={share} has no meaning with early_stopping='leaky', which "
                "validates on all tested normal images"
            )
        if kind != "none" and family == registry.ONE_CLASS:
            raise ValueError(f"early_stopping={kind!r} has no meaning with {self.dataset}")
        if kind == "leaky" and family != registry.MEDICAL:
            raise ValueError(
                f"early_stopping='leaky' has no meaning with {self.dataset}; the extension leaked "
                f"on {one_of(registry.of_family(registry.MEDICAL))}"
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

    def _check_meaning(self) -> None:
        weighed = {self.loss, self.score} & {"mkd", "mkd_coded", "mkd_loss"}
        if self.mkd_weight != RunConfig.mkd_weight and not weighed:
            raise ValueError(
                f"mkd_weight={self.mkd_weight:g} has no meaning with loss={self.loss!r} and "
                f"score={self.score!r}; leave it out"
            )
        if self.mff_projection and self.bottleneck != "oce+mff":
            raise ValueError(
                f"mff_projection=True needs bottleneck='oce+mff', not {self.bottleneck!r}"
            )


CHECKED_TOGETHER = ("fold", "patience", "validation_fraction")
FIELDS = {f.name: f for f in declared_fields(RunConfig)}
FIELD_NAMES = tuple(FIELDS)
DEFAULTS = fields.defaults(FIELDS.values())
EVAL_FIELDS = fields.names(FIELDS.values(), trains=False)  # no trained student depends on them
FREE_FIELDS = fields.names(FIELDS.values(), free=True)
# Fields that a row may lack, with the value that their absence means.
LATER_FIELDS = {name: DEFAULTS[name] for name in fields.names(FIELDS.values(), later=True)}


def foreign_fields(method: str) -> set[str]:
    """The fields that have no meaning for a method; its rows hold their defaults."""
    having = {name: said_of(declared).methods for name, declared in FIELDS.items()}
    return {name for name, methods in having.items() if methods and method not in methods}


def protocol_differences(config: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The fields that differ from the paper's protocol, as {name: (value, the paper's value)}.

    Fields that the protocol leaves open are not compared.
    """
    changed = _changed(config, FREE_FIELDS)
    return {name: (value, DEFAULTS[name]) for name, value in changed.items()}


def parse(name: str, value: Any) -> Any:
    """A setting's value converted to its field's type, from a plain value or from text.

    Raises ValueError, with a message of one sentence, for an unknown setting or a value that cannot
    be converted.
    """
    if name not in FIELDS:
        raise ValueError(f"{name!r} is not a setting.{nearest(name, FIELD_NAMES)}")
    return fields.parse(name, value, FIELDS[name])


def parse_overrides(text: str) -> dict[str, Any]:
    """The settings in a text such as "oce_width=64 map_combine=product".

    Raises ValueError for a word that is not of the form name=value, a name given twice, an unknown
    name or a value that cannot be converted.
    """
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
    """The key of a trained student: a hash of its settings and of its training data.

    train_data: the data's own hash. Returns 16 hexadecimal digits.
    """
    return _digest({**_changed(config, EVAL_FIELDS), "train_data": train_data})


def eval_key(config: RunConfig, train_data: str, test_data: str) -> str:
    """The key of a result: a hash of the student, of how it is scored and of the test data.

    train_data, test_data: the data's own hashes. Returns 16 hexadecimal digits.
    """
    trained = train_key(config, train_data)
    changed = _changed(config, tuple(n for n in FIELD_NAMES if n not in EVAL_FIELDS))
    return _digest({**changed, "train_key": trained, "test_data": test_data})


def _changed(config: RunConfig, skipped: Sequence[str]) -> dict[str, Any]:
    """The fields that differ from the defaults.

    Fields at their default stay out of the keys, so that adding a field to RunConfig changes no
    key.
    """
    return {
        name: value
        for name, value in asdict(config).items()
        if name not in skipped and value != DEFAULTS[name]
    }


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps({**content, "method_version": METHOD_VERSION}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
