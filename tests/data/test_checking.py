"""What is found about a run's images before training, and that unchanged files are read once."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from drawn import mnist_arrays, write_mnist
from PIL import Image, ImageOps
from trees import brain_tree, head_tree, oct_tree

from rdrepro.config import RunConfig
from rdrepro.data import checking, digests
from rdrepro.data.checking import check_images
from rdrepro.data.digests import file_hashes
from rdrepro.data.masks import seems_inverted, white_shares
from rdrepro.runs.configure import configure
from rdrepro.synthetic.benchmark import write_category

GRID = RunConfig(category="grid")
BENT, MASK = "grid/test/bent/000.png", "grid/ground_truth/bent/000_mask.png"
RNG = np.random.default_rng(0)


def picture(size=(8, 8), mode="RGB"):
    """A random picture; no two are alike."""
    pixels = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.fixture
def grid(tmp_path):
    """The folder of a sound category: two training images, a normal and a defective test image."""
    folder = tmp_path / "mvtec"
    for name in ("train/good/000", "train/good/001", "test/good/000", "test/bent/000"):
        (folder / "grid" / name).parent.mkdir(parents=True, exist_ok=True)
        picture().save(folder / "grid" / f"{name}.png")
    (folder / MASK).parent.mkdir(parents=True)
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(folder / MASK)
    return folder


def test_sound_data_have_no_findings(grid):
    found = check_images(GRID, grid)
    assert (found.errors, found.notes) == ([], [])
    assert len(found.digest) == 64


def write(content, name=BENT):
    return lambda root: (root / name).write_bytes(content)


def put(image, name=BENT, **options):
    return lambda root: image.save(root / name, **options)


def remove(name):
    return lambda root: (root / name).unlink()


def cut(root):
    content = (root / BENT).read_bytes()
    (root / BENT).write_bytes(content[: len(content) // 2])


def copy_into_training(root):
    (root / "grid/train/good/002.png").write_bytes((root / "grid/test/good/000.png").read_bytes())


def save_again_into_training(root):
    Image.open(root / BENT).save(root / "grid/train/good/002.bmp")


def link_to_nothing(root):
    (root / "grid/test/bent/001.png").symlink_to(root / "annex" / "missing")


def black(size, value=0):
    return Image.new("L", size, value)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            write(b""),
            "the image grid/test/bent/000.png cannot be decoded (it is empty or not an image)",
        ),
        (write(b"\x89PNG\r\n\x1a\n"), "the image grid/test/bent/000.png cannot be decoded"),
        (cut, "the image grid/test/bent/000.png cannot be decoded (image file is truncated"),
        (write(b"", "grid/train/good/001.png"), "the image grid/train/good/001.png cannot be"),
        (write(b"", MASK), f"the image {MASK} cannot be decoded"),
        (put(Image.new("I;16", (8, 8))), "mode I;16: more than 8 bits a channel; convert it to 8"),
        (remove(MASK), f"grid/test/bent/000.png has no mask: {MASK} is missing"),
        (put(black((4, 8), 255), MASK), f"the mask {MASK} has 4x8 pixels, its image 8x8"),
        (put(black((8, 8)), MASK), f"the mask {MASK} is all black, although its image is among"),
        (put(black((8, 8), 1), MASK), f"the mask {MASK} has no value above 1; defects must be"),
        (remove("grid/train/good/001.png"), "grid/train/good has one image; training needs 2"),
        (remove("grid/test/good/000.png"), "grid/test has no normal images (test/good)"),
        (remove(BENT), "grid/test has no defects; AUROC and PRO need both"),
        (
            copy_into_training,
            "the test image grid/test/good/000.png has the same pixels as the training image "
            "grid/train/good/002.png; remove one of the two",
        ),
        (save_again_into_training, f"the test image {BENT} has the same pixels as the training"),
        (link_to_nothing, "grid/test/bent/001.png is a link that leads to no file; copy the image"),
    ],
)
def test_each_defect_is_one_sentence_with_the_file(grid, damage, sentence):
    damage(grid)
    (error,) = check_images(GRID, grid).errors
    assert sentence in error
    assert "\n" not in error and str(grid) not in error


def test_all_defects_are_named_at_once(grid):
    for damage in (remove(MASK), write(b"", "grid/train/good/000.png"), link_to_nothing):
        damage(grid)
    write(b"", "grid/test/good/000.png")(grid)
    errors = check_images(GRID, grid).errors
    assert len(errors) == 4
    for name in ("no mask", "train/good/000.png", "test/good/000.png", "bent/001.png is a link"):
        assert sum(name in error for error in errors) == 1


def test_a_missing_category_says_how_to_get_it(grid):
    (error,) = check_images(RunConfig(category="wood"), grid).errors
    assert "no category 'wood'" in error and "(found: grid); get MVTec AD from http" in error


def rotated_exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize(
    ("name", "save", "note"),
    [
        ("t.png", {"image": picture((8, 4))}, "sides in a ratio beyond 4:3, which resizing to a"),
        ("t.png", {"image": picture(mode="RGBA")}, "an alpha channel, which is dropped"),
        ("t.png", {"image": picture(mode="P")}, "a palette, whose colours are read"),
        ("t.tif", {"image": picture(mode="CMYK")}, "CMYK colours, which are converted to RGB"),
        ("t.jpg", {"image": picture(), "exif": rotated_exif()}, "a rotation in the EXIF data"),
        (
            "t.png",
            {"image": picture(), "save_all": True, "append_images": [picture()]},
            "several frames, of which the first is read",
        ),
    ],
)
def test_what_is_odd_is_noted_with_what_is_done_about_it(grid, name, save, note):
    image, options = save["image"], {k: v for k, v in save.items() if k != "image"}
    image.save(grid / "grid/train/good" / name, **options)
    found = check_images(GRID, grid)
    assert found.errors == []
    (said,) = found.notes
    assert said.startswith(f"the image grid/train/good/{name} has {note}")


def test_many_equal_notes_are_one_sentence(grid):
    for number in range(5):
        picture((16, 4), "LA").save(grid / f"grid/test/good/x{number}.png")
    assert check_images(GRID, grid).notes == [
        "5 images have sides in a ratio beyond 4:3, which resizing to a square distorts "
        "(the first: grid/test/good/x0.png)",
        "5 images have an alpha channel, which is dropped (the first: grid/test/good/x0.png)",
    ]


def test_four_to_three_is_usual(grid):
    picture((16, 12)).save(grid / "grid/test/good/x.png")
    assert check_images(GRID, grid).notes == []


def half_left():
    mask = np.zeros((20, 20), np.uint8)
    mask[:, :9] = 255  # 45 % of the image, and of its border
    return mask


def most_of_the_middle():
    mask = np.zeros((20, 20), np.uint8)
    mask[1:-1, 1:-1] = 255
    return mask


def corner():
    mask = np.zeros((20, 20), np.uint8)
    mask[:14, :14] = 255  # 49 % of the image
    return mask


@pytest.mark.parametrize("mask", [half_left(), corner(), np.eye(20, dtype=np.uint8) * 255])
def test_a_mask_seems_inverted_where_its_negative_does_not(mask):
    assert not seems_inverted(*white_shares(Image.fromarray(mask)))
    assert seems_inverted(*white_shares(Image.fromarray(255 - mask)))


def test_a_defect_that_fills_all_but_the_border_is_not_inverted():
    inside, border = white_shares(Image.fromarray(most_of_the_middle()))
    assert (inside, border) == (1, 0) and not seems_inverted(inside, border)


def test_white_shares_of_masks_of_one_pixel_or_line():
    assert white_shares(black((1, 1), 255)) == (1, 1)
    assert white_shares(black((5, 1))) == (0, 0)


def test_an_inverted_mask_is_noted_with_its_shares_and_never_refused(grid):
    original = Image.open(grid / MASK)
    ImageOps.invert(original).save(grid / MASK)
    found = check_images(GRID, grid)
    assert found.errors == []
    (note,) = found.notes  # 6 of 36 pixels inside and 2 of 28 at the border were white
    assert note.startswith(
        f"the mask {MASK} is probably inverted (83% inside and 93% at the border are white)"
    )
    picture().save(grid / "grid/test/bent/001.png")
    ImageOps.invert(original).save(grid / MASK.replace("000", "001"))
    (note,) = check_images(GRID, grid).notes
    assert note.startswith(f"2 masks are probably inverted (the first: {MASK}, 83% inside")


def test_drawn_categories_have_no_findings(tmp_path):
    for category in ("bottle", "wood", "transistor", "zipper"):
        config = RunConfig(dataset="synthetic", category=category)
        assert check_images(config, tmp_path).errors == []  # not drawn yet
        write_category(tmp_path, category, 1, n_train=3, n_test=9, image_size=64)
        found = check_images(config, tmp_path)
        assert (found.errors, found.notes) == ([], []), category


def medical(dataset, **chosen):
    return configure({}, {"dataset": dataset, **chosen}, "float32")


@pytest.mark.parametrize(
    ("dataset", "tree"),
    [("brain_mri", brain_tree), ("head_ct", head_tree), ("retinal_oct", oct_tree)],
)
def test_medical_images_are_decoded(dataset, tree, tmp_path):
    root = tree(tmp_path)
    assert check_images(medical(dataset), root).errors == []
    victim = sorted(p for p in root.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))[0]
    victim.write_bytes(b"\xff\xd8\xff")
    (error,) = check_images(medical(dataset), root).errors
    assert victim.name in error and "cannot be decoded" in error


def test_medical_data_that_are_missing_or_too_few_say_so(tmp_path):
    (error,) = check_images(medical("brain_mri"), tmp_path).errors
    assert error.startswith("brain_mri is not in") and "kaggle.com" in error
    config = medical("brain_mri", split="report")
    (error,) = check_images(config, brain_tree(tmp_path, normal=9)).errors  # and two duplicates
    assert (
        error == "brain_mri has 11 normal images, too few for split='report' to leave 2 to train on"
    )


def test_medical_data_without_anomalous_images_say_so(tmp_path):
    root = brain_tree(tmp_path)
    for path in (root / "brain_mri" / "yes").iterdir():
        path.unlink()
    (root / "brain_mri" / "yes" / "loop").symlink_to(root)  # and a loop of links does no harm
    (error,) = check_images(medical("brain_mri"), root).errors
    assert error.startswith("brain_mri has no anomalous images to test; get it from https://")


def test_arrays_are_opened_and_data_to_be_downloaded_are_left(tmp_path):
    config = medical("mnist", normal_class=1)
    assert check_images(config, tmp_path).errors == []
    write_mnist(tmp_path, mnist_arrays(np.random.default_rng(0)))
    assert check_images(config, tmp_path).errors == []
    next((tmp_path / "MNIST" / "raw").glob("train-images*")).write_bytes(b"cut")
    (error,) = check_images(config, tmp_path).errors
    assert "MNIST cannot be read" in error and "to download mnist anew" in error


@pytest.fixture
def aged(grid, monkeypatch):
    """The category. Its files count as older than two seconds."""
    monkeypatch.setattr(digests, "UNSURE", 0)
    time.sleep(0.01)
    return grid


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that are hashed and of those that are decoded, in order."""
    hashed, decoded = [], []
    hash_file, look_at = digests._hash, checking.look_at
    monkeypatch.setattr(digests, "_hash", lambda p: hashed.append(p.name) or hash_file(p))
    monkeypatch.setattr(checking, "look_at", lambda p, n: decoded.append(n) or look_at(p, n))
    return hashed, decoded


def test_a_second_check_reads_nothing(aged, reads, tmp_path):
    hashed, decoded = reads
    first = check_images(GRID, aged, tmp_path / "kept")
    assert len(hashed) == 5 and len(decoded) == 4
    hashed.clear(), decoded.clear()
    assert check_images(GRID, aged, tmp_path / "kept") == first
    assert hashed == decoded == []
    picture().save(aged / BENT)
    second = check_images(GRID, aged, tmp_path / "kept")
    assert hashed == ["000.png"] and len(decoded) == 4 and second.digest != first.digest


def test_findings_are_kept_by_content_wherever_it_lies(aged, reads, tmp_path):
    write(b"", BENT)(aged)
    first = check_images(GRID, aged, tmp_path / "kept")
    aged.rename(tmp_path / "moved")
    reads[1].clear()
    assert check_images(GRID, tmp_path / "moved", tmp_path / "kept") == first
    assert reads[1] == [] and len(first.errors) == 1


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "[1]", '{"errors": 3, "notes": [], "digest": ""}']
)
def test_damaged_files_of_the_cache_are_written_anew(aged, content, tmp_path):
    first = check_images(GRID, aged, tmp_path / "kept")
    files = sorted((tmp_path / "kept").iterdir())
    sound = [file.read_bytes() for file in files]
    for file in files:
        file.write_text(content)
    assert check_images(GRID, aged, tmp_path / "kept") == first
    assert [file.read_bytes() for file in files] == sound
    assert sorted((tmp_path / "kept").iterdir()) == files  # and nothing lies beside them


def test_without_room_for_the_cache_the_check_goes_on(grid, tmp_path):
    (tmp_path / "kept").write_text("a file where a folder should be")
    assert check_images(GRID, grid, tmp_path / "kept").errors == []


def test_files_that_were_just_changed_are_read_again(grid, tmp_path):
    table = tmp_path / "table.json"
    file_hashes([grid / BENT], grid, table)
    assert not table.exists()  # the picture is younger than two seconds


@pytest.mark.parametrize("ahead", [3600, 2**32])
def test_a_time_in_the_future_is_not_relied_on(aged, ahead, tmp_path):
    moment = time.time() + ahead
    os.utime(aged / BENT, (moment, moment))
    file_hashes([aged / BENT], aged, tmp_path / "table.json")
    assert not (tmp_path / "table.json").exists()


def test_a_copy_of_the_same_size_and_time_is_seen(aged, tmp_path):
    file, table = aged / "a.bin", tmp_path / "table.json"
    file.write_bytes(b"old!")
    os.utime(file, (1_000, 1_000))
    time.sleep(0.01)
    first = file_hashes([file], aged, table)
    assert list(json.loads(table.read_text())) == ["a.bin"]
    file.write_bytes(b"new!")
    os.utime(file, (1_000, 1_000))
    assert file_hashes([file], aged, table) != first


def test_a_file_that_cannot_be_read_has_no_hash(grid):
    assert file_hashes([grid / "missing.png"], grid) == {"missing.png": None}


def test_checking_mvtec_loads_no_torch():
    code = "import sys, rdrepro.data.checking; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
