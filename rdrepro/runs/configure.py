"""From the user's parameters to a RunConfig, before torch is loaded or a file is read.

Weights keep the name or path that was given.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rdrepro import paths, registry
from rdrepro.backbones import base_width, check_backbone, default_weights, has_bottleneck_blocks
from rdrepro.config import (
    FIELD_NAMES,
    METHODS,
    RunConfig,
    foreign_fields,
    parse,
    parse_overrides,
)
from rdrepro.meaning import meaningless, normalised
from rdrepro.presets import PATIENCE, SHARE, USUAL
from rdrepro.text import nearest

# Parameters that are not settings, and the comment that notebooks put beside each.
PLACES = {
    "study": "name of the study; None: a trial, whose row goes to results/scratch",
    "preset": "",  # each notebook has its own
    "data_root": "folder of data sets; also RDREPRO_DATA",
    "results_dir": "also RDREPRO_RESULTS",
    "device": "cpu or cuda",
    "keep_maps": "True keeps the maps beside the rows, for figures",
    "overrides": "further settings by name, separated by blanks",
}
PARAMETERS = (*PLACES, *FIELD_NAMES)
AUTO_PRECISION = "auto"
# They are not refused, since one command may give them to several methods.
SET_ASIDE = ("seed", "batch_size")
# How other projects abbreviate torchvision's wide_resnet50_2 and wide_resnet101_2.
WIDE = re.compile(r"wrn[-_]?(50|101)([-_]2)?", re.IGNORECASE)


def separate(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate parameters into places and chosen settings. Parameters that are None are left out.

    Settings in `overrides` are among the chosen ones. Raises ValueError, with a message of one
    sentence, for an unknown name, a setting given twice or a place of another type.
    """
    given = {k: v for k, v in parameters.items() if v is not None}
    for name in given:
        if name not in PARAMETERS:
            raise ValueError(f"{name!r} is not a parameter.{nearest(name, PARAMETERS)}")
    keep_maps = _flag("keep_maps", given.pop("keep_maps", False))
    places = {k: _text(k, v) for k, v in given.items() if k in PLACES}
    places["study"] = check_study(places.get("study"))
    _check_data_root(places.get("data_root"))
    chosen = {k: v for k, v in given.items() if k not in PLACES}
    overrides = parse_overrides(places.pop("overrides", ""))
    twice = sorted(set(chosen) & set(overrides))
    if twice:
        raise ValueError(f"{twice[0]} is given twice, by itself and in overrides; keep one")
    chosen |= overrides
    for name in ("dataset", "method", "backbone"):  # other settings depend on these
        if name in chosen:
            chosen[name] = parse(name, chosen[name])
    return places | {"keep_maps": keep_maps}, chosen


def _flag(name: str, value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"{name}={value!r} must be True or False")
    return str(value).lower() == "true"


def _text(name: str, value: Any) -> str:
    if name == "study" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # papermill turns 2024 into a number
    if not isinstance(value, str | Path):
        raise ValueError(f"{name}={value!r} must be text")
    if not str(value) and name != "overrides":
        raise ValueError(f"{name}='' is empty; leave it out or give a value")
    return str(value)


def _check_data_root(data_root: str | None) -> None:
    folder = paths.existing(data_root) if data_root else None
    if folder and folder.is_file():
        raise ValueError(
            f"data_root={data_root!r} is a file; give the folder that holds the data sets"
        )


def check_study(study: str | None) -> str | None:
    """The name of a study; ValueError where it cannot be a folder's name."""
    if study is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", study):
        raise ValueError(
            f"study={study!r} must be a folder's name: up to 64 letters, digits, '.', '_', '-'"
        )
    return study


def configure(preset: dict[str, Any], chosen: dict[str, Any], precision: str) -> RunConfig:
    """The configuration of a preset's settings, overridden by the chosen ones.

    `weights` keeps the name that was given. Settings without a meaning for the run have their
    normal values. precision: the meaning of "auto" on the device in use. Raises ValueError, with a
    message of one sentence, for a parameter that is wrong, or that was chosen although it has no
    meaning.
    """
    dataset = (preset | chosen).get("dataset", RunConfig.dataset)
    known = registry.DATASETS.get(dataset)
    if "category" in chosen and known and known.family == registry.MVTEC:
        category = parse("category", chosen["category"])
        _check_single(category)
        registry.check_category(category, dataset)
    settings = _settings_of_method(preset, chosen)
    backbone = parse("backbone", settings.setdefault("backbone", RunConfig.backbone))
    _check_abbreviation(backbone)
    check_backbone(backbone)
    wanted = parse("precision", settings.get("precision", AUTO_PRECISION))
    settings["precision"] = precision if wanted == AUTO_PRECISION else wanted
    settings.setdefault("weights", default_weights(backbone))
    if known and known.family == registry.ONE_CLASS:
        settings |= _class_settings(settings)
    if known and known.family == registry.MEDICAL:
        settings |= _medical_settings(settings)
    settings |= _stopping_settings(settings)
    given = RunConfig(**settings)
    config = RunConfig(**normalised(vars(given)))
    for name, cause in meaningless(vars(given)).items():
        if name in chosen and name not in SET_ASIDE and _differ(name, given, config):
            value = getattr(given, name)
            raise ValueError(f"{name}={value!r} has no meaning with {cause}; leave it out")
    if "oce_width" not in foreign_fields(config.method):
        _check_width(config)
    return config


def _differ(name: str, one: RunConfig, other: RunConfig) -> bool:
    return getattr(one, name) != getattr(other, name)


def set_aside(chosen: Mapping[str, Any], config: RunConfig) -> list[str]:
    """A sentence for each chosen setting that a configuration replaces by its normal value."""
    causes = meaningless(vars(config))
    return [
        f"{name}={chosen[name]} has no meaning with {causes[name]}; "
        f"the run has {name}={getattr(config, name)}, whatever was given."
        for name in SET_ASIDE
        if name in chosen and name in causes
        if parse(name, chosen[name]) != getattr(config, name)
    ]


def _check_single(category: str) -> None:
    if category.lower() == "all" or "," in category:
        raise ValueError(
            f"category={category!r} names several, but a run has one category; `make study "
            "TABLE=table1` runs all fifteen (TABLE=embedded: those that need no data)"
        )


def _check_abbreviation(backbone: str) -> None:
    short = WIDE.fullmatch(backbone)
    if short:
        raise ValueError(
            f"backbone={backbone!r} is not torchvision's name. "
            f"Did you mean 'wide_resnet{short[1]}_2'?"
        )


def _settings_of_method(preset: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """A preset's settings, overridden by the chosen ones. Fields of other methods are left out.

    Raises ValueError where such a field was chosen.
    """
    method = (preset | chosen).get("method", RunConfig.method)
    if method not in METHODS:  # RunConfig raises, with the nearest name
        return preset | chosen
    others = foreign_fields(method)
    for name in sorted(others & set(chosen)):
        raise ValueError(f"{name} has no meaning with method={method!r}; leave it out")
    usual = USUAL[method](preset, chosen) if method in USUAL else preset
    return {name: value for name, value in (usual | chosen).items() if name not in others}


def _check_width(config: RunConfig) -> None:
    width = base_width(config.backbone)
    if not has_bottleneck_blocks(config.backbone) and config.oce_width != width:
        raise ValueError(
            f"oce_width={config.oce_width} does not fit backbone={config.backbone!r}, whose basic "
            f"blocks have no width of their own; leave it at {width}"
        )


def _class_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The default normal class, category and normalisation of a novelty run."""
    entry = registry.DATASETS[settings["dataset"]]
    number = parse("normal_class", settings.get("normal_class", 0))
    classes = entry.categories
    named = classes[number] if number in range(len(classes)) else ""
    usual = {"category": named, "normalise": "imagenet" if entry.normalised else "none"}
    return {"normal_class": number} | {k: settings.get(k, v) for k, v in usual.items()}


def _medical_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The default category, split and fold of a medical run."""
    split = settings.get("split", registry.DATASETS[settings["dataset"]].splits[0])
    usual = {"category": registry.NORMAL, "split": split}
    usual |= {} if split == "official" else {"fold": 0}
    return {k: settings.get(k, v) for k, v in usual.items()}


def _stopping_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The defaults of early stopping: the extension's patience and share of validation images."""
    kind = settings.get("early_stopping", RunConfig.early_stopping)
    usual = {} if kind == "none" else {"patience": PATIENCE}
    usual |= {"validation_fraction": SHARE} if kind == "train" else {}
    return {k: settings.get(k, v) for k, v in usual.items()}
