"""A teacher's weights, and how their files are read and checked."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rdrepro.backbones import RESNETS, VGG16

# Prefixes that training code puts before the names of a network's entries.
PREFIXES = ("module.", "backbone.", "model.", "encoder.")
# A torchvision ResNet's children by their position. RadImageNet's files number them in this way,
# because its pytorch_example.ipynb puts them into a Sequential.
CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
TORCHVISION = (*RESNETS, VGG16)
SAVE_IT = "save the network's state_dict() with torch.save and give that file"
# Words of PyTorch's errors where a file asks for more than tensors.
REFUSED = ("GLOBAL ", "TorchScript", "to call reduce", "was not an allowed global")
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")


@dataclass(frozen=True)
class Weights:
    """A teacher's weights: their name in result rows, and the file where they were found.

    path: None for random weights and for timm's own.
    """

    name: str
    path: Path | None = None


def misfits(module: nn.Module, state: dict[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Three lists of entries: missing from `state`, unknown to `module`, of another shape.

    The batch norms' counters may be missing, since no result depends on them.
    """
    own = module.state_dict()
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unknown = [k for k in state if k not in own]
    wrong = [k for k in own if k in state and state[k].shape != own[k].shape]
    return missing, unknown, wrong


def read_file(path: Path) -> dict[str, Any]:
    """Read a dictionary saved by PyTorch, without running code from the file.

    Raises ValueError where the file cannot be read or holds no dictionary.
    """
    try:
        with warnings.catch_warnings():  # PyTorch's are about its own unpickler
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file can make the unpickler raise anything
        reason = _why_unreadable(path, str(error))
        raise ValueError(f"the weights file {path.name} cannot be read: {reason}") from None
    if not isinstance(content, dict) or not content:
        raise ValueError(f"the weights file {path.name} holds no state dict; {SAVE_IT}")
    return content


def _why_unreadable(path: Path, message: str) -> str:
    """Why PyTorch cannot read a file, and the way out. message: PyTorch's own."""
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except OSError as error:
        return f"{error.strerror}; give another file"
    start = head.decode("utf-8", "ignore")
    if any(word in message for word in REFUSED):
        return f"it holds code or objects beside tensors, and code is never run; {SAVE_IT}"
    if not head:
        what = "it is empty"
    elif head.startswith(PICTURES):
        what = "it is a picture"
    elif len(start) > len(head) // 2 and all(c.isprintable() or c.isspace() for c in start):
        what = f"it is text, which begins {' '.join(start.split())[:30]!r}"
    else:
        what = "it is cut off or damaged, or was not saved by PyTorch"
    return f"{what}; download or copy it again, or give another file"


def resnet_entries(path: Path) -> dict[str, Any]:
    """Read a ResNet's state dict and give its entries torchvision's names.

    In the file, names may begin with PREFIXES or with the number of a child (RadImageNet), and the
    entries may lie in a `state_dict`. Raises ValueError where two entries get the same name, and
    where `read_file` does.
    """
    content, entries = read_file(path), {}
    nested = content.get("state_dict")
    for key, value in (nested if isinstance(nested, dict) and nested else content).items():
        name = _torchvision_name(str(key))
        if name in entries:
            raise ValueError(
                f"the weights file {path.name} is ambiguous: {_listed([key])} is its second entry "
                f"for {_listed([name])}; save the state dict of one network"
            )
        entries[name] = value
    return entries


def _torchvision_name(key: str) -> str:
    while prefix := next((p for p in PREFIXES if key.startswith(p)), ""):
        key = key.removeprefix(prefix)
    child, dot, rest = key.partition(".")
    return CHILDREN.get(child, child) + dot + rest


def require_tensors(state: Any, source: str) -> dict[str, Tensor]:
    """Check that `state` is a state dict of tensors, and return it.

    Raises ValueError, naming the first entries that are not dense tensors of real numbers, where it
    is not.
    """
    if not isinstance(state, dict):
        raise ValueError(f"{source} holds no state dict; {SAVE_IT}")
    other = [str(k) for k, v in state.items() if not isinstance(v, Tensor)]
    if other:
        way = "save its 'state_dict' by itself" if "state_dict" in other else SAVE_IT
        raise ValueError(f"{source} has entries that are not tensors ({_listed(other)}); {way}")
    odd = [str(k) for k, v in state.items() if not _is_plain(v)]
    if odd:
        raise ValueError(
            f"{source} has entries that are not dense tensors of real numbers "
            f"({_listed(odd)}); convert them, such as by v.to_dense() or v.dequantize()"
        )
    return {str(k): v for k, v in state.items()}  # a file may name entries by numbers


def _listed(keys: Sequence[str]) -> str:
    """The first keys of a file as text, in which odd characters such as line breaks are escaped."""
    return ", ".join(key if key.isprintable() else ascii(key) for key in map(str, keys[:3]))


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor is dense, on the CPU, and made of real numbers."""
    if value.is_nested or value.layout is not torch.strided or value.device.type != "cpu":
        return False
    return not (value.is_quantized or value.is_complex())


def load_encoder(encoder: nn.Module, path: Path, backbone: str, order: Sequence[str] = ()) -> None:
    """Load a state dict into the encoder.

    Stages that the encoder does not have (layer4, fc) are skipped. Additional blocks in its own
    stages are an error, since the file then belongs to a deeper ResNet. order: the names of the
    whole network's entries, for a file that lists them under other names. Raises ValueError, naming
    entries that do not fit or are not finite.
    """
    read = resnet_entries if backbone in RESNETS else read_file
    state = require_tensors(read(path), path.name)
    if not set(order) <= set(state):
        state = dict(zip(order, state.values()))  # noqa: B905 - missing entries are named below
    missing, unknown, wrong = misfits(encoder, state)
    stages = {name for name, _ in encoder.named_children()} if backbone in RESNETS else set()
    deeper = [k for k in unknown if k.split(".")[0] in stages]
    if deeper and not (missing or wrong):
        raise ValueError(
            f"the weights file {path.name} does not fit backbone={backbone!r}: it has "
            f"{len(deeper)} more entries in the same stages, such as {_listed(deeper[:1])}; name "
            "the backbone of this file"
        )
    if missing or wrong:
        what = f"lacks {', '.join(missing[:3])}" if missing else f"has another shape at {wrong[0]}"
        raise ValueError(
            f"the weights file {path.name} does not fit the backbone: it {what} "
            f"({len(missing)} entries missing, {len(wrong)} of another shape); name the "
            "backbone of this file, or give another file"
        )
    own = {k: state[k] for k in encoder.state_dict() if k in state}
    broken = [k for k, v in own.items() if not v.isfinite().all()]
    if broken:
        raise ValueError(
            f"the weights file {path.name} has values that are not finite: {broken[0]}; "
            "give another file"
        )
    encoder.load_state_dict(own, strict=False)


def load_strictly(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state dict in which every entry must fit.

    Raises ValueError, with the numbers of entries that do not fit and the first of them.
    """
    missing, unknown, wrong = misfits(module, state)
    if missing or unknown or wrong:
        raise ValueError(
            f"{source} does not fit the model: {len(missing)} entries missing, {len(unknown)} "
            f"unknown, {len(wrong)} of another shape (the first: "
            f"{_listed((missing + unknown + wrong)[:1])})"
        )
    module.load_state_dict(state, strict=False)
