"""One class against the others: the views of each data set, their choice and their download."""

import gzip
import hashlib
import pickle

import numpy as np
import pytest
import torch
import torchvision
from drawn import RAW, idx, mnist_arrays, write_mnist
from PIL import Image
from sklearn.datasets import load_digits

from rdrepro.data.one_class import OneClass, choose, load_split
from rdrepro.registry import DATASETS


@pytest.fixture(autouse=True)
def no_kept_splits():
    load_split.cache_clear()


def test_a_view_trains_on_one_class_and_tests_all(mnist):
    root, arrays = mnist
    train, test = (OneClass(root, "mnist", 3, split, 28) for split in ("train", "test"))
    assert train.paths == ["train/00003", "train/00013"] and set(train.labels) == {0}
    assert len(test) == 10 and test.counts() == dict.fromkeys(DATASETS["mnist"].categories, 1)
    classes = arrays["test"][1]
    assert [test[i]["gt_label"] for i in range(10)] == [int(c != 3) for c in classes]
    assert [test[i]["defect"] for i in range(10)] == [str(c) for c in classes]
    item = train[1]
    assert item["image"].shape == (3, 28, 28) and "gt_mask" not in item
    grey = torch.from_numpy(arrays["train"][0][13]) / 255
    torch.testing.assert_close(item["image"], grey.float().expand(3, -1, -1))


def test_pictures_are_resized_as_the_official_loader_does(mnist):
    root, arrays = mnist
    picture = Image.fromarray(arrays["train"][0][13].astype(np.uint8)).resize((32, 32), 2)
    expected = torch.from_numpy(np.asarray(picture) / 255).float()  # 2: bilinear
    torch.testing.assert_close(OneClass(root, "mnist", 3, "train", 32)[1]["image"][0], expected)


def test_another_copy_of_the_same_data_has_the_same_fingerprint(mnist, tmp_path):
    root, arrays = mnist
    write_mnist(tmp_path / "copy", arrays)
    same = OneClass(tmp_path / "copy", "mnist", 3, "test").fingerprint()
    assert OneClass(root, "mnist", 3, "test").fingerprint() == same
    assert OneClass(root, "mnist", 4, "test").fingerprint() != same
    arrays["test"][0][0, 0, 0] ^= 1
    write_mnist(tmp_path / "other", arrays)
    assert OneClass(tmp_path / "other", "mnist", 3, "test").fingerprint() != same


def test_digits_are_parted_without_overlap():
    train = [OneClass("", "digits", n, "train") for n in range(10)]
    test = OneClass("", "digits", 0, "test")
    pictures, classes = load_digits(return_X_y=True)
    assert sum(map(len, train)) + len(test) == len(classes)
    assert test.labels.sum() == (classes[::3] != 0).sum()
    top = torch.from_numpy(pictures[0].reshape(8, 8) / 16).float()
    shown = OneClass("", "digits", 0, "test", 8)[0]["image"]
    torch.testing.assert_close(shown[0], top, atol=1 / 255, rtol=0)


def write_cifar(root, rng):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    batches = {n: rng.integers(0, 256, (10, 3, 32, 32), dtype=np.uint8) for n in names}
    for name, pixels in batches.items():
        content = {"data": pixels.reshape(10, -1), "labels": list(range(10))}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(
        pickle.dumps({"label_names": DATASETS["cifar10"].categories})
    )
    return batches


def test_a_lossless_copy_of_cifar_needs_no_official_checksum(tmp_path):
    batches = write_cifar(tmp_path, np.random.default_rng(1))
    train = OneClass(tmp_path, "cifar10", 5)
    assert train.counts() == {"dog": 5} and train.paths[1] == "train/00015"
    expected = torch.from_numpy(batches["data_batch_2"][5]) / 255
    torch.testing.assert_close(train[1]["image"], expected)


def damage_truncated(root):
    file = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])


def damage_missing(root):
    (root / "MNIST" / "raw" / "train-labels-idx1-ubyte").unlink()


def damage_count(root):
    (root / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(19)))


def damage_type(root):
    raw = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    raw.write_bytes(raw.read_bytes()[:2] + b"\x09" + raw.read_bytes()[3:])  # signed


def damage_class(root):
    (root / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(idx(np.full(20, 11)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncated, "is incomplete; move it away"),
        (damage_missing, "is incomplete; move it away"),
        (damage_count, "do not fit each other"),
        (damage_class, "do not fit each other"),
        (damage_type, "cannot be read"),
    ],
)
def test_damaged_files_are_named(mnist, damage, message):
    damage(mnist[0])
    with pytest.raises((ValueError, FileNotFoundError), match=f"MNIST.* {message}"):
        OneClass(mnist[0], "mnist", 3)


@pytest.mark.parametrize(
    "content", [b"nothing", pickle.dumps([1]), pickle.dumps({"data": [[0.5]], "labels": None})]
)
def test_a_damaged_pickle_is_named(tmp_path, content):
    write_cifar(tmp_path, np.random.default_rng(1))
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(ValueError, match="cifar-10-batches-py cannot be read"):
        OneClass(tmp_path, "cifar10", 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("mnistt", 0), "dataset='mnistt' is not .* Did you mean 'mnist'"),
        (("fashion_mnist", 10), "normal_class=10 is not a class of fashion_mnist: 0 t-shirt, "),
        (("digits", 0, "valid"), "split='valid' is neither train nor test"),
    ],
)
def test_views_that_do_not_exist_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        OneClass("", *given)


def test_a_class_without_images_is_named(tmp_path):
    arrays = mnist_arrays(np.random.default_rng(0))
    pictures, classes = arrays["train"]
    arrays["train"] = pictures[classes != 3], classes[classes != 3]
    arrays["test"] = arrays["test"][0], np.full(10, 4)
    write_mnist(tmp_path, arrays)
    with pytest.raises(ValueError, match="mnist has no image of class 3 in its train set"):
        OneClass(tmp_path, "mnist", 3)
    with pytest.raises(ValueError, match="mnist has only images of class 4 in its test set"):
        OneClass(tmp_path, "mnist", 4, "test")


# --- choosing settings by training images alone


def test_settings_are_chosen_by_training_images_alone(tmp_path):
    rng, classes = np.random.default_rng(2), np.arange(17_000) % 10
    arrays = {"train": (rng.integers(0, 256, (17_000, 28, 28)), classes)}
    write_mnist(tmp_path, arrays | {"test": mnist_arrays(rng)["test"]})
    train, test = (OneClass(tmp_path, "mnist", 5, s, 8, source="validation") for s in RAW)
    assert len(train) == 1000 and set(train.labels) == {0}
    assert sorted(np.bincount(test.labels)) == [500, 500]
    assert not set(train.paths) & set(test.paths)
    assert all(path.startswith("train/") for path in train.paths + test.paths)
    assert {classes[int(p[6:])] == 5 for p in train.paths} == {True}


def test_too_few_images_to_choose_by_are_refused():
    with pytest.raises(ValueError, match=r"needs 1500 training images of a class, .* are 119"):
        OneClass("", "digits", 0, source="validation")


def test_the_official_choice_is_everything():
    normal = np.array([True, False, True])
    assert choose(normal, "train", "official").tolist() == [0, 2]
    assert choose(normal, "test", "official").tolist() == [0, 1, 2]


# --- Caltech-256


def write_caltech(root, categories=6, images=20, clutter=30):
    """Write a made-up tree of Caltech-256's layout, with the stray files of the real archive."""
    folder = root / "caltech256" / "256_ObjectCategories"
    names = [f"{n:03d}.thing-{n}" for n in range(1, categories + 1)]
    for number, name in enumerate([*names, "257.clutter"]):
        (folder / name).mkdir(parents=True)
        for i in range(1, (clutter if name == "257.clutter" else images) + 1):
            picture = np.full((9, 12, 3), (7 * number + i) % 256, np.uint8)
            Image.fromarray(picture).save(folder / name / f"{name[:3]}_{i:04d}.jpg")
    (folder / names[0] / "RENAME2").write_text("a stray file")
    (folder / names[0] / "greg").mkdir()
    return folder


@pytest.mark.parametrize("categories", [1, 3, 5])
def test_caltech_has_as_many_outliers_as_tested_inliers(tmp_path, categories):
    write_caltech(tmp_path)
    sets = [OneClass(tmp_path, "caltech256", 2, s, 8, categories) for s in ("train", "test")]
    train, test = sets
    assert len(train) == 16 * categories and set(train.labels) == {0}
    assert test.labels.tolist() == [0] * 4 * categories + [1] * 4 * categories
    assert len(train.counts()) == categories and "257.clutter" not in train.counts()
    assert test.counts()["257.clutter"] == 4 * categories
    assert not set(train.paths) & set(test.paths)
    assert all(path.endswith(".jpg") for path in train.paths + test.paths)
    assert train[0]["image"].shape == (3, 8, 8)


def test_draws_of_caltech_repeat_and_differ(tmp_path):
    write_caltech(tmp_path)
    draws = [OneClass(tmp_path, "caltech256", n, "train", 8).paths for n in range(10)]
    assert draws[0] == OneClass(tmp_path, "caltech256", 0, "train", 8).paths
    assert len({tuple(paths) for paths in draws}) > 3


def test_at_most_150_images_of_a_category_count(tmp_path):
    write_caltech(tmp_path, categories=1, images=160, clutter=40)
    sizes = [len(OneClass(tmp_path, "caltech256", 0, s, 8)) for s in ("train", "test")]
    assert sizes == [120, 60]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"categories": 2}, "has 2 categories besides 257.clutter, which is there"),
        ({"clutter": 3}, "257.clutter has 3 images, fewer than the 12 to be tested"),
        ({"images": 1}, "has 1 images, too few to train on and to test"),
    ],
)
def test_a_tree_that_is_not_caltechs_is_refused(tmp_path, tree, message):
    write_caltech(tmp_path, **tree)
    with pytest.raises(FileNotFoundError, match=message):
        OneClass(tmp_path, "caltech256", 0, "test", 8, 3)


def test_caltech_without_clutter_is_refused(tmp_path):
    folder = write_caltech(tmp_path)
    (folder / "257.clutter").rename(folder / "257.other")
    with pytest.raises(FileNotFoundError, match=r"257.clutter, which is missing; move"):
        OneClass(tmp_path, "caltech256", 0)


def test_a_damaged_picture_of_caltech_is_named(tmp_path):
    folder = write_caltech(tmp_path, categories=1)
    for file in (folder / "001.thing-1").glob("*.jpg"):
        file.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"001_\d{4}.jpg cannot be decoded"):
        OneClass(tmp_path, "caltech256", 0)[0]


# --- download, with torchvision's own code, from a local server


@pytest.fixture
def mirror(tmp_path, monkeypatch, serve):
    """The folder of MNIST's packed files on a local server, which torchvision downloads from."""
    served = tmp_path / "served"
    raw = write_mnist(served, mnist_arrays(np.random.default_rng(3)))
    resources = []
    for file in sorted(raw.iterdir()):
        packed = served / f"{file.name}.gz"
        packed.write_bytes(gzip.compress(file.read_bytes()))
        resources.append((packed.name, hashlib.md5(packed.read_bytes()).hexdigest()))
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [serve(served) + "/"])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    return served


def test_data_that_are_not_there_are_downloaded(mirror, tmp_path, capfd):
    data = OneClass(tmp_path / "data", "mnist", 3, "train", 28)
    assert len(data) == 2
    assert "100%" in capfd.readouterr().err  # torchvision's bar
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["MNIST"]


def test_a_download_with_another_checksum_leaves_nothing(mirror, tmp_path):
    packed = next(mirror.glob("train-labels*.gz"))
    packed.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(ConnectionError, match=r"mnist is not in .* torchvision's folder MNIST"):
        OneClass(tmp_path / "data", "mnist", 3)
    assert not list((tmp_path / "data").iterdir())


def test_without_a_network_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(ConnectionError, match="name another data_root"):
        OneClass(tmp_path / "data", "mnist", 3)
    assert not list((tmp_path / "data").iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConnectionError, match="cannot be downloaded there"):
        OneClass(tmp_path / "file", "mnist", 3)


def test_offline_nothing_is_downloaded(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_OFFLINE", "1")
    with pytest.raises(ConnectionError, match=r"OFFLINE is set, so mnist, which is not in"):
        OneClass(tmp_path / "data", "mnist", 3)
    assert not (tmp_path / "data").exists()
