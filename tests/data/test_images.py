"""Which files are images, and how odd and broken ones are decoded."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from rdrepro.data.images import images_in, is_image, open_image, opened, shown

PIXELS = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)


def saved(path, picture=None, **options):
    (picture or Image.fromarray(PIXELS)).save(path, **options)
    return path


def huge_png(side):
    """A PNG of a few bytes whose header promises side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    chunk = struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + chunk + chunk.replace(b"IHDR", b"IDAT")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("a.png", True),
        ("a.PNG", True),
        ("b c.JPeG", True),
        ("größe 円.tif", True),
        (".a.png", False),
        ("._a.png", False),
        ("Thumbs.db", False),
        ("a.png.txt", False),
    ],
)
def test_an_image_is_known_by_its_ending(name, counts, tmp_path):
    (tmp_path / name).touch()
    assert is_image(tmp_path / name) is counts
    assert images_in(tmp_path) == ([tmp_path / name] if counts else [])


def test_folders_and_links_without_a_file_are_no_images(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "missing")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    saved(tmp_path / "real.png")
    (tmp_path / "linked.png").symlink_to(tmp_path / "real.png")
    assert [p.name for p in images_in(tmp_path)] == ["linked.png", "real.png"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_pixels_are_what_pillow_converts(mode, tmp_path):
    picture = Image.fromarray(PIXELS).convert(mode)
    path = saved(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), picture)
    expected = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(open_image(path, "RGB")), expected)


def test_the_first_frame_is_read_and_exif_rotates_nothing(tmp_path):
    first, second = (Image.fromarray(np.full((8, 4, 3), v, np.uint8)) for v in (10, 200))
    path = saved(tmp_path / "a.png", first, save_all=True, append_images=[second])
    assert open_image(path, "RGB").getextrema() == ((10, 10),) * 3
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    assert open_image(saved(tmp_path / "b.jpg", first, exif=exif), "RGB").size == (4, 8)


def test_one_pixel_is_an_image(tmp_path):
    assert open_image(saved(tmp_path / "a.png", Image.new("RGB", (1, 1), 7)), "L").size == (1, 1)


def test_a_decompression_bomb_is_not_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(huge_png(20_000))
    with pytest.raises(ValueError, match=r"bomb\.png cannot be decoded safely: it has more"):
        open_image(path, "RGB")


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_8_bits_are_refused(mode, tmp_path):
    path = saved(tmp_path / "deep.tif", Image.new(mode, (4, 4)))
    with pytest.raises(ValueError, match=r"deep\.tif .*more than 8 bits a channel; convert it to"):
        open_image(path, "RGB")


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"])
def test_what_is_no_image_is_refused_in_one_sentence(content, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"^the image x/a\.png cannot be decoded \(.+\); "
    ) as error:
        open_image(path, "RGB", name="x/a.png")
    assert "\n" not in str(error.value)


def test_an_error_of_the_reader_names_the_image_too(tmp_path):
    path = saved(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png cannot be decoded \(odd\)"), opened(path):
        raise OSError("odd")
    with pytest.raises(MemoryError), opened(path):
        raise MemoryError


def test_odd_characters_of_names_are_escaped():
    assert shown("a b/größe.png") == "a b/größe.png"
    assert shown("a\nb.png") == "a\\nb.png"
    assert shown(os.fsdecode(b"\xff.png")) == "\\udcff.png"
