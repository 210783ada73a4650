"""Folder trees with links, loops, hidden files and odd names: the right images are found."""

import os
import shutil
import unicodedata

import pytest
from fuzzing import check_sentence, examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rdrepro.config import RunConfig
from rdrepro.data.checking import check_images
from rdrepro.data.listing import list_files

GRID = RunConfig(category="grid")
STEMS = (
    "000",
    "a b",
    " ",
    "größe",
    "円",
    "a\nb",
    "-rf",
    "{stem}",
    "*",
    os.fsdecode(b"\xff"),
    ".hid",
)
ENDINGS = (".png", ".PNG", ".JpEg", ".tif", ".png.txt", "", ".db")
FOLDERS = ("good", "bent", "Bent", ".hidden", "größe", "a b", "__MACOSX")
KINDS = ("image", "image", "image", "folder", "self", "loop", "nowhere", "link", "pipe")
entries = st.lists(
    st.tuples(*map(st.sampled_from, (FOLDERS, STEMS, ENDINGS, KINDS))),
    max_size=8,
    unique_by=lambda entry: (entry[0].lower(), entry[1], entry[2].lower()),
)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "picture.bmp"
    Image.new("RGB", (4, 4), 90).save(path)
    return path


def place(path, kind, picture):
    """Put something of a kind at a path; return whether it can be read as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "image":
        shutil.copy(picture, path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        target = {"self": path, "loop": path.parent, "nowhere": path.parent / "x", "link": picture}
        path.symlink_to(target[kind])
    return kind in ("image", "link")


@examples(14)
@given(entries)
def test_the_images_of_a_tree_are_those_that_can_be_seen(tmp_path_factory, picture, tree):
    root = tmp_path_factory.mktemp("data")
    for number in range(2):
        place(root / f"grid/train/good/{number}.png", "image", picture)
    (root / "grid/test").mkdir()
    (root / "grid/test/loop").symlink_to(root / "grid")
    expected = set()
    for folder, stem, ending, kind in tree:
        path = root / "grid/test" / folder / f"{stem}{ending}"
        there = place(path, kind, picture)
        image = ending.lower() in (".png", ".jpeg", ".tif") and not stem.startswith(".")
        if there and image and not folder.startswith("."):
            expected.add(path)
    listing = list_files(GRID, root)
    assert set(listing.test) == expected and len(listing.train) == 2
    found = check_images(GRID, root, root / "kept")
    assert found == check_images(GRID, root, root / "kept")
    for sentence in (*found.errors, *found.notes):
        check_sentence(ValueError(sentence))
        assert str(root) not in unicodedata.normalize("NFC", sentence)
    # Every image of the test set is the training images' picture, and none has a mask.
    assert sum("has the same pixels as" in error for error in found.errors) == len(expected)
    assert sum("has no mask" in error for error in found.errors) == sum(
        path.parent.name != "good" for path in expected
    )
