"""Inspection of an image file or a mask: whether it decodes, and what is odd about it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from rdrepro.data.images import LARGE, open_image, opened
from rdrepro.data.masks import mask_misfit, white_shares

USUAL_RATIO = 4 / 3  # of the longer to the shorter side
UPRIGHT = (None, 1)  # the values of an EXIF orientation that rotate nothing
# Oddities of an image that can be read; each text completes "the image has".
ODDITIES = {
    "stretched": "sides in a ratio beyond 4:3, which resizing to a square distorts",
    "alpha": "an alpha channel, which is dropped",
    "rotated": "a rotation in the EXIF data, which is not applied, as in the official loader",
    "palette": "a palette, whose colours are read",
    "animated": "several frames, of which the first is read",
    "cmyk": "CMYK colours, which are converted to RGB without a colour profile",
    "deep": "16 bits a channel, of which the upper 8 are read",
    "large": f"more than {LARGE / 1e6:.0f} million pixels, which takes long to decode",
}


@dataclass(frozen=True)
class Look:
    """What was seen of an image: why it cannot be read, or its size, content and oddities."""

    error: str = ""
    size: tuple[int, int] = (0, 0)  # width, height
    pixels: str = ""  # a hash of the decoded RGB pixels and the size
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaskLook:
    """What was seen of a mask: why it cannot be used, or its white shares."""

    error: str = ""
    inside: float = 0.0  # in [0, 1]
    border: float = 0.0


def look_at(path: Path, name: str) -> Look:
    """Decode an image completely and look at it. name: what its errors call it."""
    try:
        with opened(path, name) as picture:
            stored = str([tile[3] for tile in picture.tile])  # empty once it is decoded
            pixels = picture.convert("RGB")
            odd = tuple(key for key, found in _oddities(picture, stored).items() if found)
    except ValueError as error:
        return Look(str(error))
    digest = hashlib.blake2b(str(pixels.size).encode(), digest_size=16)
    digest.update(pixels.tobytes())
    return Look("", pixels.size, digest.hexdigest(), odd)


def _oddities(picture: Image.Image, stored: str) -> dict[str, bool]:
    """Which of ODDITIES a decoded picture has. stored: how its pixels are stored in the file."""
    short, long = sorted(picture.size)
    return {
        "stretched": long > USUAL_RATIO * short,
        "alpha": picture.has_transparency_data,
        "rotated": _orientation(picture) not in UPRIGHT,
        "palette": picture.mode == "P",
        "animated": _frames(picture) > 1,
        "cmyk": picture.mode == "CMYK",
        "deep": ";16" in stored,
        "large": short * long > LARGE,
    }


def _orientation(picture: Image.Image) -> object:
    try:
        return picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF data rotate nothing
        return None


def _frames(picture: Image.Image) -> int:
    try:
        return getattr(picture, "n_frames", 1)
    except Exception:  # damage behind the first frame, which alone is read
        return 1


def look_at_mask(path: Path, name: str, size: tuple[int, int]) -> MaskLook:
    """Decode a mask and look at it. size: its image's width and height, or zeros if unknown."""
    try:
        mask = open_image(path, "L", name)
    except ValueError as error:
        return MaskLook(str(error))
    if mask.getextrema()[1] == 0:
        return MaskLook(
            f"the mask {name} is all black, although its image is among the defects; make the "
            "defect white (255)"
        )
    if error := mask_misfit(mask, size if any(size) else mask.size, name):
        return MaskLook(error)
    return MaskLook("", *white_shares(mask))
