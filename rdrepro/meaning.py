"""Which settings have no meaning for a run, and the value that each of them has then.

Configurations that differ only in such settings have the same result. `resolve` therefore refuses
or normalises them, and rows are compared in their normal form. Keys are made from the configuration
as it stands, so the keys of older rows stay valid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rdrepro import registry
from rdrepro.backbones import RANDOM, base_width
from rdrepro.config import DEFAULTS, foreign_fields

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A condition under which some settings have no meaning, whatever the method."""

    names: tuple[str, ...]
    causes: tuple[str, ...]  # the settings that decide it
    holds: Callable[[Settings], bool]


def _family(settings: Settings) -> str | None:
    entry = registry.DATASETS.get(settings["dataset"])
    return entry.family if entry else None


def _is_given(settings: Settings) -> bool:
    """Whether images and split are fixed by a data set and its own split: nothing is drawn."""
    divided = _family(settings) in (registry.MVTEC, registry.MEDICAL)
    given = divided and settings["split"] == "official"
    return given and not registry.DATASETS[settings["dataset"]].drawn


RULES = (
    # data_seed draws embedded images, divides medical ones, and draws what split="pasted" holds out
    # and pastes. Caltech-256's draws are normal classes.
    Rule(("data_seed",), ("dataset",), lambda s: _family(s) == registry.ONE_CLASS),
    Rule(("data_seed",), ("dataset", "split"), _is_given),
    # The masks of pasted defects are drawn and not read.
    Rule(("mask_threshold", "label_source"), ("split",), lambda s: s["split"] == "pasted"),
    # Only MVTec-like data sets have masks.
    Rule(
        ("mask_threshold", "label_source"),
        ("dataset",),
        lambda s: _family(s) in (registry.ONE_CLASS, registry.MEDICAL),
    ),
    # It is the width of the OCE, which the teacher's own fourth stage replaces here.
    Rule(("oce_width",), ("bottleneck",), lambda s: s["bottleneck"] == "pretrained"),
    Rule(("muon_lr",), ("optimiser",), lambda s: s["optimiser"] == "adam"),
    # No gradient is averaged over a batch: its size only changes how the last digits round.
    Rule(("batch_size",), ("method",), lambda s: s["method"] in ("padim", "spade")),
    # SPADE draws nothing, while PaDiM draws its channels and every method its random weights.
    Rule(
        ("seed",),
        ("method", "weights"),
        lambda s: s["method"] == "spade" and s["weights"] != RANDOM,
    ),
)


def meaningless(settings: Settings) -> dict[str, str]:
    """The fields of RunConfig that have no meaning, each with the settings that cause this.

    settings: fields of RunConfig by name. Those that are absent have their defaults, and the split
    is the data set's usual one. For example, `dataset="cifar10"` gives `{"data_seed":
    "dataset='cifar10'", ...}`.
    """
    known = _completed(settings)
    found = dict.fromkeys(foreign_fields(known["method"]), f"method={known['method']!r}")
    for rule in _rules_of(known):
        cause = " and ".join(f"{name}={known[name]!r}" for name in rule.causes)
        found |= {name: cause for name in rule.names if name not in found}
    return found


def normalised(settings: Settings) -> dict[str, Any]:
    """Settings in their normal form. Equal forms mean equal results.

    Each field without a meaning gets its default; the OCE's width becomes the teacher's. Negative
    zeros become zeros. settings: as for `meaningless`; the result has the same names.
    """
    plain = {k: v + 0.0 if isinstance(v, float) else v for k, v in settings.items()}  # no -0.0
    method = plain.get("method", DEFAULTS["method"])
    plain |= _usual(foreign_fields(method) & plain.keys(), DEFAULTS, plain)
    known = _completed(plain)
    usual = DEFAULTS | {"oce_width": base_width(known["backbone"])}
    for rule in _rules_of(known):
        plain |= _usual(plain.keys() & rule.names, usual, plain)
    return plain


def _completed(settings: Settings) -> dict[str, Any]:
    entry = registry.DATASETS.get(settings.get("dataset", DEFAULTS["dataset"]))
    return DEFAULTS | ({"split": entry.splits[0]} if entry else {}) | dict(settings)


def _rules_of(known: Settings) -> list[Rule]:
    return [rule for rule in RULES if rule.holds(known)]


def _usual(names: set[str], usual: Settings, given: Settings) -> dict[str, Any]:
    """The usual values of some fields; layers are a list where they were one, as in rows."""
    return {
        name: list(usual[name]) if isinstance(given[name], list) else usual[name] for name in names
    }
