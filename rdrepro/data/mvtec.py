"""MVTec AD and data sets laid out like it, read as by the official dataset.py (Sec. 4.1)."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import functional as T

from rdrepro import registry
from rdrepro.data.images import is_image, open_image

DARKEST_DEFECT = 128  # masks must reach this value; one of zeros and ones would lose its defects


def find_mvtec(data_root: Path, dataset: str = "mvtec") -> Path:
    """The folder that holds the categories of a data set.

    Raises FileNotFoundError if there is none. The message says how to get the data.
    """
    entry = registry.DATASETS[dataset]
    for folder in (*(data_root / name for name in entry.folders), data_root):
        if any((folder / category).is_dir() for category in entry.categories):
            return folder
    state = f"holds no {entry.title}" if data_root.is_dir() else "does not exist"
    raise FileNotFoundError(f"the data folder {data_root} {state}; {entry.how_to_get}")


class MVTecAD(Dataset):
    """One category's images of one split, sorted by folder and name.

    Items are dicts: `image` (3, H, W) float32 in [0, 1]; `gt_mask` (H, W) bool, True = defect;
    `gt_label` 0 or 1; `defect`, the name of the image's folder (for normal images "good", or what
    the data set's layout calls that folder); `path`, relative to `root`. Images and masks are
    resized bilinearly to a square; masks are then compared with `mask_threshold`. label_source:
    whether the label comes from the "folder" or, as in the official code, from the "mask" (D18).
    Raises FileNotFoundError where images are missing.
    """

    def __init__(
        self,
        root: str | Path,
        category: str,
        split: str = "train",
        image_size: int = 256,
        mask_threshold: float = 0.5,
        label_source: str = "folder",
        dataset: str = "mvtec",
    ):
        registry.check_category(category, dataset)
        if split not in ("train", "test"):
            raise ValueError(f"split={split!r} is neither train nor test")
        self.root, self.category, self.split = Path(root), category, split
        self.entry = registry.DATASETS[dataset]
        self.image_size, self.mask_threshold = image_size, mask_threshold
        self.label_source = label_source
        self.paths = self._list_images()

    def _list_images(self) -> list[Path]:
        folder, layout = self.root / self.category, self.entry.layout
        if not folder.is_dir():
            found = sorted(p.name for p in self.root.glob("*") if p.name in self.entry.categories)
            raise FileNotFoundError(
                f"no category {self.category!r} in {self.root} "
                f"(found: {', '.join(found) or 'none'}); {self.entry.how_to_get}"
            )
        side = folder / (layout.train if self.split == "train" else layout.test)
        paths = sorted(path for path in side.glob("*/*") if is_image(path))
        defects = {p.parent.name for p in paths}
        if self.split == "train" and layout.good not in defects:
            raise FileNotFoundError(f"{side / layout.good} has no images to train on")
        if self.split == "train":
            return [p for p in paths if p.parent.name == layout.good]
        if layout.good not in defects or len(defects) < 2:
            normal = f"no normal images ({layout.test}/{layout.good})"
            lacking = normal if layout.good not in defects else "no defects"
            raise FileNotFoundError(
                f"{side} has {lacking}; AUROC and PRO need both kinds of images"
            )
        return paths

    def is_good(self, path: Path) -> bool:
        """Whether an image lies in the folder of normal ones."""
        return path.parent.name == self.entry.layout.good

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict:
        path = self.paths[index]
        picture = open_image(path, "RGB")
        mask = self._mask(path, picture.size)
        defect = path.parent.name
        from_folder = self.label_source == "folder"
        return {
            "image": T.to_tensor(self._resize(picture)),
            "gt_mask": mask,
            "gt_label": int(not self.is_good(path) if from_folder else mask.any()),
            "defect": defect,
            "path": path.relative_to(self.root).as_posix(),
        }

    def _resize(self, picture: Image.Image) -> Image.Image:
        return T.resize(picture, [self.image_size, self.image_size])

    def _mask(self, path: Path, size: tuple[int, int]) -> torch.Tensor:
        """The mask of an image whose original width and height are `size`."""
        if self.is_good(path):
            return torch.zeros(self.image_size, self.image_size, dtype=torch.bool)
        mask_path = self.mask_path(path)
        if not mask_path.is_file():
            raise FileNotFoundError(
                f"{path.relative_to(self.root)} has no mask: "
                f"{mask_path.relative_to(self.root)} is missing"
            )
        mask = open_image(mask_path, "L")
        if mask.size != size:
            raise ValueError(
                f"the mask {mask_path.relative_to(self.root)} has {mask.size[0]}x{mask.size[1]} "
                f"pixels, its image {size[0]}x{size[1]}"
            )
        brightest = mask.getextrema()[1]
        if 0 < brightest < DARKEST_DEFECT:
            raise ValueError(
                f"the mask {mask_path.relative_to(self.root)} has no value above {brightest}; "
                "defects must be white (255)"
            )
        return T.to_tensor(self._resize(mask))[0] > self.mask_threshold

    def mask_path(self, path: Path) -> Path:
        """The path of a defective image's mask."""
        layout = self.entry.layout
        masks = self.root / self.category / layout.masks / path.parent.name
        return masks / layout.mask_name.format(stem=path.stem)

    def fingerprint(self) -> str:
        """The SHA-256 of the names and bytes of all images, and of a test set's masks."""
        digest = hashlib.sha256()
        for path in self.paths:
            masks = [] if self.is_good(path) else [self.mask_path(path)]
            for file in (path, *(m for m in masks if m.is_file())):
                digest.update(file.relative_to(self.root).as_posix().encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """How many images each folder has."""
        names, numbers = np.unique([p.parent.name for p in self.paths], return_counts=True)
        return dict(zip(names.tolist(), numbers.tolist(), strict=True))
