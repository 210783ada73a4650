"""Medical data sets: how they are read, and how they are split without leaks."""

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from trees import brain_tree, head_tree, oct_tree, picture

from rdrepro.data import medical
from rdrepro.data.medical import (
    MedicalImages,
    Picture,
    draw_groups,
    kfold,
    locate,
    split_sides,
)
from rdrepro.registry import DATASETS, DRAWN, FOLDS

# ------------------------------------------------------------------ reading


def test_head_ct_is_labelled_by_the_numbers_of_its_table(tmp_path):
    head_tree(tmp_path)
    test = MedicalImages(tmp_path, "head_ct", "test", 32, fold=0)
    assert test.counts() == {"hemorrhage": 10, "normal": 2}
    for index in range(len(test)):
        item = test[index]
        assert item["gt_label"] == int(int(item["path"][-7:-4]) < 10)
        assert item["image"].shape == (3, 32, 32) and 0 <= item["image"].min() < 1


def test_brain_mri_is_read_whatever_the_mode_and_the_ending(tmp_path):
    data = MedicalImages(brain_tree(tmp_path), "brain_mri", "test", 32, fold=1)
    assert data.counts()["tumour"] == 6
    assert all(item["image"].shape == (3, 32, 32) for item in (data[i] for i in range(len(data))))
    assert not any("Thumbs" in data[i]["path"] for i in range(len(data)))


def test_retinal_oct_has_sides_of_its_own_or_trains_on_half(tmp_path):
    oct_tree(tmp_path)
    whole = MedicalImages(tmp_path, "retinal_oct", "train", 32, "official", None)
    half = MedicalImages(tmp_path, "retinal_oct", "train", 32, "report", 0)
    other = MedicalImages(tmp_path, "retinal_oct", "train", 32, "report", 1)
    assert len(whole) == 9 and len(half) == len(other) == 5  # the larger half, as 13,158 of 26,315
    assert half.fingerprint() != other.fingerprint()
    test = MedicalImages(tmp_path, "retinal_oct", "test", 32, "report", 0)
    assert test.counts() == {"normal": 2, "CNV": 2, "DME": 2, "DRUSEN": 2}
    assert [test[i]["gt_label"] for i in range(8)].count(0) == 2


@pytest.mark.parametrize(
    ("dataset", "tree"),
    [
        ("head_ct", partial(head_tree, count=40)),
        ("brain_mri", brain_tree),
        ("retinal_oct", oct_tree),
    ],
)
def test_the_usual_split_is_the_first_of_the_registry(dataset, tree, tmp_path):
    tree(tmp_path)
    usual = MedicalImages(tmp_path, dataset, "train", 32)
    first, *others = DATASETS[dataset].splits
    for split in (first, *others):
        fold = None if split == "official" else 0
        one = MedicalImages(tmp_path, dataset, "train", 32, split, fold)
        assert (one.fingerprint() == usual.fingerprint()) == (split == first)
    with pytest.raises(ValueError, match="'mvtec' is not head_ct, brain_mri, retinal_oct or scans"):
        MedicalImages(tmp_path, "mvtec")


@pytest.mark.parametrize("dataset", ["head_ct", "brain_mri", "retinal_oct"])
def test_missing_files_are_one_sentence_with_the_source(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # not installed
    entry = DATASETS[dataset]
    with pytest.raises(FileNotFoundError) as error:
        MedicalImages(tmp_path, dataset)
    message = str(error.value)
    assert f"kaggle.com/datasets/{entry.kaggle}" in message
    assert f"DATA/{dataset}" in message and "\n" not in message


def test_kagglehub_is_used_where_it_is_installed(tmp_path, monkeypatch):
    asked = []
    kept = head_tree(tmp_path / "cache") / "head_ct"

    def download(handle):
        asked.append(handle)
        return str(kept)

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))
    medical._kagglehub.cache_clear()
    for _ in range(2):
        data = MedicalImages(tmp_path / "elsewhere", "head_ct", "train", 32)
    assert data.counts() == {"normal": 4} and asked == [
        "felipekitamura/head-ct-hemorrhage"
    ]  # asked once
    broken = SimpleNamespace(dataset_download=lambda handle: 1 / 0)
    monkeypatch.setitem(sys.modules, "kagglehub", broken)
    with pytest.raises(ConnectionError, match="kagglehub cannot download navoneel/brain"):
        MedicalImages(tmp_path / "elsewhere", "brain_mri")
    odd = SimpleNamespace(dataset_download=lambda handle: str(tmp_path / "odd"))
    monkeypatch.setitem(sys.modules, "kagglehub", odd)
    with pytest.raises(FileNotFoundError, match=r"with images. is not in .*odd"):
        MedicalImages(tmp_path / "elsewhere", "brain_mri")
    medical._kagglehub.cache_clear()


def test_a_table_that_does_not_fit_the_images_is_refused(tmp_path):
    table = head_tree(tmp_path) / "head_ct" / "labels.csv"
    whole = table.read_text()
    table.write_text(whole.replace("19,0\n", ""))
    with pytest.raises(FileNotFoundError, match="1 without the other, the first 19"):
        MedicalImages(tmp_path, "head_ct")
    table.write_text(whole.replace("hemorrhage", "bleeding"))
    with pytest.raises(ValueError, match="must have the columns id and hemorrhage, not id"):
        MedicalImages(tmp_path, "head_ct")
    for text, message in (
        (whole.replace("19,0", "19,2"), "must be 0 or 1, not 2.* .id 19"),
        (whole.replace("19,0", "19,"), "must be 0 or 1, not nan"),
        (whole + "3,0\n", "labels 3 twice"),
        ("", "cannot be read as a table"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=message):
            MedicalImages(tmp_path, "head_ct")
    table.write_text(whole.replace("hemorrhage", "Hemorrhage ,by"))
    assert MedicalImages(tmp_path, "head_ct", split="kfold").counts() == {"normal": 8}
    table.write_text(whole)
    picture(np.random.default_rng(0)).save(table.parent / "head_ct" / "3.png")
    with pytest.raises(ValueError, match=r"003.png and 3.png have the same number"):
        MedicalImages(tmp_path, "head_ct")


def test_head_ct_is_read_as_kaggle_packs_it(tmp_path):
    """Its archive has labels.csv beside head_ct/head_ct/."""
    folder = head_tree(tmp_path) / "head_ct" / "head_ct"
    inner = folder.rename(tmp_path / "pictures")
    folder.mkdir()
    inner.rename(folder / "head_ct")
    test = MedicalImages(tmp_path, "head_ct", "test", 32)
    assert test.counts() == {"hemorrhage": 10, "normal": 2}
    assert test[0]["path"].startswith("head_ct/head_ct/")


def test_empty_folders_around_the_data_are_passed_over(tmp_path):
    tree, root = brain_tree(tmp_path / "kept") / "brain_mri", tmp_path / "data"
    for name in ("yes", "no"):
        (root / "brain_mri" / name).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"brain_mri \(no, yes, with images\) is not in"):
        MedicalImages(root, "brain_mri")
    tree.rename(root / "brain_mri" / "brain_tumor_dataset")
    assert len(MedicalImages(root, "brain_mri"))


def test_drawn_scans_are_never_taken_for_head_ct(tmp_path):
    """They have Head CT's layout, and a data root may be a folder above them."""
    folder = head_tree(tmp_path / "scans") / "head_ct"
    (folder / DRAWN).touch()
    assert locate(folder.parent, "head_ct") is None
    assert locate(folder, "scans") == folder
    (folder / DRAWN).unlink()
    assert locate(folder.parent, "head_ct") == folder


def test_other_bytes_under_the_same_name_change_the_fingerprint(tmp_path):
    brain_tree(tmp_path)
    before = MedicalImages(tmp_path, "brain_mri", "test", 32).fingerprint()
    picture(np.random.default_rng(0)).save(tmp_path / "brain_mri" / "yes" / "Y0.JPG")
    assert MedicalImages(tmp_path, "brain_mri", "test", 32).fingerprint() != before


# ------------------------------------------------------------------ splits


@pytest.mark.parametrize(
    ("normal", "anomalous", "fold", "message"),
    [(12, 0, 0, "0 anomalous ones"), (2, 6, 4, "0 normal and 6")],
)
def test_a_split_without_one_of_the_labels_to_test_is_refused(
    normal, anomalous, fold, message, tmp_path
):
    brain_tree(tmp_path, normal, anomalous)
    with pytest.raises(ValueError, match=message):
        MedicalImages(tmp_path, "brain_mri", fold=fold)


def test_a_split_that_leaves_nothing_to_train_on_is_refused(tmp_path):
    folder = brain_tree(tmp_path, normal=2) / "brain_mri" / "no"
    for name in ("1 no.jpg", "big.png"):  # so that all four files are one picture
        (folder / name).write_bytes((folder / "0 no.jpg").read_bytes())
    with pytest.raises(ValueError, match="0 normal images to train on, 4 normal and 6"):
        MedicalImages(tmp_path, "brain_mri", fold=0)


def made_up(seed):
    """Random pictures of both labels in random groups, some of which hold both labels.

    Likely groups hold whole sure ones, and join some.
    """
    rng = np.random.default_rng(seed)
    sure = rng.integers(0, 40, 60)
    likely = rng.integers(0, 30, 40)[sure]
    labels = rng.integers(0, 2, 60)
    return [Picture(None, int(y), "") for y in labels], sure, likely


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("split", ["kfold", "report"])
def test_no_picture_is_on_both_sides(seed, split):
    pictures, sure, likely = made_up(seed)
    for fold in range(FOLDS):
        sides = split_sides(pictures, sure, likely, split, fold, seed)
        for groups in (sure, likely):
            train, test = (set(groups[sides == side]) for side in ("train", "test"))
            assert not train & test
        labels = np.array([p.label for p in pictures])
        assert not labels[sides == "train"].any() and (sides[labels == 1] == "test").all()


def test_a_likely_duplicate_of_a_tested_picture_is_left_out():
    pictures = [Picture(None, 0, "")] * 5 + [Picture(None, 1, "")]
    groups = np.array([0, 0, 1, 2, 3, 4])
    parted = 0
    for fold in range(FOLDS):
        sides = split_sides(pictures, np.arange(6), groups, "kfold", fold, 1)
        if (sides[:2] == "test").any():
            assert set(sides[:2]) == {"test", "left out"}
            parted += 1
    assert parted == 2  # each of the two duplicates is tested in a fold


def test_a_normal_duplicate_of_a_tested_anomaly_is_left_out():
    pictures = [Picture(None, y, "") for y in (0, 0, 0, 0, 0, 0, 1)]
    groups = np.array([0, 1, 2, 3, 4, 5, 5])  # the last normal one is a duplicate of an anomaly
    for fold in range(FOLDS):
        sides = split_sides(pictures, groups, groups, "kfold", fold, 1)
        assert sides[5] in ("test", "left out") and sides[6] == "test"


def test_an_official_training_image_that_is_tested_too_is_left_out():
    pictures = [Picture(None, 0, "", "train")] * 3 + [Picture(None, 0, "", "test")]
    sides = split_sides(pictures, np.arange(4), np.array([0, 1, 2, 2]), "official", None, 1)
    assert list(sides) == ["train", "train", "left out", "test"]


def test_every_normal_image_is_tested_once_in_folds_of_even_size():
    groups = np.array([0, 0, 0, 1, 1, *range(2, 95)])
    fold = kfold(groups, FOLDS, np.random.default_rng(3))
    sizes = np.bincount(fold)
    assert sizes.sum() == len(groups) and np.ptp(sizes) <= 1
    assert len(set(fold[:3])) == 1 and len(set(fold[3:5])) == 1
    again = kfold(groups, FOLDS, np.random.default_rng(3))
    other = kfold(groups, FOLDS, np.random.default_rng(4))
    assert (fold == again).all() and (fold != other).any()


def numbered(numbers):
    return [Picture(Path(f"{n}.png"), 0, "") for n in numbers] + [Picture(Path("a.png"), 1, "")]


def block_sides(numbers, groups=None, seed=1):
    """The sides of normal pictures with these numbers in each fold of split="blocks"."""
    groups = np.arange(len(numbers) + 1) if groups is None else np.array([*groups, -1])
    folds = range(FOLDS)
    pictures = numbered(numbers)
    return [split_sides(pictures, groups, groups, "blocks", f, seed)[:-1] for f in folds]


@pytest.mark.parametrize("seed", range(8))
def test_blocks_test_runs_of_consecutive_numbers_and_train_on_no_neighbour(seed):
    numbers = list(np.random.default_rng(seed).permutation(np.arange(100, 200)))
    tested = []
    for sides in block_sides(numbers, seed=seed):
        by_number = dict(zip(numbers, sides, strict=True))
        test = sorted(n for n in numbers if by_number[n] == "test")
        assert len(test) == 20
        # One run on the ring of numbers: neighbours follow each other in all places but one.
        assert sum((b - a) % 100 != 1 for a, b in zip(test, [*test[1:], test[0]], strict=True)) == 1
        near = {n for n in numbers if min(abs(n - t) for t in test) <= 2} - set(test)
        assert {n for n in numbers if by_number[n] == "left out"} == near
        tested += test
    assert sorted(tested) == sorted(numbers)


def test_blocks_of_head_ct_as_counted_by_hand():
    (sides, *_) = block_sides(range(10), seed=0)  # runs of two; the generator starts at 8
    assert list(np.flatnonzero(sides == "test")) == [8, 9]
    assert list(np.flatnonzero(sides == "left out")) == [6, 7]


def test_blocks_start_where_the_draw_says_and_keep_duplicates_together():
    assert (block_sides(range(50), seed=1)[0] != block_sides(range(50), seed=2)[0]).any()
    groups = [0, *range(1, 25), 0, *range(26, 50)]  # 0 and 25 are duplicates, in different runs
    tested = [sides == "test" for sides in block_sides(range(50), groups)]
    assert all(fold[0] == fold[25] for fold in tested)
    assert sum(fold.sum() for fold in tested) == 50


def test_blocks_need_numbers():
    pictures = [Picture(Path("scan.png"), 0, ""), *numbered(range(9))]
    with pytest.raises(ValueError, match=r"needs files named by numbers, .* not 'scan.png'"):
        split_sides(pictures, range(11), range(11), "blocks", 0, 1)


def test_the_reports_split_tests_ten_normals_in_whole_groups():
    groups = np.array([0, 0, 0, 1, 1, *range(2, 95)])
    for seed in range(30):
        drawn = draw_groups(groups, 10, np.random.default_rng(seed))
        assert drawn.sum() == 10 and not set(groups[drawn]) & set(groups[~drawn])
    with pytest.raises(ValueError, match="2 normal images cannot be split so that 10"):
        draw_groups(np.arange(2), 10, np.random.default_rng(0))


def test_the_folds_of_a_data_set_cover_its_normals_and_keep_duplicates_together(tmp_path):
    brain_tree(tmp_path)
    tested = []
    for fold in range(FOLDS):
        train, test = (
            MedicalImages(tmp_path, "brain_mri", part, 32, "kfold", fold)
            for part in ("train", "test")
        )
        assert not set(train.groups) & set(test.groups)
        assert len(train) + len(test) == 20
        tested += [test[i]["path"] for i in range(len(test)) if not test[i]["gt_label"]]
    assert len(tested) == len(set(tested)) == 14
