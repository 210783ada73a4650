"""Image files: which files are images, and how they are decoded."""

from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from rdrepro.progress import progress

IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


def is_image(path: Path) -> bool:
    """Whether a path is an image file, judged by its ending. Hidden files do not count."""
    named = path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")
    return named and path.is_file()


def images_in(folder: Path) -> list[Path]:
    """The images that lie directly in a folder, sorted by name."""
    return sorted(path for path in folder.glob("*") if is_image(path))


def open_image(path: Path, mode: str) -> Image.Image:
    """Open a picture in a mode such as "RGB".

    Raises ValueError where it cannot be decoded or has more than 8 bits a channel.
    """
    try:
        picture = Image.open(path)
        if picture.mode.startswith(("I", "F")):
            raise OSError(f"mode {picture.mode}: more than 8 bits a channel; convert it to 8")
        return picture.convert(mode)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"the image {path} cannot be decoded ({error})") from None


def stack_images(data: Dataset) -> Tensor:
    """All images of a data set, decoded, as bytes (N, 3, H, W)."""
    items = (data[i] for i in progress(range(len(data)), "decoding", leave=False))
    return torch.stack([(item["image"] * 255).round().to(torch.uint8) for item in items])
