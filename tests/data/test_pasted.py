"""split="pasted": held-out training images with drawn defects, made without any test image."""

import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

import rdrepro as rd
from rdrepro.config import eval_key
from rdrepro.data import pasted
from rdrepro.data.flaws import FLAWS, STRUCTURAL
from rdrepro.data.mvtec import MVTecAD
from rdrepro.data.pasted import GOOD_EVERY, SPECK, VISIBLE, Pasted, find_part, spoil, visible
from rdrepro.data.splits import open_split
from rdrepro.meaning import meaningless, normalised
from rdrepro.registry import DATASETS, MVTEC, check_choice, of_family
from rdrepro.study.matching import cell_matches
from rdrepro.study.printed import printed_cells
from rdrepro.synthetic.benchmark import write_category

SIZE = 64
TRAINED = 50  # of which 15 are held out: five stay good, and each kind of defect is drawn once


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """A folder with a texture and a part, drawn, whose test images and masks are no images."""
    root = tmp_path_factory.mktemp("pasted")
    for category in ("wood", "bottle"):
        folder = write_category(root, category, 1, n_train=TRAINED, n_test=4, image_size=SIZE)
        for side in ("test", "ground_truth"):
            files = sorted(folder.glob(f"{side}/*/*"))
            assert files
            for file in files:
                file.write_bytes(b"poison")
    return root


def opened(root, category="wood", **changes):
    """Both sides of the split."""
    config = rd.RunConfig(category=category, split="pasted", image_size=SIZE, **changes)
    return tuple(open_split(config, root, side) for side in ("train", "test"))


def whole(root, category="wood"):
    return {item["path"]: item for item in MVTecAD(root, category, image_size=SIZE)}


def as_bytes(item):
    """An item's image (H, H, 3) as whole numbers; they must be whole already."""
    exact = item["image"].numpy().transpose(1, 2, 0) * 255
    np.testing.assert_allclose(exact, exact.round(), atol=1e-4)
    return exact.round().astype(int)


def test_both_sides_are_all_training_images_and_share_none(roots):
    train, test = opened(roots)
    sides = [[item["path"] for item in data] for data in (train, test)]
    assert len(sides[0]) == 35 and len(sides[1]) == 15
    assert sorted(sides[0] + sides[1]) == sorted(whole(roots))
    assert all(item["gt_label"] == 0 for item in train)


def test_no_test_image_is_needed(roots, tmp_path):
    alone = tmp_path / "wood" / "train"
    shutil.copytree(roots / "wood" / "train", alone)
    for mine, theirs in zip(opened(tmp_path), opened(roots), strict=True):
        assert mine.fingerprint() == theirs.fingerprint()
        assert all(torch.equal(a["image"], b["image"]) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("category", ["wood", "bottle"])
def test_masks_are_the_changed_pixels(roots, category):
    clean, least = whole(roots, category), SPECK * SIZE**2
    for index, item in enumerate(opened(roots, category)[1]):
        before, after = as_bytes(clean[item["path"]]), as_bytes(item)
        change, mask = np.abs(after - before).max(axis=2), item["gt_mask"].numpy()
        assert mask.shape == (SIZE, SIZE) and mask.dtype == bool
        np.testing.assert_array_equal(mask, change > 0)
        assert (change[mask] > VISIBLE).all()
        assert item["gt_label"] == mask.any() == bool(index % GOOD_EVERY)
        assert item["defect"] == "good" if not mask.any() else mask.sum() >= least
        assert mask.mean() < 0.3


def test_every_kind_is_drawn_in_turn(roots):
    _, test = opened(roots)
    kinds = [item["defect"] for item in test]
    assert kinds[::GOOD_EVERY] == ["good"] * 5
    assert [kind for kind in kinds if kind != "good"] == list(FLAWS)
    assert test.counts() == {"good": 5} | dict.fromkeys(FLAWS, 1)
    assert test.labels() == [item["gt_label"] for item in test]
    assert [path.parent.name for path in test.paths] == kinds  # as `plot_samples` sorts them
    assert [path.name for path in test.paths] == [item["path"].split("/")[-1] for item in test]
    names = {flaw.__name__ for flaw in STRUCTURAL}
    assert names < set(FLAWS) and names & set(kinds[:6]) and set(kinds[:6]) - names - {"good"}


def test_the_same_seed_gives_the_same_bytes_in_any_order_and_another_gives_others(roots):
    one, again, other = (opened(roots, data_seed=seed)[1] for seed in (1, 1, 2))
    images = [item["image"] for item in one]
    for index in reversed(range(len(again))):
        assert torch.equal(again[index]["image"], images[index])
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    assert one.held.indices != other.held.indices


def test_what_is_drawn_depends_on_the_seed_where_the_same_image_is_held_out(roots):
    train = MVTecAD(roots, "wood", image_size=SIZE)
    one, other = Pasted(train, 1), Pasted(train, 1)
    other.data_seed = 2
    assert one.held.indices == other.held.indices and one.fingerprint() != other.fingerprint()
    assert torch.equal(one[0]["image"], other[0]["image"])  # a good one
    assert not torch.equal(one[1]["image"], other[1]["image"])


def test_another_version_has_another_fingerprint(roots, monkeypatch):
    data = opened(roots)[1]
    before = data.fingerprint()
    monkeypatch.setattr(pasted, "PASTED_VERSION", 99)
    assert data.fingerprint() != before


def test_a_changed_training_image_changes_the_fingerprint(roots, tmp_path):
    shutil.copytree(roots / "wood" / "train", tmp_path / "wood" / "train")
    before = [data.fingerprint() for data in opened(tmp_path)]
    trained = tmp_path / opened(tmp_path)[0][0]["path"]
    Image.new("RGB", (SIZE, SIZE), "red").save(trained)
    after = [data.fingerprint() for data in opened(tmp_path)]
    assert before[0] != after[0] and before[1] != after[1]


# ------------------------------------------------------------------ where and how much


def disc(size=SIZE, radius=0.3):
    """A dark disc on a bright ground, (H, H, 3) uint8, and where it is."""
    v, u = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    inside = np.hypot(u, v) < radius
    return np.where(inside[..., None], (60, 40, 50), (220, 220, 210)).astype(np.uint8), inside


def test_the_part_is_found_and_a_texture_is_taken_as_a_whole():
    image, inside = disc(256)
    part = find_part(image / np.float32(255))
    assert (part != inside).mean() < 0.03
    for radius in (0.1, 0.9):  # 3 % of the image, and all of it
        assert find_part(disc(256, radius)[0] / np.float32(255)).all()


@pytest.mark.parametrize("kind", [name for name, flaw in FLAWS.items() if flaw not in STRUCTURAL])
def test_a_mark_lies_on_the_part(kind):
    image, _ = disc(256)
    part = find_part(image / np.float32(255))
    for seed in range(5):
        mask = spoil(image, kind, np.random.default_rng(seed))[1]
        assert mask.any() and not (mask & ~part).any()


@pytest.mark.parametrize("kind", FLAWS)
def test_a_stronger_defect_changes_the_image_more(kind):
    scene = np.random.default_rng(0).random((16, 16, 3), np.float32).repeat(8, 0).repeat(8, 1)
    changes = [
        np.abs(FLAWS[kind](scene, (60, 70), strength, np.random.default_rng(3)) - scene).sum()
        for strength in (0.3, 1.0)
    ]
    assert 0 < 1.5 * changes[0] < changes[1]


@pytest.mark.parametrize("kind", FLAWS)
def test_defects_scale_with_the_image(kind):
    shares = []
    for size in (64, 256):
        small = np.random.default_rng(0).random((8, 8, 3), np.float32)
        scene = small.repeat(size // 8, 0).repeat(size // 8, 1)
        flawed = FLAWS[kind](scene, (size // 2, size // 2), 0.8, np.random.default_rng(4))
        shares.append((np.abs(flawed - scene).max(axis=2) > 0.1).mean())
    assert 0.4 < shares[0] / shares[1] < 2.5


def test_specks_and_faint_changes_are_no_defects():
    before = np.full((256, 256, 3), 100, np.uint8)
    after = before.copy()
    after[10:20, 10:20, 1] += VISIBLE + 1
    after[50:80, 50:80] += VISIBLE
    after[100:103, 100:104] = 0  # 12 pixels
    expected = np.zeros((256, 256), bool)
    expected[10:20, 10:20] = True
    np.testing.assert_array_equal(visible(before, after), expected)
    assert not visible(before, before).any()


# ------------------------------------------------------------------ what is refused


def test_a_set_that_is_too_small_is_refused(roots, tmp_path):
    folder = tmp_path / "wood" / "train" / "good"
    folder.mkdir(parents=True)
    for file in sorted((roots / "wood" / "train" / "good").iterdir())[:4]:
        shutil.copy(file, folder)
    with pytest.raises(ValueError, match=r"wood has 4 training images, .* it needs 2: add images"):
        opened(tmp_path)


def test_an_image_on_which_nothing_shows_is_named(tmp_path):
    folder = tmp_path / "wood" / "train" / "good"
    folder.mkdir(parents=True)
    for number in range(10):
        Image.new("RGB", (SIZE, SIZE), "grey").save(folder / f"{number}.png")
    data = opened(tmp_path)[1]
    assert data[1]["gt_mask"].any()  # a scratch shows on every colour
    with pytest.raises(ValueError, match=r"good/\d\.png shows no defect of kind 'moved'"):
        data[2]


@pytest.mark.parametrize("dataset", of_family(MVTEC))
def test_a_split_that_is_not_the_data_sets_is_refused_with_those_that_are(dataset):
    assert DATASETS[dataset].splits == ("official", "pasted")
    check_choice(dataset, "wood", None, 1, "pasted", None)
    message = f"split='kfold' is not official or pasted of {dataset}"
    with pytest.raises(ValueError, match=message):
        check_choice(dataset, "wood", None, 1, "kfold", None)


@pytest.mark.parametrize("dataset", ["digits", "head_ct", "caltech256"])
def test_other_families_have_no_such_split(dataset):
    entry = DATASETS[dataset]
    number = None if entry.family == "medical" else 0
    with pytest.raises(ValueError, match="split"):
        check_choice(dataset, entry.categories[0], number, 1, "pasted", None)


# ------------------------------------------------------------------ settings and tables


def test_data_seed_has_a_meaning_where_defects_are_pasted():
    assert "data_seed" in meaningless({"split": "official"})
    chosen = {"split": "pasted", "data_seed": 2}
    assert "data_seed" not in meaningless(chosen) and normalised(chosen) == chosen
    assert {"mask_threshold", "label_source"} <= meaningless(chosen).keys()
    keys = {eval_key(rd.RunConfig(split="pasted", data_seed=s), "a", "b") for s in (1, 2)}
    assert len(keys) == 2


def test_no_printed_number_is_compared_with_such_a_row():
    cells = printed_cells()
    rows = [{"config": asdict(rd.RunConfig(split=split))} for split in ("official", "pasted")]
    official, own = ([cell for cell in cells if cell_matches(row, cell)] for row in rows)
    assert official and not own


def test_a_run_from_end_to_end():
    run = rd.resolve(
        preset="demo",
        category="wood",
        split="pasted",
        data_seed=3,
        image_size=SIZE,
        epochs=1,
        device="cpu",
        overrides="rotation=90",
    )
    row = rd.carry_out(run).row
    assert row["config"]["split"] == "pasted" and row["config"]["data_seed"] == 3
    counts = [row["counts"][name] for name in ("train", "test_normal", "test_anomalous")]
    assert counts == [42, 6, 12]
    assert 0 < row["metrics"]["pixel_aupro"] < 1
