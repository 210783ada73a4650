"""Image files: which files are images, and how they are decoded. Loads no torch."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
# Pillow warns of images this large and refuses images twice as large. Its warning does not name the
# file, but `checking` does.
LARGE = Image.MAX_IMAGE_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def is_image(path: Path) -> bool:
    """Whether a path is an image file, judged by its ending. Hidden files do not count."""
    return looks_like_image(path) and path.is_file()


def looks_like_image(path: Path) -> bool:
    """Whether a path has an image's ending and is not hidden; it need not be a file."""
    return path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")


def images_in(folder: Path) -> list[Path]:
    """The images that lie directly in a folder, sorted by name."""
    return sorted(path for path in folder.glob("*") if is_image(path))


@contextmanager
def opened(path: Path, name: str = "") -> Iterator[Image.Image]:
    """The context in which a picture is decoded; its value is the opened picture.

    name: what errors call the file, by default its path. Raises ValueError where the picture cannot
    be decoded or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                deep = f"mode {picture.mode}: more than 8 bits a channel"
                raise ValueError(f"{deep}; convert it to 8")
            yield picture
    except MemoryError:
        raise
    except Exception as error:  # a broken file can make a decoder raise anything
        raise ValueError(f"the image {name or shown(path)} {_trouble(error)}") from None


def open_image(path: Path, mode: str, name: str = "") -> Image.Image:
    """Open a picture in a mode such as "RGB".

    As in the official loader, only the first frame is read, an alpha channel is dropped, and a
    rotation in the EXIF data is not applied. For TIFF, Pillow itself applies it. Name and errors
    are those of `opened`.
    """
    with opened(path, name) as picture:
        return picture.convert(mode)


def _trouble(error: Exception) -> str:
    """What an error of a decoder says about a file, and the way out."""
    if isinstance(error, Image.DecompressionBombError):
        most = f"{2 * LARGE / 1e6:.0f} million pixels"
        return f"cannot be decoded safely: it has more than {most}; scale it down"
    reason = shown(" ".join(str(error).split())) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "it is empty or not an image"
    return f"cannot be decoded ({reason}); replace it, or take it out of the folder"


def shown(path: Path | str) -> str:
    """A path as text for a message, with `/`; odd characters, such as a line break, are escaped."""
    text = path if isinstance(path, str) else path.as_posix()
    return text if text.isprintable() else ascii(text)[1:-1]


def encoded(name: str) -> bytes:
    """A file's name as bytes. Unlike `str.encode`, this works for every possible file name."""
    return name.encode("utf-8", "surrogateescape")
