"""Presets: named settings that differ from RunConfig's defaults, and the reasons."""

from collections.abc import Callable
from typing import Any

from rdrepro.backbones import base_width, has_bottleneck_blocks
from rdrepro.config import OURS, RunConfig
from rdrepro.text import nearest

# The extension as its code ran (FraqMasq/RKD_AD; DEVIATIONS.md, E1-E8).
EXTENSION = {
    "image_size": 224,
    "loss_reduction": "pointwise",
    "map_combine": "product",
    "oce_width": 64,
    "teacher_bn": "train",
    "epochs": 199,
}
# The extension's text taken literally: Eqs. 1-2, the frozen teacher of Sec. 3.1, the sum of Eq. 5,
# and the sizes and the optimiser of Sec. 4.1. What it leaves out (batch, sigma, the OCE's width) is
# taken from the first paper, which it says it follows (Sec. 4).
EXTENSION_PRINTED = {
    "image_size": 224,
    "loss_reduction": "pointwise",
    "map_combine": "sum",
    "teacher_bn": "frozen",
    "epochs": 200,
    "beta2": 0.99,
}
# The early stopping of its Sec. 4.3, with its patience and share of validation images.
STOPPED = {"early_stopping": "train"}
PATIENCE, SHARE = 15, 0.25
MEDICAL = {**EXTENSION, "dataset": "head_ct"}

# MKD as its authors' code runs it (rohban-lab/Knowledge_Distillation_AD: train.py, config.yaml).
# The betas are Adam's defaults; 64 is the batch size of its first configurations.
MKD = {"backbone": "vgg16", "batch_size": 64, "lr": 0.001, "beta1": 0.9, "beta2": 0.999}
# The settings that depend on the data set; drawn categories have those of MVTec AD. The loop is
# range(num_epochs + 1), so there is one epoch more than config.yaml says (E14).
MKD_EPOCHS = {"mnist": 52, "fashion_mnist": 52, "cifar10": 202, "mvtec": 602, "synthetic": 602}
MKD_OTHER_EPOCHS = 202
# Image sizes: dataloader.py and, for MVTec AD, the first config.yaml (E15). Data sets without a
# loader there have the image size of the extension, whose Table 3 lists MKD.
MKD_IMAGE_SIZE = {
    "mnist": 32,
    "fashion_mnist": 32,
    "cifar10": 224,
    "mvtec": 128,
    "synthetic": 128,
    "retinal_oct": 128,
}
MKD_OTHER_IMAGE_SIZE = EXTENSION_PRINTED["image_size"]
MKD_VALUE_WEIGHT = {"mvtec": 0.5, "synthetic": 0.5}
MKD_NORMALISED = ("cifar10",)


PADIM_FEW_CHANNELS = 100  # Defard et al. 2021, Sec. 4: of the 448 of ResNet-18


def mkd_settings(preset: dict[str, Any], dataset: str) -> dict[str, Any]:
    """MKD's default settings for a data set.

    With the preset of another method, only the teacher, the batch size and the optimiser are MKD's.
    """
    usual = {
        **MKD,
        "epochs": MKD_EPOCHS.get(dataset, MKD_OTHER_EPOCHS),
        "image_size": MKD_IMAGE_SIZE.get(dataset, MKD_OTHER_IMAGE_SIZE),
        "normalise": "imagenet" if dataset in MKD_NORMALISED else "none",
    }
    if dataset in MKD_VALUE_WEIGHT:
        usual["value_weight"] = MKD_VALUE_WEIGHT[dataset]
    own = preset.get("method") == "mkd"
    return usual | {k: v for k, v in preset.items() if own or k not in MKD}


def _ours(preset: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Reverse Distillation's default settings.

    The OCE has the teacher's width, and the scored layers are the trained ones.
    """
    settings = preset | chosen
    if settings.get("bottleneck", RunConfig.bottleneck) != RunConfig.bottleneck:
        # A preset's projection belongs to the fusion, which other bottlenecks do not have.
        preset = {k: v for k, v in preset.items() if k != "mff_projection"}
    layers = settings.get("train_layers", RunConfig.train_layers)
    width = base_width(settings.get("backbone", RunConfig.backbone))
    return {"oce_width": width, "map_layers": layers, **preset}


def _padim(preset: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """PaDiM's settings: as many channels as its authors keep for such a network."""
    backbone = (preset | chosen).get("backbone", RunConfig.backbone)
    few = {} if has_bottleneck_blocks(backbone) else {"padim_channels": PADIM_FEW_CHANNELS}
    return few | preset


def _mkd(preset: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    return mkd_settings(preset, (preset | chosen).get("dataset", RunConfig.dataset))


# The default settings of a method, as a function of (preset, chosen settings).
USUAL: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
    OURS: _ours,
    "padim": _padim,
    "mkd": _mkd,
}


PRESETS: dict[str, dict[str, Any]] = {
    # The authors' code, which gave the published numbers. RunConfig's defaults are the same.
    "paper": {},
    # The text taken literally: Eqs. 1-2 per location, the 1x1 convolution after concatenation.
    "as_printed": {"loss_reduction": "pointwise", "mff_projection": True},
    # The paper's protocol cut to minutes on a CPU, on real data.
    "quick": {"backbone": "resnet18", "epochs": 20},
    # A tenth of the paper's gradient steps, chosen on development data (study/fast_choice.py).
    "fast": {"epochs": 20, "optimiser": "muon", "lr_schedule": "cosine", "hard_mining": 0.5},
    # No download at all: embedded data and the small teacher that installs with the package.
    "demo": {"dataset": "synthetic", "backbone": "efficientnet_lite0", "epochs": 40},
    # The extension's Tables 1 and 2, and its Table 4, whose L_MKD has early stopping.
    "extension": EXTENSION,
    "extension_mkd": {**EXTENSION, **STOPPED, "loss": "mkd_coded"},
    # The same according to its text. Other columns change it, for example by loss=mkd or
    # score=kd_loss.
    "extension_printed": EXTENSION_PRINTED,
    # The columns of the extension's Table 3 for one data set; they differ in training and score.
    "medical": MEDICAL,
    "medical_es": {**MEDICAL, **STOPPED},
    "medical_kd_score": {**MEDICAL, "score": "kd_loss"},
    "medical_mkd": {**MEDICAL, "loss": "mkd_coded"},
    "medical_mkd_score": {**MEDICAL, "loss": "mkd_coded", "score": "mkd_loss"},
    # Scans drawn by the package, and the small teacher that installs with it.
    "medical_demo": {
        **MEDICAL,
        "dataset": "scans",
        "backbone": "efficientnet_lite0",
        "teacher_bn": "frozen",
        "image_size": 96,
        "epochs": 20,
    },
    # Table 4 with the authors' loaders and scoring (D9, D10, D12); the epochs are ours (O13).
    "novelty_official": {
        "dataset": "mnist",
        "backbone": "resnet18",
        "image_size": 32,
        "epochs": 5,
        "score": "sum",
    },
    # One combination for all classes and data sets: the switches that helped on each of the three
    # classes of the grid. It has few epochs, so that two cores can run it (O15,
    # study/novelty_choice.py).
    "novelty_tuned": {
        "dataset": "mnist",
        "backbone": "resnet18",
        "image_size": 64,
        "loss_reduction": "pointwise",
        "epochs": 2,
        "score": "sum",
    },
    # The baseline of the extension; `mkd_settings` adds what depends on the data set.
    "mkd": {"method": "mkd", **MKD},
    # Novelty detection without any download, on scikit-learn's digits.
    "novelty_demo": {
        "dataset": "digits",
        "backbone": "efficientnet_lite0",
        "image_size": 32,
        "epochs": 10,
        "score": "sum",
    },
}
# The classes on which the settings of SELECTED presets were chosen. Their rows enter no verdict.
CHOSEN_CLASSES = {"mnist": 5, "fashion_mnist": 5, "cifar10": 5}
SELECTED = ("novelty_tuned",)


def selection(preset: str, dataset: str, normal_class: int | None) -> str | None:
    """The sentence in a row that says which images were used to choose a preset's settings.

    None for a preset whose settings were not chosen by validation.
    """
    if preset not in SELECTED:
        return None
    used = CHOSEN_CLASSES.get(dataset) == normal_class
    names = ", ".join(f"{name} {number}" for name, number in CHOSEN_CLASSES.items())
    whose = "this class and two others were" if used else "other classes were"
    return f"{whose} used for selection: {names}, on training images alone"


ALIASES = {"official": "paper"}
AUTO = "auto"


def preset_settings(name: str) -> dict[str, Any]:
    """The settings that a preset changes.

    Raises ValueError, with the nearest name, for an unknown preset.
    """
    name = ALIASES.get(name, name)
    if name not in PRESETS:
        known = (AUTO, *PRESETS, *ALIASES)
        raise ValueError(f"preset={name!r} is not one of {', '.join(known)}.{nearest(name, known)}")
    return dict(PRESETS[name])
