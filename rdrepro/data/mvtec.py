"""MVTec AD as the official code reads it (Sec. 4.1; official dataset.py)."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import Dataset
from torchvision.transforms import functional as T

from rdrepro.text import nearest

MVTEC_TEXTURES = ("carpet", "grid", "leather", "tile", "wood")
MVTEC_OBJECTS = (
    "bottle",
    "cable",
    "capsule",
    "hazelnut",
    "metal_nut",
    "pill",
    "screw",
    "toothbrush",
    "transistor",
    "zipper",
)
MVTEC_CATEGORIES = (*MVTEC_TEXTURES, *MVTEC_OBJECTS)  # the order of Tables 1 and 2
FOLDER_NAMES = ("mvtec", "mvtec_anomaly_detection")  # ours, and the archive's own
DARKEST_DEFECT = 128  # a mask of zeros and ones would lose every defect without a word
IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
HOW_TO_GET = (
    "get MVTec AD from https://www.mvtec.com/company/research/datasets/mvtec-ad and unpack it as "
    "DATA/mvtec/<category>, with DATA given as data_root or in RDREPRO_DATA"
)


def find_mvtec(data_root: Path) -> Path:
    """Return the folder that holds the categories; FileNotFoundError says how to get one."""
    for folder in (*(data_root / name for name in FOLDER_NAMES), data_root):
        if any((folder / category).is_dir() for category in MVTEC_CATEGORIES):
            return folder
    state = "holds no MVTec AD" if data_root.is_dir() else "does not exist"
    raise FileNotFoundError(f"the data folder {data_root} {state}; {HOW_TO_GET}")


def check_category(category: str) -> None:
    """Raise ValueError, with the nearest name, for a category that is not MVTec AD's."""
    if category not in MVTEC_CATEGORIES:
        raise ValueError(
            f"category={category!r} is none of MVTec AD's fifteen."
            f"{nearest(category, MVTEC_CATEGORIES)}"
        )


class MVTecAD(Dataset):
    """One category's images of one split, sorted by folder and name.

    Items are dicts: `image` (3, H, W) float32 in [0, 1]; `gt_mask` (H, W) bool, True = defect;
    `gt_label` 0 or 1; `defect`, the folder's name ("good" for normal ones); `path`, relative to
    `root`. Images and masks are resized bilinearly to a square; masks are then compared with
    `mask_threshold`. label_source: "folder", or "mask" as the official code has it (D18).
    """

    def __init__(
        self,
        root: str | Path,
        category: str,
        split: str = "train",
        image_size: int = 256,
        mask_threshold: float = 0.5,
        label_source: str = "folder",
    ):
        check_category(category)
        if split not in ("train", "test"):
            raise ValueError(f"split={split!r} is neither train nor test")
        self.root, self.category, self.split = Path(root), category, split
        self.image_size, self.mask_threshold = image_size, mask_threshold
        self.label_source = label_source
        self.paths = self._list_images()

    def _list_images(self) -> list[Path]:
        folder = self.root / self.category
        if not folder.is_dir():
            found = sorted(p.name for p in self.root.glob("*") if p.name in MVTEC_CATEGORIES)
            raise FileNotFoundError(
                f"no category {self.category!r} in {self.root} "
                f"(found: {', '.join(found) or 'none'}); {HOW_TO_GET}"
            )
        paths = sorted(
            p
            for p in (folder / self.split).glob("*/*")
            if p.suffix.lower() in IMAGE_ENDINGS and not p.name.startswith(".")
        )
        defects = {p.parent.name for p in paths}
        if self.split == "train" and "good" not in defects:
            raise FileNotFoundError(f"{folder / 'train' / 'good'} has no images to train on")
        if self.split == "train":
            return [p for p in paths if p.parent.name == "good"]
        if "good" not in defects or len(defects) < 2:
            lacking = "no normal images (test/good)" if "good" not in defects else "no defects"
            raise FileNotFoundError(
                f"{folder / 'test'} has {lacking}; AUROC and PRO need both kinds of images"
            )
        return paths

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
            "gt_label": int(defect != "good" if from_folder else mask.any()),
            "defect": defect,
            "path": path.relative_to(self.root).as_posix(),
        }

    def _resize(self, picture: Image.Image) -> Image.Image:
        return T.resize(picture, [self.image_size, self.image_size])

    def _mask(self, path: Path, size: tuple[int, int]) -> torch.Tensor:
        """Return the mask of an image whose original width and height are `size`."""
        if path.parent.name == "good":
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
        """Return where the mask of a defective image lies."""
        return (
            self.root / self.category / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of the names and bytes of all images, and of a test set's masks."""
        digest = hashlib.sha256()
        for path in self.paths:
            masks = [self.mask_path(path)] if path.parent.name != "good" else []
            for file in (path, *(m for m in masks if m.is_file())):
                digest.update(file.relative_to(self.root).as_posix().encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """Return how many images each folder has."""
        names, numbers = np.unique([p.parent.name for p in self.paths], return_counts=True)
        return dict(zip(names.tolist(), numbers.tolist(), strict=True))


def open_image(path: Path, mode: str) -> Image.Image:
    """Return a picture in a mode; ValueError for one that cannot be decoded, or of over 8 bits."""
    try:
        picture = Image.open(path)
        if picture.mode.startswith(("I", "F")):
            raise OSError(f"mode {picture.mode}: more than 8 bits a channel; convert it to 8")
        return picture.convert(mode)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"the image {path} cannot be decoded ({error})") from None
