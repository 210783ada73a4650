"""The images that a run trains on, validates on and tests."""

from pathlib import Path

from rdrepro import registry
from rdrepro.config import RunConfig
from rdrepro.data.holdout import Part, hold_out, normals_of
from rdrepro.data.medical import MedicalImages
from rdrepro.data.mvtec import MVTecAD
from rdrepro.data.one_class import OneClass
from rdrepro.data.pasted import Pasted, divide
from rdrepro.data.rotated import Rotated

ImageData = MVTecAD | OneClass | MedicalImages | Part | Pasted | Rotated


def open_whole(config: RunConfig, root: Path, split: str) -> ImageData:
    """All images of a split, "train" or "test".

    Test images are not rotated, and training images include those to validate on.
    """
    c, size = config, config.image_size
    family = registry.DATASETS[c.dataset].family
    if family == registry.ONE_CLASS:
        return OneClass(root, c.dataset, c.normal_class, split, size, c.inlier_categories, c.split)
    if family == registry.MEDICAL:
        return MedicalImages(root, c.dataset, split, size, c.split, c.fold, c.data_seed)
    side = "train" if c.split == "pasted" else split
    data = MVTecAD(root, c.category, side, size, c.mask_threshold, c.label_source, c.dataset)
    if c.split != "pasted":
        return data
    return divide(data, c.data_seed)[0] if split == "train" else Pasted(data, c.data_seed)


def open_split(config: RunConfig, root: Path, split: str) -> ImageData:
    """The images to train on or to test on; test images are rotated by `rotation`."""
    data = open_whole(config, root, split)
    if split == "train" and config.early_stopping == "train":
        return hold_out(data, config.validation_fraction, config.seed)[0]
    return Rotated(data, config.rotation) if split == "test" and config.rotation else data


def open_validation(config: RunConfig, root: Path) -> ImageData | None:
    """The normal images that early stopping validates on; None without early stopping."""
    if config.early_stopping == "leaky":
        return normals_of(open_whole(config, root, "test"))
    if config.early_stopping == "train":
        train = open_whole(config, root, "train")
        return hold_out(train, config.validation_fraction, config.seed)[1]
    return None
