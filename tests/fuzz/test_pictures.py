"""Images and masks of any mode, size and damage: refused by the check, or read without error."""

import numpy as np
import pytest
from fuzzing import check_sentence, examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rdrepro.config import RunConfig
from rdrepro.data.checking import check_images
from rdrepro.data.mvtec import MVTecAD

GRID = RunConfig(category="grid")
BENT, MASK = "grid/test/bent/000", "grid/ground_truth/bent/000_mask"
FORMATS = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "tif": ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    "jpg": ("L", "RGB", "CMYK"),
    "bmp": ("1", "L", "P", "RGB"),
}
kinds = st.sampled_from([(ending, mode) for ending, modes in FORMATS.items() for mode in modes])
few = st.integers(1, 12)
sizes = st.tuples(few, few) | st.tuples(few, st.sampled_from([300, 20_000]))
damages = st.sampled_from(["none", "none", "cut", "flip", "append"])


def random_picture(mode, size, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    return Image.new(mode, size, 40) if mode in ("I;16", "F") else picture.convert(mode)


def damaged(content, damage, place):
    """The bytes of a file with its end cut off, one byte changed, or rubbish behind it."""
    at = int(place * (len(content) - 1))
    if damage == "cut":
        return content[:at]
    if damage == "flip":
        return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]
    return content + b"rubbish" if damage == "append" else content


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A category whose defective image and mask a test replaces."""
    root = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("train/good/000", "train/good/001", "test/good/000")):
        (root / "grid" / name).parent.mkdir(parents=True, exist_ok=True)
        random_picture("RGB", (8, 8), 100 + seed).save(root / "grid" / f"{name}.png")
    for name in (BENT, MASK):
        (root / name).parent.mkdir(parents=True)
    return root


def replace(root, name, ending, content):
    for old in (root / name).parent.iterdir():
        old.unlink()
    (root / f"{name}.{ending}").write_bytes(content)


def encoded(picture, folder, ending, frames, turn):
    """The bytes of a picture in a format, with further frames and an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = turn
    more = (
        {"save_all": True, "append_images": [picture] * frames} if ending in ("png", "tif") else {}
    )
    more |= {} if ending == "bmp" else {"exif": exif}
    picture.save(folder / f"aside.{ending}", **more)
    return (folder / f"aside.{ending}").read_bytes()


@examples(20)
@given(
    kinds,
    sizes,
    st.integers(0, 2),
    st.integers(0, 9),
    damages,
    st.floats(0, 1),
    st.booleans(),
)
def test_what_the_check_passes_can_be_read(grid, kind, size, frames, turn, damage, place, is_mask):
    ending, mode = ("png", kind[1]) if is_mask else kind
    if is_mask and mode not in FORMATS["png"]:
        mode = "L"
    picture = random_picture(mode, size, seed=1)
    content = damaged(encoded(picture, grid, ending, frames, turn), damage, place)
    white, whole = (random_picture("RGB", size, 2), Image.new("L", size, 255))
    replace(grid, MASK, "png", content if is_mask else encoded(whole, grid, "png", 0, 1))
    plain = encoded(white, grid, "png", 0, 1)
    replace(grid, BENT, *(("png", plain) if is_mask else (ending, content)))
    found = check_images(GRID, grid)
    for sentence in found.errors:
        check_sentence(ValueError(sentence))
        assert "000" in sentence and str(grid) not in sentence
    try:
        items = [MVTecAD(grid, "grid", "test", 16)[n] for n in range(2)]
    except ValueError as error:
        check_sentence(error)
        assert len(found.errors) == 1
    else:
        assert all(item["image"].isfinite().all() for item in items)
        assert found.errors == [] or "all black" in found.errors[0]
    quarter = ending == "tif" and turn > 4  # which Pillow applies, so that no mask fits
    if damage == "none" and kind[1] in ("1", "L", "RGB") and not (is_mask or quarter):
        assert found.errors == []
