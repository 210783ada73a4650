"""One-class novelty detection: views of data sets, their download, kernels, scores, tables."""

import gzip
import hashlib
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

import rdrepro as rd
from rdrepro import evaluation
from rdrepro.data.one_class import CLASSES, OneClass, choose, load_split
from rdrepro.kernels import OneCellConv, fast_kernels
from rdrepro.models.bottleneck import OneClassBottleneck
from rdrepro.models.teacher import Teacher
from rdrepro.models.weights import Weights
from rdrepro.paths import ROOT
from rdrepro.runs.rows import read_scores
from rdrepro.study import novelty
from rdrepro.study.novelty_choice import GRID, GRID_EPOCHS, chosen_switches
from rdrepro.training import _adam, _step

RANDOM = Weights("random")
RAW = {"train": "train", "test": "t10k"}


@pytest.fixture(autouse=True)
def no_kept_splits():
    load_split.cache_clear()


def idx(array):
    """Return an array in the format of MNIST's files."""
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return head + array.astype(np.uint8).tobytes()


def mnist_arrays(rng):
    """Return made-up pictures and classes, two of each class to train on and one to test."""
    return {
        "train": (rng.integers(0, 256, (20, 28, 28)), np.arange(20) % 10),
        "test": (rng.integers(0, 256, (10, 28, 28)), np.arange(10)[::-1]),
    }


def write_mnist(root, arrays, folder="MNIST"):
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for split, (pictures, classes) in arrays.items():
        (raw / f"{RAW[split]}-images-idx3-ubyte").write_bytes(idx(pictures))
        (raw / f"{RAW[split]}-labels-idx1-ubyte").write_bytes(idx(classes))
    return raw


@pytest.fixture
def mnist(tmp_path):
    arrays = mnist_arrays(np.random.default_rng(0))
    write_mnist(tmp_path, arrays)
    return tmp_path, arrays


def write_caltech(root, categories=6, images=20, clutter=30):
    """Write a made-up tree of Caltech-256's layout, strays of the real archive included."""
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


# --- views of the data sets


def test_a_view_trains_on_one_class_and_tests_all(mnist):
    root, arrays = mnist
    train, test = (OneClass(root, "mnist", 3, split, 28) for split in ("train", "test"))
    assert train.paths == ["train/00003", "train/00013"] and set(train.labels) == {0}
    assert len(test) == 10 and test.counts() == dict.fromkeys(CLASSES["mnist"], 1)
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
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CLASSES["cifar10"]}))
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
        (("fashion_mnist", 10), "normal_class=10 is no class of fashion_mnist: 0 t-shirt, "),
        (("digits", 0, "valid"), "split='valid' is neither train nor test"),
    ],
)
def test_what_is_no_view_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        OneClass("", *given)


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


def test_the_tuned_preset_is_what_the_committed_grid_chose():
    switches = chosen_switches(rd.load_runs(ROOT / "results" / "runs"))
    chosen = {k: v for name in switches for k, v in GRID[name].items()}
    assert chosen.pop("epochs") > GRID_EPOCHS  # helps, and costs more than two cores have
    tuned, official = rd.PRESETS["novelty_tuned"], rd.PRESETS["novelty_official"]
    assert {k: tuned.get(k) for k in chosen} == chosen
    assert set(tuned) - set(chosen) == set(official) - set(chosen)


# --- Caltech-256


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
        ({"categories": 2}, "has 2 categories beside 257.clutter, which is there"),
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
    """A local server of MNIST's packed files, which torchvision is told to be its mirror."""
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


# --- kernels without what only meets padding


def small_model(precision="float32"):
    settings = {"backbone": "resnet18", "weights": "random", "oce_width": 64, "lr": 1e-3}
    config = rd.RunConfig(image_size=32, precision=precision, **settings)
    return rd.build_model(config, RANDOM).double().train(), config


def features(images, seed=0, size=32):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((64, size // 4), (128, size // 8), (256, size // 16))
    return [
        torch.rand(images, c, n, n, generator=generator, dtype=torch.float64) for c, n in shapes
    ]


@pytest.mark.parametrize("size", [32, 64])
def test_training_by_matrix_products_learns_the_same(size):
    trained = []
    for code_cells in (size // 32, 3):  # with 3 the convolutions stay as they are
        model, config = small_model()
        with fast_kernels(model.bottleneck, code_cells):
            optimiser = _adam(model, config)
            batches = (features(4, seed, size) for seed in range(4))
            losses = [_step(model, f_e, optimiser, config) for f_e in batches]
        trained.append((model.trainable().state_dict(), losses))
    (fast, fast_losses), (whole, whole_losses) = trained
    assert fast_losses == pytest.approx(whole_losses, rel=1e-9)
    # Where a gradient is next to nothing, Adam turns rounding into a step.
    for name, value in whole.items():
        torch.testing.assert_close(fast[name], value, rtol=1e-6, atol=1e-6, msg=name)


def test_unreached_kernel_cells_are_most_and_never_move():
    model, config = small_model()
    before = model.bottleneck.oce[1].conv1.weight.detach().clone()
    with fast_kernels(model.bottleneck, 1):
        parts = [m for m in model.modules() if isinstance(m, OneCellConv)]
        assert sorted(p.weight.shape[-1] for p in parts) == [1, 1, 1, 2]
        optimiser = _adam(model, config)
        _step(model, features(4), optimiser, config)
    moved = (model.bottleneck.oce[1].conv1.weight != before).flatten(2).any(dim=1).any(dim=0)
    assert moved.tolist() == [False] * 4 + [True] + [False] * 4


@pytest.mark.parametrize("cells", [1, 2])
@pytest.mark.parametrize("block", ["resnet50", "resnext50_32x4d"])
def test_bottleneck_blocks_compute_the_same(block, cells):
    config = rd.RunConfig(backbone=block, weights="random", image_size=32, oce_width=64)
    oce = rd.build_model(config, RANDOM).bottleneck.double().eval()
    shapes = ((256, 8), (512, 4), (1024, 2))
    f_e = [torch.rand(2, c, cells * n, cells * n, dtype=torch.float64) for c, n in shapes]
    expected = oce(f_e)
    with fast_kernels(oce, cells):
        torch.testing.assert_close(oce(f_e), expected, rtol=1e-9, atol=1e-9)


def test_kernels_are_whole_again_after_an_error():
    bottleneck = OneClassBottleneck((4, 8, 16))
    kinds = [type(m) for m in bottleneck.modules()]
    with pytest.raises(KeyError), fast_kernels(bottleneck, 1):
        raise KeyError
    assert [type(m) for m in bottleneck.modules()] == kinds


# --- the teacher's switches


def test_without_normalisation_the_teacher_sees_the_images_as_they_are():
    torch.manual_seed(0)
    raw = Teacher("resnet18", RANDOM, normalise="none")
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(raw(images)[0], raw.encoder(images)[0])
    usual = Teacher("resnet18", RANDOM)
    usual.encoder = raw.encoder
    assert not torch.allclose(usual(images)[0], raw(images)[0])


def test_without_max_pool_maps_are_twice_as_fine():
    teacher = Teacher("resnet18", RANDOM, stem="no_maxpool")
    assert [f.shape[-1] for f in teacher(torch.rand(1, 3, 32, 32))] == [16, 8, 4]
    names = Teacher("resnet18", RANDOM).encoder.state_dict().keys()
    assert teacher.encoder.state_dict().keys() == names


# --- parameters


@pytest.mark.parametrize(
    ("dataset", "normalise"),
    [("mnist", "none"), ("fashion_mnist", "none"), ("cifar10", "imagenet")],
)
def test_the_official_preset_has_each_loaders_own_normalisation(dataset, normalise, tmp_path):
    given = {"dataset": dataset, "weights": "random", "data_root": str(tmp_path)}
    config = rd.resolve(**given, normal_class=5).config
    assert (config.normalise, config.score, config.image_size) == (normalise, "sum", 32)
    assert (config.category, config.sigma) == (CLASSES[dataset][5], 4)
    turned = "imagenet" if normalise == "none" else "none"
    assert rd.resolve(**given, normalise=turned).config.normalise == turned


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"normal_class": 12}, "normal_class=12 is no class of digits: 0 0, 1 1"),
        ({"normal_class": True}, "normal_class=True must be a whole number"),
        ({"category": "wood"}, "category='wood' is not '0', that of normal_class"),
        ({"stem": "no_maxpool"}, "stem='no_maxpool' needs a torchvision ResNet"),
        ({"stem": "small"}, "stem='small' is not original or no_maxpool"),
        ({"data_root": "here"}, "embedded data need none"),
        ({"inlier_categories": 2}, "inlier_categories=2 is not 1, 3 or 5"),
        ({"inlier_categories": 3}, "inlier_categories has no meaning with dataset='digits'"),
        ({"dataset": "caltech256", "split": "validation"}, "split has no meaning with"),
        ({"dataset": "synthetic", "normal_class": 1}, "normal_class has no meaning with"),
        ({"dataset": "synthetic", "split": "validation"}, "split has no meaning with"),
    ],
)
def test_settings_that_do_not_fit_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        rd.resolve(**{"dataset": "digits", **given})


def test_without_data_digits_run_and_say_so(tmp_path):
    runs = novelty.resolve_classes({"normal_class": -1})
    assert list(runs) == list(CLASSES["digits"])
    run = runs["3"]
    assert run.config.normal_class == 3 and "scikit-learn's digits" in run.banner
    assert run.rows_dir.name == "demo" and repr(run).startswith("BUNDLED DATA")


def test_with_data_mnist_runs(mnist, monkeypatch):
    monkeypatch.setenv("RDREPRO_DATA", str(mnist[0]))
    runs = novelty.resolve_classes({"normal_class": 8, "weights": "random"})
    assert [run.config.dataset for run in runs.values()] == ["mnist"]
    assert not runs["8"].banner and runs["8"].rows_dir.name == "novelty_official"


def test_a_named_root_without_data_is_no_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    given = {"normal_class": 8, "weights": "random", "data_root": str(tmp_path)}
    run = novelty.resolve_classes(given)["8"]
    with pytest.raises(ConnectionError, match="mnist is not in"):
        run.dataset("train")


def test_a_root_of_the_environment_without_data_is_no_demo(tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_DATA", str(tmp_path / "nowhere"))
    runs = novelty.resolve_classes({"normal_class": 8, "weights": "random"})
    assert runs["8"].config.dataset == "mnist"


@pytest.mark.parametrize("overrides", ["dataset=mnist", "normal_class=3", "method=padim"])
def test_what_the_notebook_sets_is_no_override(overrides):
    name = overrides.partition("=")[0]
    with pytest.raises(ValueError, match=f"overrides: {name} cannot be given here; "):
        novelty.resolve_classes({"overrides": overrides})


def test_a_class_without_images_is_named(tmp_path):
    arrays = mnist_arrays(np.random.default_rng(0))
    pictures, classes = arrays["train"]
    arrays["train"] = pictures[classes != 3], classes[classes != 3]
    arrays["test"] = arrays["test"][0], np.full(10, 4)
    write_mnist(tmp_path, arrays)
    with pytest.raises(ValueError, match="mnist has no image of class 3 in its train set"):
        OneClass(tmp_path, "mnist", 3)
    with pytest.raises(ValueError, match="mnist has no image but of class 4 in its test set"):
        OneClass(tmp_path, "mnist", 4, "test")


def test_a_tuned_row_says_what_its_settings_were_chosen_by(mnist, tmp_path):
    given = {"dataset": "mnist", "weights": "random", "data_root": str(mnist[0]), "epochs": 1}
    selections = []
    for preset, number in (("novelty_tuned", 3), ("novelty_tuned", 5), ("novelty_official", 3)):
        run = rd.resolve(**given, preset=preset, normal_class=number)
        selections.append(rd.execute(run)["provenance"].get("selection"))
    assert selections[0].startswith("other classes were used for selection: mnist 5, ")
    assert selections[1].startswith("this class and two others were used for selection")
    assert selections[2] is None


def test_a_misspelt_data_set_is_named():
    with pytest.raises(
        ValueError, match=r"dataset='fashion' is not .* Did you mean 'fashion_mnist'"
    ):
        novelty.resolve_classes({"dataset": "fashion"})


# --- scores, metrics, tables


def test_metrics_without_masks_are_those_of_images():
    rng = np.random.default_rng(4)
    maps, labels = rng.random((40, 6, 6)).astype(np.float32), np.repeat([0, 1], 20)
    maps[20:, 0, 0] += 0.2
    sums = maps.sum((1, 2))
    p = rd.Predictions(maps, sums, None, labels, [""] * 40, [""] * 40, "", 0.0)
    found = rd.evaluate(p)
    assert found["image_auroc"] == found["image_auroc_sum"]
    assert found["image_auroc_sum"] == pytest.approx(roc_auc_score(labels, sums))
    assert found["image_auroc_max"] == pytest.approx(roc_auc_score(labels, maps.max((1, 2))))
    assert not [name for name in found if name.startswith("pixel")]


def test_smoothing_keeps_the_sum():
    generator = torch.Generator().manual_seed(0)
    f_e, f_d = ([torch.rand(3, 4, n, n, generator=generator) for n in (8, 4, 2)] for _ in range(2))
    sums = [rd.image_score(rd.anomaly_map(f_e, f_d, (32, 32), s), "sum") for s in (0, 4)]
    torch.testing.assert_close(*sums, rtol=1e-5, atol=0)


@pytest.fixture(scope="module")
def digits_outcome(tmp_path_factory):
    """Two epochs on the digits: a run, small enough for a test."""
    given = {"dataset": "digits", "normal_class": 1, "epochs": 2, "batch_size": 32}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RDREPRO_RESULTS", str(tmp_path_factory.mktemp("results")))
        yield rd.carry_out(rd.resolve(**given, study="digits"))


def test_a_run_of_digits_has_a_valid_row_and_learns(digits_outcome):
    row = digits_outcome.row
    assert row["counts"] == row["counts"] | {"train": 126, "test_normal": 56}
    assert row["metrics"]["image_auroc"] == row["metrics"]["image_auroc_sum"] > 0.8
    assert novelty.gradient_steps(row) == 2 * 4
    assert len(digits_outcome.history) == 2


def test_many_scores_lie_beside_the_row(digits_outcome, tmp_path, monkeypatch):
    row = digits_outcome.row
    inline = rd.load_runs(rd.save_row(row, tmp_path / "few" / "s").parents[1]).iloc[0]
    assert read_scores(inline) == row["scores"]
    monkeypatch.setattr("rdrepro.runs.rows.MOST_SCORES", 100)
    file = rd.save_row(row, tmp_path / "many" / "s")
    assert file.name.startswith("digits-1-efficientnet_lite0-s111-")
    line = rd.load_runs(tmp_path / "many").iloc[0]
    assert list(line["scores"]) == ["file"]
    assert read_scores(line, tmp_path / "many") == row["scores"]
    (file.parent / line["scores"]["file"]).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"scores digits-1-.* cannot be read"):
        read_scores(line, tmp_path / "many")


def test_maps_without_masks_are_kept(digits_outcome, tmp_path):
    rd.save_maps(digits_outcome.predictions, tmp_path / "row.json")
    kept = rd.load_maps(tmp_path / "row.json")
    assert kept.gt_masks is None
    np.testing.assert_allclose(kept.maps, digits_outcome.predictions.maps, rtol=1e-3)


def made_up(auroc_sum, auroc_max, train, config):
    metrics = {"image_auroc": auroc_sum, "image_auroc_sum": auroc_sum, "image_auroc_max": auroc_max}
    row = {"metrics": metrics, "counts": {"train": train}, "config": config}
    history = pd.DataFrame({"loss": [1.0, 0.5]})
    run = SimpleNamespace(config=SimpleNamespace(dataset="mnist"))
    return SimpleNamespace(row=row, history=history, run=run)


def test_the_table_of_classes_ends_with_the_average():
    config = {"epochs": 2, "batch_size": 16}
    outcomes = {"0": made_up(0.99, 0.9, 33, config), "1": made_up(0.97, 0.8, 16, config)}
    table = novelty.classes_table(outcomes)
    assert table.loc["average", "sum (Sec. 4.2)"] == pytest.approx(98.0)
    assert table.loc["average", "maximum"] == pytest.approx(85.0)
    assert table["gradient steps"].tolist() == [6, 2, 4]
    assert novelty.hardest(outcomes) == "1"
    said = novelty.beside_average(table, outcomes["0"].run)
    assert "98.00 %" in said and "average over all: 99.3 %" in said
    whole = {str(n): made_up(0.99, 0.9, 16, config) for n in range(10)}
    said = novelty.beside_average(novelty.classes_table(whole), whole["0"].run)
    assert "99.3 %: -0.30 points" in said


def test_a_last_batch_of_one_image_is_refused_where_the_code_is_one_cell():
    run = rd.resolve(dataset="digits", batch_size=25, epochs=1, normal_class=1)
    assert len(run.dataset("train")) % 25 == 1
    with pytest.raises(ValueError, match="batch_size=25 leaves a last batch of one image"):
        rd.execute(run)


def test_testing_takes_more_images_at_once_without_another_result(digits_outcome, monkeypatch):
    run = digits_outcome.run
    trained = rd.train(run, run.dataset("train"))
    assert trained.reused
    sizes, scored = [], evaluation.score_images

    def watched(model, images, config):
        sizes.append(len(images))
        return scored(model, images, config)

    monkeypatch.setattr("rdrepro.evaluation.score_images", watched)
    rd.predict(trained.model, run.dataset("test"), run.config)
    assert sizes == [599]  # all at once, of a training batch of 32
    monkeypatch.setattr("rdrepro.evaluation.BATCH_PIXELS", 1)
    few = rd.predict(trained.model, run.dataset("test"), run.config)
    assert max(sizes[1:]) == 32
    np.testing.assert_allclose(few.scores, digits_outcome.predictions.scores, rtol=0.02)


def test_figures_of_extreme_scores(digits_outcome):
    _, axes = rd.new_figure(4, 3, size=(1, 1))
    rd.plot_extremes(axes, digits_outcome.run.dataset("test"), digits_outcome.predictions)
    p, shown = digits_outcome.predictions, [float(ax.texts[0].get_text()) for ax in axes[:, 0]]
    normal, novel = (p.scores[p.gt_labels == label] for label in (0, 1))
    expected = [normal.min(), normal.max(), novel.min(), novel.max()]
    assert shown == pytest.approx(expected, rel=1e-2)
    assert all(ax.images for ax in axes.flat)


@pytest.mark.parametrize(("normals", "shown"), [(7, 3 + 3), (5, 3 + 2), (1, 1 + 0)])
def test_of_few_images_none_stands_among_the_lowest_and_the_highest(digits_outcome, normals, shown):
    p, data = digits_outcome.predictions, digits_outcome.run.dataset("test")
    normal, novel = (np.flatnonzero(p.gt_labels == label) for label in (0, 1))
    kept = np.concatenate([normal[:normals], novel[:9]])
    few = SimpleNamespace(scores=p.scores[kept], maps=p.maps[kept], gt_labels=p.gt_labels[kept])
    _, axes = rd.new_figure(4, 3, size=(1, 1))
    rd.plot_extremes(axes, [data[index] for index in kept], few)
    texts = [ax.texts[0].get_text() for ax in axes[:2].flat if ax.texts]
    assert sorted(texts) == sorted(f"{score:.4g}" for score in ranked_ends(few, shown))


def ranked_ends(few, shown):
    """Scores of the lowest and the highest normal images, each once."""
    ranked = np.sort(few.scores[few.gt_labels == 0])
    highest = shown // 2
    return [*ranked[: shown - highest], *ranked[len(ranked) - highest :]]
