"""The drawn scans: Head CT's layout, the stated duplicates alone, lesions inside the head."""

import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_fill_holes

from rdrepro.synthetic import scans
from rdrepro.synthetic.scans import (
    ANOMALOUS_COPIES,
    LESIONS,
    N_ANOMALOUS,
    N_NORMAL,
    NORMAL_COPIES,
    NORMAL_RESCALED,
    draw_scan,
    write_scans,
)

SIZE = 64
SEEDS = (1, 2)
# Correlation of thumbnails: the package calls pictures the same from 0.99 on.
SAME, UNLIKE = 0.99, 0.98


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folders of two seeds."""
    root = tmp_path_factory.mktemp("scans")
    return {seed: write_scans(root / str(seed), seed, SIZE) for seed in SEEDS}


def read_labels(folder):
    with open(folder / "labels.csv", newline="") as file:
        return [int(row["hemorrhage"]) for row in csv.DictReader(file, skipinitialspace=True)]


def files(folder):
    return sorted((folder / "head_ct").iterdir())


def thumbnails(paths):
    """Grey pictures of 32x32 as vectors of zero mean and unit length, (N, 1024)."""
    small = [Image.open(p).convert("L").resize((32, 32), Image.Resampling.LANCZOS) for p in paths]
    flat = np.array([np.asarray(s, float).ravel() for s in small])
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def pixel_hash(folder):
    digest = hashlib.sha256()
    for path in files(folder):
        digest.update(np.asarray(Image.open(path)).tobytes())
    return digest.hexdigest()


def rng(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_folder_has_the_layout_of_head_ct_on_kaggle(written, seed):
    folder = written[seed]
    assert sorted(p.name for p in folder.iterdir()) == ["DRAWN.txt", "head_ct", "labels.csv"]
    assert [p.name for p in files(folder)] == [f"{i:03d}.png" for i in range(100)]
    lines = (folder / "labels.csv").read_text().split("\n")
    assert lines[0] == "id, hemorrhage" and lines[-1] == ""
    assert [line.split(",")[0] for line in lines[1:-1]] == [str(i) for i in range(100)]
    labels = read_labels(folder)
    assert labels.count(0) == N_NORMAL == 60 and labels.count(1) == N_ANOMALOUS == 40
    sizes = [Image.open(p).size for p in files(folder)]
    assert sorted(set(sizes)) == [(64, 64), (96, 96)] and sizes.count((96, 96)) == 1
    assert {Image.open(p).mode for p in files(folder)} == {"L"}


def test_the_numbers_give_no_label_away(written):
    """Runs of equal labels are as many as a shuffle makes: 49 of 100 on average, sd 4.8."""
    for folder in written.values():
        assert 34 < 1 + np.count_nonzero(np.diff(read_labels(folder))) < 64
    assert read_labels(written[1]) != read_labels(written[2])


def test_the_duplicates_are_those_stated_and_no_others(written):
    assert (len(NORMAL_COPIES), len(ANOMALOUS_COPIES)) == (2, 1)
    named = [i for pair in (*NORMAL_COPIES, NORMAL_RESCALED) for i in pair]
    assert len(set(named)) == len(named)
    for folder in written.values():
        labels, paths = read_labels(folder), files(folder)
        contents = [p.read_bytes() for p in paths]
        pairs = list(combinations(range(100), 2))
        identical = [(i, j) for i, j in pairs if contents[i] == contents[j]]
        assert sorted((labels[i], labels[j]) for i, j in identical) == [(0, 0), (0, 0), (1, 1)]
        likeness = thumbnails(paths) @ thumbnails(paths).T
        alike = [(i, j) for i, j in pairs if likeness[i, j] >= UNLIKE]
        (rescaled,) = set(alike) - set(identical)
        assert [labels[i] for i in rescaled] == [0, 0] and likeness[rescaled] > SAME
        assert {Image.open(paths[i]).size for i in rescaled} == {(64, 64), (96, 96)}


def test_the_same_seed_draws_the_same_pixels_and_another_none_of_them(written, tmp_path):
    again = write_scans(tmp_path / "again", 1, SIZE)
    assert pixel_hash(again) == pixel_hash(written[1]) != pixel_hash(written[2])
    assert read_labels(again) == read_labels(written[1])
    likeness = thumbnails(files(written[1])) @ thumbnails(files(written[2])).T
    assert likeness.max() < SAME


def test_a_picture_that_looks_like_an_earlier_one_is_replaced(monkeypatch):
    """A head that looks the same is not taken; the next try, which does not, is."""
    plain = np.add.outer(np.arange(SIZE), np.arange(SIZE)).astype(np.uint8)
    drawn = iter([plain, plain + 3, plain.T[::-1]])
    monkeypatch.setattr(scans, "draw_scan", lambda *_: next(drawn))
    seen = []
    first, second = (scans._draw_unlike([1, 0, i], SIZE, None, seen) for i in range(2))
    assert np.array_equal(first, plain) and np.array_equal(second, plain.T[::-1])


def test_an_existing_folder_is_kept_and_two_writers_do_not_collide(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: write_scans(tmp_path / "scans", 1, 32), range(2)))
    assert done == [tmp_path / "scans"] * 2
    assert [p.name for p in tmp_path.iterdir()] == ["scans"] and len(files(done[0])) == 100
    files(done[0])[0].unlink()
    write_scans(tmp_path / "scans", 2, 32)
    assert len(files(done[0])) == 99
    with pytest.raises(FileExistsError, match=r"no labels\.csv; move it away"):
        write_scans(tmp_path, 1, 32)


@pytest.mark.parametrize("lesion", LESIONS)
def test_lesions_are_visible_and_inside_the_head_alone(lesion):
    for seed in range(8):
        healthy = draw_scan(rng(seed), 128, None).astype(int)
        change = np.abs(draw_scan(rng(seed), 128, lesion) - healthy)
        inside = binary_fill_holes(healthy > 150)  # within the skull's bright ring
        assert not change[~inside].any()
        assert np.count_nonzero(change > 15) > 20
        assert np.count_nonzero(change > 4) < inside.sum() / 2


def test_a_widened_ventricle_is_darker_on_one_side_alone():
    """The heads lie a little askew, so the side that changes is where nearly all of it is."""
    for seed in range(8):
        healthy = draw_scan(rng(seed), 128, None).astype(int)
        change = draw_scan(rng(seed), 128, "ventricle") - healthy
        columns = np.flatnonzero((change < -15).any(axis=0))
        left = (change[:, :64] < -15).sum() / (change < -15).sum()
        assert len(columns) and not 0.1 < left < 0.9
        assert -change[change < 0].sum() > 5 * change[change > 0].sum()


def test_heads_are_bright_rings_on_black_with_a_grey_brain():
    for seed in range(8):
        picture = draw_scan(rng(seed), 128, None)
        assert picture.dtype == np.uint8 and picture.shape == (128, 128)
        corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.max() < 20 and np.percentile(picture, 97) > 180
        assert 60 < np.median(picture[48:80, 48:80]) < 150


def test_an_unknown_lesion_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'mass'"):
        draw_scan(rng(1), SIZE, "mas")
