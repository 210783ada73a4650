"""Teachers built by timm: timm/NAME, and EfficientNet-Lite0 with weights from a Python package."""

from collections.abc import Iterator
from contextlib import contextmanager

import timm
from huggingface_hub import constants
from timm import list_models
from torch import nn

from rdrepro import downloads
from rdrepro.backbones import IMAGENET_MEAN, IMAGENET_STD, LITE0, PRETRAINED, STRIDES, TIMM
from rdrepro.models.weights import Weights, load_encoder

__all__ = ["build", "list_models", "lite0_fourth_stage"]

LITE0_NAME = "tf_efficientnet_lite0"  # in timm
LITE0_MEAN, LITE0_STD = (127 / 255,) * 3, (128 / 255,) * 3  # as in its training code
CACHE = constants.HF_HUB_CACHE
LITE0_STRIDE_16 = 5  # block stages up to the map of stride 16


def build(backbone: str, weights: Weights) -> tuple[nn.Module, tuple, tuple]:
    """The encoder with its weights, and the mean and SD with which its input is normalised."""
    if backbone == LITE0:
        encoder = _encoder(LITE0_NAME, pretrained=False)
        _load_lite0(encoder, weights)
        return encoder, LITE0_MEAN, LITE0_STD
    name = backbone.removeprefix(TIMM)
    encoder = _encoder(name, pretrained=weights.name.startswith(PRETRAINED))
    if weights.path:
        load_encoder(encoder, weights.path, backbone)
    cfg = timm.get_pretrained_cfg(name)
    return encoder, cfg.mean if cfg else IMAGENET_MEAN, cfg.std if cfg else IMAGENET_STD


def lite0_fourth_stage(weights: Weights) -> nn.Module:
    """The blocks of EfficientNet-Lite0 after its map of stride 16, with their weights."""
    whole = timm.create_model(LITE0_NAME, features_only=True)
    _load_lite0(whole, weights)
    return whole.blocks[LITE0_STRIDE_16:]


def _load_lite0(encoder: nn.Module, weights: Weights) -> None:
    if weights.path:
        # The shipped file has timm's entries in timm's order, under other names.
        names = list(timm.create_model(LITE0_NAME).state_dict())
        load_encoder(encoder, weights.path, LITE0, names)


def _encoder(name: str, pretrained: bool) -> nn.Module:
    try:
        strides = timm.create_model(name, features_only=True).feature_info.reduction()
        indices = [strides.index(s) for s in STRIDES]
    except (RuntimeError, AttributeError, ValueError):
        raise ValueError(
            f"timm model {name!r} has no feature maps at strides 4, 8 and 16"
        ) from None
    cfg = timm.get_pretrained_cfg(name)
    if pretrained and cfg and not cfg.hf_hub_id:  # some weights lie elsewhere
        way_out = "give the path of a state dict as weights, or use weights=random"
        downloads.refuse_offline(f"{cfg.url}, timm's weights for {name!r},", way_out)
    try:
        with _cache_alone_if_offline():
            return timm.create_model(
                name, features_only=True, out_indices=indices, pretrained=pretrained
            )
    except Exception as error:  # which errors the hub client raises depends on its version
        reason = type(error).__name__
        if downloads.offline():
            reason = f"{downloads.OFFLINE} is set, and they are not in the cache, {CACHE}"
        raise ConnectionError(
            f"cannot load timm's weights for {name!r} ({reason}); give the path of "
            "a state dict as weights, or use weights=random"
        ) from None


@contextmanager
def _cache_alone_if_offline() -> Iterator[None]:
    """The context in which Hugging Face's client uses no network where $RDREPRO_OFFLINE is set.

    The client's own variable would have to be set before it is imported.
    """
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or downloads.offline()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
