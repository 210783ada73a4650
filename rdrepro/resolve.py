"""From what somebody typed to a RunConfig and the places a run needs."""

import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from rdrepro import paths
from rdrepro.baselines import padim
from rdrepro.config import (
    BASELINES,
    FIELD_NAMES,
    METHODS,
    RunConfig,
    foreign_fields,
    parse,
    parse_overrides,
    protocol_differences,
)
from rdrepro.data import ImageData
from rdrepro.data.holdout import hold_out, normals_of
from rdrepro.data.medical import (
    MEDICAL_DATASETS,
    MEDICAL_SPLITS,
    NORMAL,
    MedicalImages,
    find_medical,
)
from rdrepro.data.mvtec import MVTecAD, check_category, find_mvtec
from rdrepro.data.novelty import CLASSES, NOVELTY_DATASETS, UNNORMALISED, OneClass
from rdrepro.data.rotated import Rotated
from rdrepro.data.scans import SCANS_VERSION, write_scans
from rdrepro.data.synthetic import DRAWING_VERSION, write_category
from rdrepro.models.reverse_distillation import residual_design
from rdrepro.models.teacher import NoFourthStageError, Teacher, check_backbone, check_fourth_stage
from rdrepro.presets import AUTO, PATIENCE, SHARE, mkd_settings, preset_settings
from rdrepro.text import nearest
from rdrepro.weights import RESNETS, VGG16, Weights, default_weights, find_weights

PLACES = ("study", "preset", "data_root", "results_dir", "device", "keep_maps", "overrides")
PARAMETERS = (*PLACES, *FIELD_NAMES)
DIGITS_BANNER = (
    "BUNDLED DATA: these are scikit-learn's digits of 8x8 pixels, not MNIST. "
    "No number below can be held against the papers."
)
BANNER = (
    "EMBEDDED DATA: these images are drawn by rdrepro and are not MVTec AD. "
    "No number below can be held against the papers."
)
SCANS_BANNER = (
    "EMBEDDED DATA: these scans are drawn by rdrepro and are of no patient. "
    "No number below can be held against the papers."
)
LEAKY = (
    "early_stopping=leaky: tested normal images choose the epoch, as in the extension's code. "
    "What is tested below is not independent of its training."
)
BANNERS = {"synthetic": BANNER, "digits": DIGITS_BANNER, "scans": SCANS_BANNER}


@dataclass(frozen=True)
class Run:
    """A resolved run: its configuration, and where things are (which no result depends on)."""

    config: RunConfig
    preset: str
    study: str | None
    data_root: Path
    weights: Weights
    results_dir: Path
    device: torch.device
    keep_maps: bool

    @property
    def banner(self) -> str:
        """Return a warning where the data are embedded, else nothing."""
        return BANNERS.get(self.config.dataset, "")

    @property
    def caution(self) -> str:
        """Return a warning where tested images choose the student, else nothing."""
        return LEAKY if self.config.early_stopping == "leaky" else ""

    @property
    def rows_dir(self) -> Path:
        """Return where the run's row goes: embedded data without a named study stay apart."""
        if self.study is None and self.banner:
            return self.results_dir / "demo"
        return self.results_dir / "runs" / (self.study or self.preset)

    def settings(self) -> pd.DataFrame:
        """Return every field that the method has, and the paper's protocol where it differs."""
        differs, foreign = protocol_differences(self.config), foreign_fields(self.config.method)
        rows = [
            (name, _plain(value), _plain(differs[name][1]) if name in differs else "")
            for name, value in asdict(self.config).items()
            if name not in foreign
        ]
        columns = ["setting", "value", "paper, where it differs"]
        return pd.DataFrame(rows, columns=columns).set_index("setting")

    def dataset(self, split: str) -> ImageData:
        """Return the run's images of a split, "train" or "test"; embedded ones are drawn once.

        Of training images, those are left out that early stopping validates on; test images are
        turned by `rotation`.
        """
        c, data = self.config, self.whole(split)
        if split == "train" and c.early_stopping == "train":
            return hold_out(data, c.validation_fraction, c.seed)[0]
        return Rotated(data, c.rotation) if split == "test" and c.rotation else data

    def validation(self) -> ImageData | None:
        """Return the normal images that early stopping validates on; None without it."""
        c = self.config
        if c.early_stopping == "leaky":
            return normals_of(self.whole("test"))
        if c.early_stopping == "train":
            return hold_out(self.whole("train"), c.validation_fraction, c.seed)[1]
        return None

    def whole(self, split: str) -> ImageData:
        """Return all images of a split, upright, those to validate on included."""
        c, root = self.config, self.data_root
        if c.dataset in NOVELTY_DATASETS:
            chosen = (c.normal_class, split, c.image_size, c.inlier_categories, c.split)
            return OneClass(root, c.dataset, *chosen)
        if c.dataset in MEDICAL_DATASETS:
            if c.dataset == "scans":
                write_scans(root, c.data_seed, c.image_size)
            drawn = (c.split, c.fold, c.data_seed)
            return MedicalImages(root, c.dataset, split, c.image_size, *drawn)
        if c.dataset == "synthetic":
            write_category(root, c.category, c.data_seed, image_size=c.image_size)
        return MVTecAD(root, c.category, split, c.image_size, c.mask_threshold, c.label_source)

    def _repr_html_(self) -> str:
        said = [text for text in (self.banner, self.caution) if text]
        banners = (f"<p style='background:#fe6;padding:.5em'><b>{text}</b></p>" for text in said)
        return "".join(banners) + (
            f"<p>preset <b>{self.preset}</b>, device <b>{self.device}</b></p>"
            f"{self.settings().to_html()}"
        )

    def __repr__(self) -> str:
        head = [text for text in (self.banner, self.caution) if text]
        return "\n".join(
            [*head, f"preset {self.preset}, device {self.device}", self.settings().to_string()]
        )


def _plain(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def resolve(**parameters: Any) -> Run:
    """Resolve parameters (None = as the preset says) to a Run.

    Parameters are RunConfig's fields and `study, preset, data_root, results_dir, device,
    keep_maps, overrides`. ValueError or FileNotFoundError, in one sentence, for anything that is
    off.
    """
    given = {k: v for k, v in parameters.items() if v is not None}
    for name in given:
        if name not in PARAMETERS:
            raise ValueError(f"{name!r} is no parameter.{nearest(name, PARAMETERS)}")
    keep_maps = _flag("keep_maps", given.pop("keep_maps", False))
    places = {k: _text(k, v) for k, v in given.items() if k in PLACES}
    chosen = {k: v for k, v in given.items() if k not in PLACES}
    overrides = parse_overrides(places.get("overrides", ""))
    twice = sorted(set(chosen) & set(overrides))
    if twice:
        raise ValueError(f"{twice[0]} is given twice, by itself and in overrides; keep one")
    chosen |= overrides
    preset = places.get("preset", AUTO)
    if preset == AUTO:
        preset = _usual_preset(chosen.get("dataset"), places.get("data_root"))
    named = (preset_settings(preset) | chosen).get("dataset")
    if "category" in chosen and named not in (*CLASSES, *MEDICAL_DATASETS):
        check_category(parse("category", chosen["category"]))
    device = find_device(places.get("device"))
    settings = _settings_of_method(preset_settings(preset), chosen)
    config = _resolve_config(settings, device)
    study = _check_study(places.get("study"))
    named = places.get("results_dir")
    results = Path(named).expanduser().absolute() if named else paths.results_dir()
    data = _data_root(config, places.get("data_root"), results)
    weights = find_weights(config.backbone, config.weights)
    config = replace(config, weights=weights.name)
    if config.bottleneck == "pretrained":
        check_fourth_stage(config.backbone, weights)
    if config.teacher_bn == "train":
        Teacher(config.backbone, weights, config.teacher_bn)  # says so where it cannot be
    if config.method == "spade":
        config = replace(config, pooled_layer=_pooled_layer(config, chosen, weights))
    return Run(config, preset, study, data, weights, results, device, keep_maps)


def _flag(name: str, value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"{name}={value!r} must be True or False")
    return str(value).lower() == "true"


def _text(name: str, value: Any) -> str:
    if name == "study" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # papermill makes a number of 2024
    if not isinstance(value, str | Path):
        raise ValueError(f"{name}={value!r} must be text")
    if not str(value) and name != "overrides":
        raise ValueError(f"{name}='' is empty; leave it out or give a value")
    return str(value)


def _check_study(study: str | None) -> str | None:
    if study is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", study):
        raise ValueError(
            f"study={study!r} must be a folder's name: up to 64 letters, digits, '.', '_', '-'"
        )
    return study


def _usual_preset(dataset: str | None, data_root: str | None) -> str:
    if dataset in NOVELTY_DATASETS:
        return "novelty_demo" if dataset == "digits" else "novelty_official"
    if dataset in MEDICAL_DATASETS:
        return "medical_demo" if dataset == "scans" else "medical"
    return "paper" if _has_data(data_root) else "demo"


def _has_data(data_root: str | None) -> bool:
    """Return whether a data root was named, right or wrong, or MVTec AD is found without."""
    if data_root or os.environ.get("RDREPRO_DATA"):
        return True
    try:
        return paths.data_dir() is not None and find_mvtec(paths.data_dir()).is_dir()
    except FileNotFoundError:
        return False


def _settings_of_method(preset: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Return a preset's settings and those chosen, without what the method has not.

    ValueError where such a setting was chosen.
    """
    settings = preset | chosen
    if settings.get("bottleneck", RunConfig.bottleneck) != RunConfig.bottleneck:
        # A preset's projection belongs to the fusion, which other bottlenecks have not.
        settings = {k: v for k, v in settings.items() if k != "mff_projection" or k in chosen}
    method = settings.get("method", RunConfig.method)
    if method == "mkd":
        settings = mkd_settings(preset, settings.get("dataset", RunConfig.dataset)) | chosen
    others = foreign_fields(method)
    if method in METHODS:  # RunConfig names the nearest of an unknown one
        for name in sorted(others & set(chosen)):
            raise ValueError(f"{name} has no meaning with method={method!r}; leave it out")
    return {name: value for name, value in settings.items() if name not in others}


def _pooled_layer(config: RunConfig, chosen: dict[str, Any], weights: Weights) -> int:
    """Return the layer whose mean SPADE compares: the fourth, the third where weights end there."""
    try:
        check_fourth_stage(config.backbone, weights)
    except NoFourthStageError:
        if chosen.get("pooled_layer") is not None and config.pooled_layer == 4:
            raise
        return 3
    return config.pooled_layer


def _resolve_config(settings: dict[str, Any], device: torch.device) -> RunConfig:
    """Return the configuration, its `weights` still as they were named."""
    backbone = parse("backbone", settings.setdefault("backbone", RunConfig.backbone))
    if backbone != VGG16:
        check_backbone(backbone)
    precision = parse("precision", settings.get("precision", AUTO))
    settings["precision"] = fast_precision(device) if precision == AUTO else precision
    settings.setdefault("weights", default_weights(backbone))
    if settings.get("dataset") in NOVELTY_DATASETS:
        settings |= _class_settings(settings)
    if settings.get("dataset") in MEDICAL_DATASETS:
        settings |= _medical_settings(settings)
    settings |= _stopping_settings(settings)
    method = settings.get("method", RunConfig.method)
    block, _, width, _ = residual_design(backbone)
    if method == "padim" and block.expansion == 1:
        settings.setdefault("padim_channels", padim.FEW_CHANNELS)
    if method in BASELINES:
        return RunConfig(**settings)
    settings.setdefault("oce_width", width)
    settings.setdefault("map_layers", settings.get("train_layers", RunConfig.map_layers))
    config = RunConfig(**settings)
    if config.stem != "original" and backbone not in RESNETS:
        raise ValueError(f"stem={config.stem!r} needs a torchvision ResNet, not {backbone!r}")
    if block.expansion == 1 and config.oce_width != width:
        raise ValueError(
            f"oce_width={config.oce_width} does not fit backbone={backbone!r}, whose basic blocks "
            f"have no width of their own; leave it at {width}"
        )
    return config


def _class_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return class, its name and normalisation of a novelty run, where they are not given."""
    dataset, number = settings["dataset"], parse("normal_class", settings.get("normal_class", 0))
    named = CLASSES[dataset][number] if number in range(len(CLASSES[dataset])) else ""
    usual = {"category": named, "normalise": "none" if dataset in UNNORMALISED else "imagenet"}
    return {"normal_class": number} | {k: settings.get(k, v) for k, v in usual.items()}


def _medical_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return category, split and fold of a medical run, where they are not given."""
    split = settings.get("split", MEDICAL_SPLITS[settings["dataset"]][0])
    usual = {"category": NORMAL, "split": split} | ({} if split == "official" else {"fold": 0})
    return {k: settings.get(k, v) for k, v in usual.items()}


def _stopping_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the extension's patience and share of early stopping, where they are not given."""
    kind = settings.get("early_stopping", RunConfig.early_stopping)
    usual = {} if kind == "none" else {"patience": PATIENCE}
    usual |= {"validation_fraction": SHARE} if kind == "train" else {}
    return {k: settings.get(k, v) for k, v in usual.items()}


def find_device(name: str | None) -> torch.device:
    """Return the device of that name, by default a CUDA GPU where there is one, else the CPU."""
    if name is None or name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(
            f"device={name!r} is not on this machine; use cpu or leave it out"
        ) from None
    return device


def fast_precision(device: torch.device) -> str:
    """Return "bfloat16" where the device computes it natively, else "float32"."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
        fast = able.get("avx512_bf16") or able.get("amx_bf16")
    return "bfloat16" if fast else "float32"


def drawing_name(data_seed: int, image_size: int) -> str:
    """Return the folder's name of an embedded benchmark."""
    return f"v{DRAWING_VERSION}-seed{data_seed}-{image_size}px"


def _data_root(config: RunConfig, data_root: str | None, results: Path) -> Path:
    """Return the folder that holds the categories in MVTec's layout, or will once drawn."""
    if config.dataset in BANNERS and data_root:
        raise ValueError(
            f"data_root={data_root!r} is given, but embedded data need none; leave it out"
        )
    if config.dataset == "scans":
        name = f"v{SCANS_VERSION}-seed{config.data_seed}-{config.image_size}px"
        return results / "synthetic" / "scans" / name
    if config.dataset == "synthetic":
        return results / "synthetic" / drawing_name(config.data_seed, config.image_size)
    root = (paths.existing(data_root) or Path(data_root)) if data_root else paths.data_dir()
    root = root or paths.ROOT / "data"
    if config.dataset in MEDICAL_DATASETS:
        find_medical(root, config.dataset)
        return root
    return root if config.dataset in NOVELTY_DATASETS else find_mvtec(root)
