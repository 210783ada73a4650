"""MVTec AD and data sets laid out like it, read as by the official dataset.py (Sec. 4.1)."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import functional as T

from rdrepro import registry
from rdrepro.data.images import encoded, open_image, shown
from rdrepro.data.masks import mask_misfit
from rdrepro.data.mvtec_files import (
    category_folder,
    images_of,
    is_good,
    lacking,
    mask_path,
    missing_mask,
    side_of,
)


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
        folder, layout = category_folder(self.root, self.category, self.entry), self.entry.layout
        paths = images_of(folder, layout, self.split)
        if reason := lacking(paths, side_of(folder, layout, self.split), layout, self.split):
            raise FileNotFoundError(reason)
        return paths

    def is_good(self, path: Path) -> bool:
        """Whether an image lies in the folder of normal ones."""
        return is_good(path, self.entry.layout)

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
        file = self.mask_path(path)
        if not file.is_file():
            raise FileNotFoundError(missing_mask(path, file, self.root))
        mask = open_image(file, "L")
        if reason := mask_misfit(mask, size, shown(file.relative_to(self.root))):
            raise ValueError(reason)
        return T.to_tensor(self._resize(mask))[0] > self.mask_threshold

    def mask_path(self, path: Path) -> Path:
        """The path of a defective image's mask."""
        return mask_path(self.root / self.category, self.entry.layout, path)

    def fingerprint(self) -> str:
        """The SHA-256 of the names and bytes of all images, and of a test set's masks."""
        digest = hashlib.sha256()
        for path in self.paths:
            masks = [] if self.is_good(path) else [self.mask_path(path)]
            for file in (path, *(m for m in masks if m.is_file())):
                digest.update(encoded(file.relative_to(self.root).as_posix()))
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """How many images each folder has."""
        names, numbers = np.unique([p.parent.name for p in self.paths], return_counts=True)
        return dict(zip(names.tolist(), numbers.tolist(), strict=True))
