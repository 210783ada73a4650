"""Settings, networks and devices in the words that tables and sentences show."""

import re
from collections.abc import Mapping
from typing import Any

from rdrepro.backbones import IMAGENET, LITE0, RANDOM, VGG16, usual_weights

NETWORKS = {LITE0: "EfficientNet-Lite0", VGG16: "VGG-16"}
SETTING = re.compile(r"([\w.]+)=(\([^)]*\)|[^\s;]+)")
CONDITIONS = {
    "backbone": "{}",
    "category": "image of {}",
    "epochs": "epochs: {}",
    "image_size": "{} px",
    "oce_width": "bottleneck width {}",
    "provenance.threads": "threads: {}",
}
SAID_FIRST = ("precision", "provenance.device")
PATTERNS = (
    (r"wide_resnet(\d+)_(\d+)", r"WideResNet-\1-\2"),
    (r"resnet(\d+)", r"ResNet-\1"),
)


def network(name: str) -> str:
    """A teacher's name as papers write it, such as "ResNet-18" for "resnet18"."""
    for pattern, title in PATTERNS:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, title, name)
    return NETWORKS.get(name, name)


def device(name: str) -> str:
    """A device as tables name it: "CPU", or a graphics card without its memory."""
    return "CPU" if name == "cpu" else re.sub(r" \d+ ?GB.*", "", name)


def weights(name: str, backbone: str) -> str:
    """The weights of a teacher in words."""
    if name == RANDOM:
        return "untrained weights"
    if name == IMAGENET:
        return "ImageNet weights"
    shipped = name == usual_weights(backbone)
    return "weights that install with the package" if shipped else "weights from another source"


def departure(name: str, value: Any, printed: Any) -> str:
    """One setting that differs from a printed protocol, such as "40 of 200 epochs".

    printed: the protocol's value, a frozenset of values, or "any".
    """
    if name == "epochs":
        return f"{value} of {printed} epochs" if value < printed else f"{value} epochs"
    if name == "backbone":
        return f"{network(value)} for {network(printed)}"
    if name == "image_size":
        return f"{value} px"
    if name == "teacher_bn":
        return f"batch norms of the teacher: {value}"
    if name == "split":
        return f"split: {value}"
    return f"{name.replace('_', ' ')}: {value}"


def departures_in_words(
    changed: Mapping[str, Any], printed: Mapping[str, Any], backbone: str = ""
) -> str:
    """All settings that differ from a printed protocol, separated by semicolons.

    changed: their values. printed: the protocol. backbone: the teacher that ran.
    """
    parts = []
    for name, value in changed.items():
        usual = printed.get(name)
        said = departure(name, value, usual) if name != "weights" else weights(value, backbone)
        parts.append(said)
    return "; ".join(parts)


def conditions(text: str) -> str:
    """A footnote of `compare` in words, such as "float32 on CPU; 224 px; untrained weights".

    text: what ran, then settings as `name=value`. Settings that the first part names are left out.
    """
    settings = dict(SETTING.findall(text))
    first = SETTING.sub("", text).replace(" on cpu", " on CPU").strip("; ")
    said = [first] if first else []
    for name, value in settings.items():
        if name == "weights":
            said.append(weights(value, settings.get("backbone", "")))
        elif name in CONDITIONS:
            said.append(CONDITIONS[name].format(network(value)))
        elif name not in SAID_FIRST:
            said.append(f"{name.replace('_', ' ')}: {value}")
    return "; ".join(part.strip("; ") for part in said)
