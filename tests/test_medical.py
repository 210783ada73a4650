"""Medical data sets, splits without leaks, early stopping, L_MKD as coded, folds and readings."""

import hashlib
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image, ImageFilter
from scipy.stats import t

import rdrepro as rd
from rdrepro import training
from rdrepro.data import medical as data_module
from rdrepro.data.copies import picture_groups
from rdrepro.data.holdout import Part, hold_out, normals_of
from rdrepro.data.medical import MedicalImages, Picture, draw_groups, kfold, split_sides
from rdrepro.kernels import reached
from rdrepro.registry import FOLDS
from rdrepro.runs.checkpoints import training_hash
from rdrepro.study import medical, medical_report, report, rotation, tables
from rdrepro.study.folds import fold_interval, fold_resamples, split_noise, split_resamples
from rdrepro.study.stats import prediction_intervals
from rdrepro.training import VALIDATION, fit

RNG = np.random.default_rng(7)


def picture(size=48):
    """A random picture of few, large patches: no two are alike, at any size."""
    small = Image.fromarray(RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((size, size), Image.Resampling.NEAREST)


def brain_tree(root, normal=12, anomalous=6):
    """A made-up Brain MRI, of which two normal files are byte-identical and two near-identical."""
    for folder, count in (("no", normal), ("yes", anomalous)):
        (root / "brain_mri" / folder).mkdir(parents=True)
        for i in range(count):
            name = f"{i} no.jpg" if folder == "no" else f"Y{i}.JPG"
            picture().convert("L" if i % 3 else "RGB").save(root / "brain_mri" / folder / name)
    no = root / "brain_mri" / "no"
    (no / "copy no.jpg").write_bytes((no / "0 no.jpg").read_bytes())
    Image.open(no / "1 no.jpg").resize((96, 96), Image.Resampling.BILINEAR).save(no / "big.png")
    (no / "Thumbs.db").write_bytes(b"no picture")
    return root


def head_tree(root, count=20):
    folder = root / "head_ct" / "head_ct"
    folder.mkdir(parents=True)
    for i in range(count):
        picture().save(folder / f"{i:03d}.png")
    lines = [f"{i},{int(i < count // 2)}" for i in range(count)]
    (folder.parent / "labels.csv").write_text("\n".join(["id, hemorrhage", *lines]) + "\n")
    return root


@pytest.fixture
def data_root(tmp_path, monkeypatch):
    """Made-up Head CT and Brain MRI as the data root of runs."""
    monkeypatch.setenv("RDREPRO_DATA", str(head_tree(brain_tree(tmp_path / "data"))))
    return tmp_path / "data"


def oct_tree(root, train=9, inner="OCT2017 "):
    for part, kind, count in (
        ("train", "NORMAL", train),
        ("train", "CNV", 3),
        *(("test", kind, 2) for kind in ("NORMAL", "CNV", "DME", "DRUSEN")),
    ):
        folder = root / "retinal_oct" / inner / part / kind
        folder.mkdir(parents=True)
        for i in range(count):
            picture().convert("L").save(folder / f"{kind}-{i}.jpeg")
    return root


# ------------------------------------------------------------------ reading


def test_head_ct_is_read_by_the_numbers_of_its_table(tmp_path):
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


def test_retinal_oct_has_sides_of_its_own_and_a_half(tmp_path):
    oct_tree(tmp_path)
    whole = MedicalImages(tmp_path, "retinal_oct", "train", 32, "official", None)
    half = MedicalImages(tmp_path, "retinal_oct", "train", 32, "report", 0)
    other = MedicalImages(tmp_path, "retinal_oct", "train", 32, "report", 1)
    assert len(whole) == 9 and len(half) == len(other) == 5  # the larger half, as 13,158 of 26,315
    assert half.fingerprint() != other.fingerprint()
    test = MedicalImages(tmp_path, "retinal_oct", "test", 32, "report", 0)
    assert test.counts() == {"normal": 2, "CNV": 2, "DME": 2, "DRUSEN": 2}
    assert [test[i]["gt_label"] for i in range(8)].count(0) == 2


@pytest.mark.parametrize("dataset", ["head_ct", "brain_mri", "retinal_oct"])
def test_missing_files_are_one_sentence_with_the_source(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # not installed
    split = data_module.MEDICAL_SPLITS[dataset][0]
    with pytest.raises(FileNotFoundError) as error:
        MedicalImages(tmp_path, dataset, split=split)
    told = str(error.value)
    assert f"kaggle.com/datasets/{data_module.KAGGLE[dataset]}" in told
    assert f"DATA/{dataset}" in told and "\n" not in told


def test_kagglehub_is_used_where_it_is_installed(tmp_path, monkeypatch):
    asked = []
    kept = head_tree(tmp_path / "cache") / "head_ct"

    def download(handle):
        asked.append(handle)
        return str(kept)

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))
    data_module._kagglehub.cache_clear()
    for _ in range(2):
        data = MedicalImages(tmp_path / "elsewhere", "head_ct", "train", 32)
    assert len(data) == 8 and asked == ["felipekitamura/head-ct-hemorrhage"]  # asked once
    broken = SimpleNamespace(dataset_download=lambda handle: 1 / 0)
    monkeypatch.setitem(sys.modules, "kagglehub", broken)
    with pytest.raises(ConnectionError, match="kagglehub cannot download navoneel/brain"):
        MedicalImages(tmp_path / "elsewhere", "brain_mri")
    odd = SimpleNamespace(dataset_download=lambda handle: str(tmp_path / "odd"))
    monkeypatch.setitem(sys.modules, "kagglehub", odd)
    with pytest.raises(FileNotFoundError, match=r"with images. is not in .*odd"):
        MedicalImages(tmp_path / "elsewhere", "brain_mri")
    data_module._kagglehub.cache_clear()


def test_a_table_that_does_not_fit_the_images_is_refused(tmp_path):
    table = head_tree(tmp_path) / "head_ct" / "labels.csv"
    whole = table.read_text()
    table.write_text(whole.replace("19,0\n", ""))
    with pytest.raises(FileNotFoundError, match="1 without the other, the first 19"):
        MedicalImages(tmp_path, "head_ct")
    table.write_text(whole.replace("hemorrhage", "bleeding"))
    with pytest.raises(ValueError, match="has no columns id and hemorrhage but id, bleeding"):
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
    assert MedicalImages(tmp_path, "head_ct").counts() == {"normal": 8}
    table.write_text(whole)
    picture().save(table.parent / "head_ct" / "3.png")
    with pytest.raises(ValueError, match=r"003.png and 3.png are one number"):
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
    with pytest.raises(FileNotFoundError, match=r"brain_mri \(yes, no, with images\) is not in"):
        MedicalImages(root, "brain_mri")
    tree.rename(root / "brain_mri" / "brain_tumor_dataset")
    assert len(MedicalImages(root, "brain_mri"))


@pytest.mark.parametrize(
    ("normal", "anomalous", "fold", "told"),
    [(12, 0, 0, "0 anomalous ones"), (1, 6, 4, "0 normal and 6"), (0, 6, 0, "2 normal and 6")],
)
def test_a_split_that_cannot_be_tested_is_refused_before_training(
    normal, anomalous, fold, told, tmp_path
):
    tree = brain_tree(tmp_path, max(normal, 2), anomalous) / "brain_mri" / "no"
    if not normal:  # one picture, twenty times
        for name in ("copy no.jpg", "1 no.jpg", "big.png"):
            (tree / name).write_bytes((tree / "0 no.jpg").read_bytes())
        told = "4 normal and 6"
    with pytest.raises(ValueError, match=told):
        MedicalImages(tmp_path, "brain_mri", fold=fold)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "official", "fold": None}, "split='official' is not one of head_ct's"),
        ({"split": "kfold", "fold": 5}, "fold=5 must be 0 to 4"),
        ({"split": "kfold", "fold": None}, "fold=None must be 0 to 4"),
        ({"split": "report", "fold": -1}, "fold=-1 must be 0 or more"),
        ({"split": "kfold", "fold": 0, "category": "bottle"}, "category='bottle' is 'normal'"),
        ({"split": "kfold", "fold": 0, "early_stopping": "leaky"}, "patience=None must be"),
        ({"split": "kfold", "fold": 0, "patience": 3}, "have no meaning with early_stopping"),
    ],
)
def test_configurations_that_have_no_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        rd.RunConfig(**{"dataset": "head_ct", "category": "normal", **settings})


def test_a_weight_of_a_loss_that_is_not_there_is_refused():
    with pytest.raises(
        ValueError, match="mkd_weight=5 has no meaning with loss='kd' and score='ma"
    ):
        rd.RunConfig(mkd_weight=5)
    for given in ({"loss": "mkd"}, {"loss": "mkd_coded"}, {"score": "mkd_loss"}):
        assert rd.RunConfig(mkd_weight=5, **given).mkd_weight == 5


@pytest.mark.usefixtures("data_root")
def test_folded_batch_norms_are_refused_before_any_data_are_shown(tmp_path):
    network = torchvision.models.resnet18(weights=None)
    torch.save(network.state_dict(), tmp_path / "folded.pth")  # mean 0, variance 1
    given = {"dataset": "head_ct", "backbone": "resnet18", "weights": str(tmp_path / "folded.pth")}
    with pytest.raises(ValueError, match="folded into its convolutions"):
        rd.resolve(**given)
    assert rd.resolve(**given, teacher_bn="frozen").config.teacher_bn == "frozen"


def test_leaking_is_for_medical_sets_and_folds_for_them_alone():
    stopped = {"early_stopping": "leaky", "patience": 15}
    with pytest.raises(ValueError, match="'leaky' has no meaning with mvtec"):
        rd.RunConfig(**stopped)
    with pytest.raises(ValueError, match="fold has no meaning with dataset='mvtec'"):
        rd.RunConfig(fold=0)
    with pytest.raises(ValueError, match="split='kfold' is not official or validation"):
        rd.RunConfig(dataset="digits", category="0", normal_class=0, split="kfold")


# ------------------------------------------------------------------ copies and splits


def test_copies_are_found_by_bytes_and_by_sight(tmp_path):
    data = MedicalImages(brain_tree(tmp_path), "brain_mri", "test", 32)
    names = [p.path.name for p in data.everything]
    group = dict(zip(names, data.all_groups, strict=True))
    assert group["0 no.jpg"] == group["copy no.jpg"] and group["1 no.jpg"] == group["big.png"]
    assert len(set(group.values())) == len(names) - 2
    copies = data.copies()
    assert copies["groups of identical files"] == 1
    assert copies["groups of copies, sure and likely, those included"] == 2
    assert copies["images beyond the first of their group"] == 2


def test_a_threshold_of_likeness_parts_noise_from_another_picture(tmp_path):
    base = np.asarray(picture().convert("L"), float)
    noisy = np.clip(base + RNG.normal(0, 2, base.shape), 0, 255)
    half = base.copy()
    half[:, :12] = 255 - half[:, :12]
    paths = tuple(tmp_path / f"{i}.png" for i in range(4))
    black = np.zeros_like(base)
    for path, pixels in zip(paths, (base, noisy, half, black), strict=True):
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    for groups in picture_groups(paths, ("a", "b", "c", "d")):
        assert groups[0] == groups[1] and len(set(groups)) == 3


def bordered(image):
    framed = Image.new("RGB", (160, 128))
    framed.paste(image.filter(ImageFilter.SHARPEN).resize((80, 88)), (60, 20))
    return framed


def lettered(image):
    framed = Image.new("RGB", (130, 130))
    framed.paste(image, (17, 17))
    framed.paste((255, 255, 255), (2, 2, 14, 14))
    return framed


CHANGES = {
    "another border, sharpened": bordered,
    "a letter in the border": lettered,
    "cropped on one side": lambda image: image.crop((10, 0, 96, 96)),
    "cropped and blurred": lambda image: image.crop((6, 8, 92, 90)).filter(ImageFilter.BoxBlur(1)),
    "another window": lambda image: image.point(lambda v: min(255, 40 + v * 3 // 4)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_copy_stored_otherwise_is_a_likely_one(change, tmp_path):
    """Never trained on where it is tested, and no other picture with it."""
    base = picture(96)
    paths = tuple(tmp_path / f"{i}.png" for i in range(3))
    for path, image in zip(paths, (base, change(base), picture(96)), strict=True):
        image.save(path)
    _, likely = picture_groups(paths, [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths])
    assert likely[0] == likely[1] != likely[2]


def test_a_likely_copy_of_a_tested_picture_is_left_out():
    pictures = [Picture(None, 0, "")] * 5 + [Picture(None, 1, "")]
    groups = np.array([0, 0, 1, 2, 3, 4])
    for fold in range(FOLDS):
        sides = split_sides(pictures, np.arange(6), groups, "kfold", fold, 1)
        tested = sides[:2] == "test"
        if tested.any():
            assert set(sides[:2]) == {"test", "left out"}


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


def test_a_normal_copy_of_a_tested_anomaly_is_left_out():
    pictures = [Picture(None, y, "") for y in (0, 0, 0, 0, 0, 0, 1)]
    groups = np.array([0, 1, 2, 3, 4, 5, 5])  # the last normal one is an anomaly's copy
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


def test_the_reports_split_tests_ten_normals_in_whole_groups():
    groups = np.array([0, 0, 0, 1, 1, *range(2, 95)])
    for seed in range(30):
        drawn = draw_groups(groups, 10, np.random.default_rng(seed))
        assert drawn.sum() == 10 and not set(groups[drawn]) & set(groups[~drawn])
    with pytest.raises(ValueError, match="2 normal images cannot be split so that 10"):
        draw_groups(np.arange(2), 10, np.random.default_rng(0))


def test_the_data_sets_folds_cover_the_normals_and_keep_copies_together(tmp_path):
    brain_tree(tmp_path)
    tested = []
    for fold in range(FOLDS):
        parts = [MedicalImages(tmp_path, "brain_mri", p, 32, "kfold", fold) for p in rd_parts()]
        train, test = parts
        assert not set(train.groups) & set(test.groups)
        assert len(train) + len(test) == 20
        tested += [test[i]["path"] for i in range(len(test)) if not test[i]["gt_label"]]
    assert len(tested) == len(set(tested)) == 14


def rd_parts():
    return ("train", "test")


def test_other_bytes_under_the_same_name_change_the_fingerprint(tmp_path):
    brain_tree(tmp_path)
    before = MedicalImages(tmp_path, "brain_mri", "test", 32).fingerprint()
    picture().save(tmp_path / "brain_mri" / "yes" / "Y0.JPG")
    assert MedicalImages(tmp_path, "brain_mri", "test", 32).fingerprint() != before


def test_a_likely_copy_of_what_is_held_out_is_not_trained_on():
    class Images:
        groups, sure_groups = [0, 0, 1, 2, 3, 4, 5, 6], list(range(8))

        def __len__(self):
            return 8

        def counts(self):
            return {"normal": 8}

    parted = 0
    for seed in range(20):
        train, held = hold_out(Images(), 0.25, seed)
        groups = [{Images.groups[i] for i in part.indices} for part in (train, held)]
        assert not groups[0] & groups[1] and len(held) == 2
        parted += len(train) + len(held) < 8
    assert parted  # it happened
    Images.groups = [0] * 8
    with pytest.raises(ValueError, match="holds out 2 and leaves 0; both parts need images"):
        hold_out(Images(), 0.25, 1)


def test_held_out_images_are_whole_groups_of_a_quarter(tmp_path):
    data = MedicalImages(brain_tree(tmp_path, normal=22), "brain_mri", "train", 32, "kfold", 0)
    for seed in range(5):
        train, held = hold_out(data, 0.25, seed)
        assert len(train) + len(held) == len(data)
        assert 0 <= round(len(data) / 4) - len(held) <= 1
        groups = [{part[i]["group"] for i in range(len(part))} for part in (train, held)]
        assert not groups[0] & groups[1]
        assert train.counts() == {"normal": len(train)}
    first, again = (hold_out(data, 0.25, 1)[0].fingerprint() for _ in range(2))
    assert first == again != hold_out(data, 0.25, 2)[0].fingerprint()
    with pytest.raises(ValueError, match="holds out 0 and leaves 2; both parts need images"):
        hold_out(Part(data, [0, 1], "normal"), 0.1, 1)


# ------------------------------------------------------------------ losses and early stopping


def test_the_coded_loss_by_hand():
    e = [torch.tensor([[[[3.0]], [[0.0]]]])]  # (1, 2, 1, 1)
    d = [torch.tensor([[[[0.0]], [[4.0]]]])]  # orthogonal, 5 apart
    assert rd.mkd_loss_coded(e, d, 1000).item() == pytest.approx(1e-3 * (5 + 1000 * 1))
    assert rd.mkd_loss(e, d, 10).item() == pytest.approx(25 + 10 * 1)
    both = [torch.cat([e[0], e[0]])], [torch.cat([d[0], d[0]])]
    # The norm is of the whole batch: it grows with the root of the batch size.
    expected = 1e-3 * (5 * 2**0.5 + 1000)
    assert rd.mkd_loss_coded(*both, 1000).item() == pytest.approx(expected)


def test_the_coded_score_is_the_coded_loss_of_each_image_alone():
    generator = torch.Generator().manual_seed(0)
    f_e, f_d = ([torch.randn(3, 4, s, s, generator=generator) for s in (4, 2)] for _ in range(2))
    scores = rd.loss_score(f_e, f_d, "mkd_loss", "pointwise", 7.0, coded=True)
    alone = [
        rd.mkd_loss_coded([f[i : i + 1] for f in f_e], [f[i : i + 1] for f in f_d], 7.0)
        for i in range(3)
    ]
    torch.testing.assert_close(scores, torch.stack(alone))


def test_the_coded_loss_has_a_gradient_where_features_agree():
    f = torch.ones(1, 2, 2, 2)
    student = f.clone().requires_grad_()
    rd.mkd_loss_coded([f], [student]).backward()
    assert student.grad.isfinite().all()


def scans_run(tmp_path, **changes):
    given = {"dataset": "scans", "image_size": 32, "epochs": 3, "results_dir": str(tmp_path)}
    return rd.resolve(**given | changes)


@pytest.mark.parametrize("image_size", [32, 96])  # 32: the OCE trains by the cells it reaches
def test_early_stopping_keeps_the_epoch_of_the_lowest_validation_loss(
    image_size, tmp_path, monkeypatch
):
    stopped = {"early_stopping": "train", "patience": 2, "epochs": 50}
    run = scans_run(tmp_path, image_size=image_size, seed=3, **stopped)
    losses = iter([3.0, 1.0, 2.0, 1.5, 0.5])
    seen, loss_of, trained = [], training.training_loss, []

    def validation_loss(f_e, f_d, config):
        """The real training loss, and while validating the next of the losses above."""
        trained.append(model.student.training)
        if torch.is_grad_enabled():
            return loss_of(f_e, f_d, config)
        seen.append({k: v.clone() for k, v in model.kept().state_dict().items()})
        return torch.tensor(next(losses))

    monkeypatch.setattr(training, "training_loss", validation_loss)
    held = len(run.validation())
    assert held <= run.config.batch_size  # so that a validation is one call
    model = rd.build_model(run.config, run.weights)
    history = fit(model, run.dataset("train"), run.config, "cpu", None, run.validation())
    assert list(history[VALIDATION]) == [3.0, 1.0, 2.0, 1.5]  # patience 2 after epoch 2
    assert trained.count(False) == len(history) and not trained[-1]  # validated in eval mode alone
    for name, value in model.kept().state_dict().items():
        cells = seen[1][name]
        if value.shape != cells.shape:
            conv = model.get_submodule(name.removesuffix(".weight"))
            value = reached(conv)
        assert torch.equal(value, cells)
    assert medical.best_epoch(history.to_dict("list")) == 2


def test_the_validation_loss_is_the_loss_of_the_images_held_out(tmp_path):
    run = scans_run(tmp_path, early_stopping="train", epochs=1, precision="float32")
    model = rd.build_model(run.config, run.weights)
    history = fit(model, run.dataset("train"), run.config, "cpu", None, run.validation())
    held = run.validation()
    images = torch.stack([held[i]["image"] for i in range(len(held))])
    with torch.no_grad():
        f_e, f_d = model.eval()(images)
    expected = rd.kd_loss(f_e, f_d, "pointwise").item()
    assert history[VALIDATION].item() == pytest.approx(expected, rel=1e-4)


def test_what_validates_is_not_trained_on_and_leaking_validates_on_tested_images(tmp_path):
    honest = scans_run(tmp_path, early_stopping="train")
    train, held = honest.dataset("train"), honest.validation()
    whole = honest.whole("train")
    assert len(train) + len(held) == len(whole) and honest.config.validation_fraction == 0.25
    assert not {train[i]["group"] for i in range(len(train))} & {
        held[i]["group"] for i in range(len(held))
    }
    leaky = scans_run(tmp_path, early_stopping="leaky")
    tested = leaky.dataset("test")
    normal = {tested[i]["path"] for i in range(len(tested)) if not tested[i]["gt_label"]}
    validated = leaky.validation()
    assert {validated[i]["path"] for i in range(len(validated))} == normal
    assert len(leaky.dataset("train")) == len(whole)
    assert scans_run(tmp_path).validation() is None
    assert len(normals_of(tested)) == len(normal)


def test_the_images_validated_on_decide_a_student(tmp_path):
    run = scans_run(tmp_path, early_stopping="train")
    data, held = run.dataset("train"), run.validation()
    fewer = Part(held.data, held.indices[1:], held.kind)
    seen = {training_hash(data, part) for part in (None, held, fewer)}
    assert len(seen) == 3


def test_early_stopping_is_the_extensions(tmp_path):
    """Sec. 4.3: a quarter of the training images, patience 15."""
    config = scans_run(tmp_path, preset="medical_es", weights="random").config
    assert (config.validation_fraction, config.patience) == (0.25, 15)


def test_a_stopped_student_is_found_again_with_its_validation_losses(tmp_path):
    run = scans_run(tmp_path, early_stopping="train", image_size=32)
    first = rd.train(run, run.dataset("train"))
    again = rd.train(run, run.dataset("train"))
    assert again.reused and not first.reused
    np.testing.assert_allclose(again.history[VALIDATION], first.history[VALIDATION])
    other = scans_run(tmp_path, early_stopping="leaky")
    assert not rd.train(other, other.dataset("train")).reused


def test_moved_batch_norms_are_kept_with_the_student(tmp_path):
    run = scans_run(tmp_path, teacher_bn="train", epochs=2)
    first = rd.train(run, run.dataset("train")).model
    again = rd.train(run, run.dataset("train"))
    fresh = rd.build_model(replace(run.config, teacher_bn="frozen"), run.weights)
    images = torch.stack([run.dataset("test")[i]["image"] for i in range(2)])
    assert again.reused
    torch.testing.assert_close(again.model.eval().teacher(images), first.eval().teacher(images))
    assert not torch.allclose(first.teacher(images)[2], fresh.teacher(images)[2], atol=1e-3)


def test_estimating_the_time_moves_no_batch_norm(tmp_path):
    """Training moves the statistics once a step, whatever the estimate's trial steps did."""
    run = scans_run(tmp_path, teacher_bn="train", epochs=1)
    model = rd.train(run, run.dataset("train")).model
    steps = -(-len(run.dataset("train")) // run.config.batch_size)
    assert {int(m.num_batches_tracked) for m in model.teacher.batch_norms()} == {steps}


# ------------------------------------------------------------------ statistics of folds


def scores_of(normal, anomalous, start=0):
    paths = [f"n{start + i}" for i in range(len(normal))] + [f"a{i}" for i in range(len(anomalous))]
    labels = [0] * len(normal) + [1] * len(anomalous)
    return {"path": paths, "label": labels, "score": [*normal, *anomalous]}


def test_scores_of_folds_are_never_pooled():
    """Folds whose scales have nothing in common: each is perfect, a pool would not be."""
    folds = [scores_of([0, 1], [2, 3]), scores_of([100, 101], [102, 103], 2)]
    assert (fold_resamples(folds) == 1).all()
    low, high = fold_interval(folds)
    assert 0 < low < 1 and high == 1


def test_resampled_folds_agree_with_redrawing_by_hand():
    rng = np.random.default_rng(0)
    anomalous = rng.normal(1, 1, 30)
    folds = [scores_of(rng.normal(0, 1, 10), anomalous, 10 * k) for k in range(3)]
    drawn = fold_resamples(folds, 4000)
    by_hand = []
    for _ in range(4000):
        chosen = rng.integers(0, 30, 30)
        aurocs = [
            rd.auroc(
                np.concatenate([rng.choice(f["score"][:10], 10), anomalous[chosen]]),
                np.repeat([0, 1], [10, 30]),
            )
            for f in folds
        ]
        by_hand.append(np.mean(aurocs))
    assert drawn.mean() == pytest.approx(np.mean(by_hand), abs=0.003)
    assert drawn.std() == pytest.approx(np.std(by_hand), rel=0.06)
    expected = np.mean([rd.auroc(f["score"], f["label"]) for f in folds])
    assert drawn.mean() == pytest.approx(expected, abs=0.003)


def test_copies_are_redrawn_together():
    """Every image there twice, as copies: the spread is that of the distinct images."""
    rng = np.random.default_rng(1)
    normal, anomalous = rng.normal(0, 1, 12), rng.normal(1, 1, 15)
    once = scores_of(normal, anomalous)
    twice = scores_of(np.repeat(normal, 2), np.repeat(anomalous, 2))
    groups = [*np.repeat(range(12), 2), *np.repeat(range(100, 115), 2)]
    spread = fold_resamples([once], 5000).std()
    assert fold_resamples([twice | {"group": groups}], 5000).std() == pytest.approx(
        spread, rel=0.06
    )
    assert fold_resamples([twice], 5000).std() < 0.8 * spread


def test_a_difference_on_the_same_images_is_paired():
    rng = np.random.default_rng(2)
    folds = [scores_of(rng.normal(0, 1, 10), rng.normal(1, 1, 20), 10 * k) for k in range(2)]
    folds[1]["score"][10:] = folds[0]["score"][10:]
    moved = [f | {"score": [2 * s + 5 for s in f["score"]]} for f in folds]
    assert (fold_resamples(moved) == fold_resamples(folds)).all()
    higher = [f | {"score": [*f["score"][:10], *(x + 1 for x in f["score"][10:])]} for f in folds]
    drawn = [
        medical_report.Folds("", "", 1, "", pd.DataFrame({"scores": f})) for f in (folds, higher)
    ]
    for one in drawn:
        one.rows["image_auroc"] = [rd.auroc(f["score"], f["label"]) for f in one.scores]
    change = medical_report.change(*drawn)
    assert 0 < change.low < change.mean < change.high
    gains = [100 * (b - a) for a, b in zip(*(d.aurocs for d in drawn), strict=True)]
    half = 12.7062 * np.std(gains, ddof=1) / 2**0.5  # Student's quantile of one degree of freedom
    assert change.fold_low == pytest.approx(np.mean(gains) - half, rel=1e-4)
    assert change.fold_high == pytest.approx(np.mean(gains) + half, rel=1e-4)
    other = [f | {"path": [p.replace("a", "b") for p in f["path"]]} for f in folds[:1]]
    with pytest.raises(ValueError, match="not have the same anomalous"):
        fold_resamples([folds[0], *other])


@pytest.mark.parametrize(
    ("bounds", "resolved"),
    [
        ((1, 3, 0.5, 4), True),
        ((-3, -1, -4, -0.5), True),
        ((1, 3, -9, 13), False),
        ((-1, 5, 1, 3), False),
        ((1, 3, np.nan, np.nan), False),
    ],
)
def test_a_change_is_resolved_where_neither_interval_holds_zero(bounds, resolved):
    assert medical_report.Change(2, *bounds).resolved is resolved


def test_the_interval_of_folds_holds_the_truth():
    """Binormal scores of five folds of twenty and a hundred anomalous images, AUROC 0.85."""
    rng, held, apart = np.random.default_rng(5), 0, 2**0.5 * 1.0364
    for _ in range(150):
        anomalous = rng.normal(apart, 1, 100)
        folds = [scores_of(rng.normal(0, 1, 20), anomalous, 20 * k) for k in range(5)]
        low, high = fold_interval(folds)
        held += low <= 0.85 <= high
    assert 0.89 <= held / 150 <= 0.99  # three standard errors below 95 %


def test_units_that_share_their_repetitions_share_their_degrees_of_freedom():
    """Ten units with the same five folds: wider than as if they were fifty, as wide as one."""
    z = np.random.default_rng(8).normal(1, 0.5, 5)
    one = pd.DataFrame([1 / (1 + np.exp(-z))])
    ten = pd.concat([one] * 10, ignore_index=True)
    alone = prediction_intervals(one)
    np.testing.assert_allclose(prediction_intervals(ten, together=True).iloc[[3]], alone)
    assert (prediction_intervals(ten)["high"] < alone.loc[0, "high"]).all()


def test_resampled_splits_test_so_many_normal_images_of_one_fold():
    rng = np.random.default_rng(4)
    folds = [scores_of(rng.normal(k, 1, 20), rng.normal(2, 1, 40), 20 * k) for k in range(2)]
    drawn = split_resamples(folds, 10, 4000)
    by_hand = []
    for n in range(4000):
        scores = np.array(folds[n // 2000]["score"])
        normal = rng.choice(scores[:20], 10, replace=False)
        anomalous = rng.choice(scores[20:], 40)
        by_hand.append(rd.auroc(np.r_[normal, anomalous], np.repeat([0, 1], [10, 40])))
    assert drawn.mean() == pytest.approx(np.mean(by_hand), abs=0.01)
    by_hand = np.reshape(by_hand, (2, 2000))
    np.testing.assert_allclose(drawn.std(axis=1), by_hand.std(axis=1), rtol=0.06)
    assert (split_resamples(folds, 10, 40) == split_resamples(folds, 10, 40)).all()
    assert (split_resamples(folds, 30).std(axis=1) < drawn.std(axis=1)).all()  # all twenty


def test_the_noise_of_splits_holds_what_lies_between_folds():
    """Variances within and between by hand; only one that is known from few folds widens t."""
    rng = np.random.default_rng(9)
    same = rng.normal(0, 1, (5, 20000))
    assert split_noise(same) == pytest.approx(1.96, rel=0.02)
    assert split_noise(same, same) == pytest.approx(1.96 * 2**0.5, rel=0.02)
    apart = same + np.array([-2, -1, 0, 1, 2])[:, None]  # variance 2.5 between, 4 degrees
    assert split_noise(apart) == pytest.approx(
        t.ppf(0.975, 4 * (3.5 / 2.5) ** 2) * 3.5**0.5, rel=0.02
    )
    assert split_noise(0 * same) == 0


def test_a_prediction_interval_holds_one_more_repetition():
    rng = np.random.default_rng(6)
    z = rng.normal(1.5, 0.4, (2000, 10))
    aurocs = 1 / (1 + np.exp(-z))
    for more, newer in ((1, aurocs[:, 5]), (5, 1 / (1 + np.exp(-z[:, 5:].mean(axis=1))))):
        tables = (pd.DataFrame([a[:5]]) for a in aurocs)
        bounds = np.concatenate([prediction_intervals(t, more=more).to_numpy() for t in tables])
        inside = ((bounds[:, 0] <= newer) & (newer <= bounds[:, 1])).mean()
        assert inside == pytest.approx(0.95, abs=0.02)


# ------------------------------------------------------------------ the notebook and the report


def test_the_notebook_runs_scans_where_no_data_are_and_all_folds(tmp_path, monkeypatch):
    monkeypatch.delenv("RDREPRO_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # not installed
    monkeypatch.setattr("rdrepro.paths.data_dir", lambda: tmp_path / "none")
    space = {"results_dir": str(tmp_path), "fold": -1}
    runs = medical.resolve_folds(space)
    assert list(runs) == [f"fold {n}" for n in range(FOLDS)]
    first = runs["fold 0"]
    assert first.preset == "medical_demo" and "of no patient" in first.banner
    assert list(medical.resolve_folds(space | {"fold": 3})) == ["fold 3"]
    drawn = medical.resolve_folds(space | {"split": "report", "fold": 2})
    assert list(drawn) == ["draw 2"]
    with pytest.raises(ValueError, match="give fold as a parameter"):
        medical.resolve_folds(space | {"overrides": "fold=2"})
    assert len(medical.resolve_folds(space | {"fold": "all"})) == FOLDS
    for given, message in (
        ({"dataset": "mvtec"}, "'mvtec' is not head_ct, brain_mri, retinal_oct or scans, which"),
        ({"preset": "demo"}, "preset='demo' is of dataset=synthetic; .* preset='medical_demo'"),
        ({"early_stopping": True}, "early_stopping=True must be text: none, train or leaky"),
    ):
        with pytest.raises(ValueError, match=message):
            medical.resolve_folds(space | given)
    with pytest.raises(FileNotFoundError, match=r"head_ct .* is not in"):  # before any weights
        medical.resolve_folds(space | {"data_root": str(tmp_path)})


def test_a_choice_by_tested_images_is_said(tmp_path):
    honest, leaky = (scans_run(tmp_path, early_stopping=kind) for kind in ("train", "leaky"))
    assert "tested normal images choose the epoch" in repr(leaky) and leaky.caution
    assert leaky.caution in leaky._repr_html_()
    assert not honest.caution and "choose the epoch" not in repr(honest)


def made_outcome(value, scores):
    counts = {"test_normal": 3, "test_anomalous": 2}
    row = {"metrics": {"image_auroc": value}, "counts": counts, "scores": scores}
    return SimpleNamespace(row=row | {"history": {"epoch": [1, 2], "loss": [2.0, 1.0]}})


def test_the_mean_of_folds_is_their_mean_and_one_fold_has_none():
    folds = [
        scores_of([0, 1, 2], [2.5, 1.5], 3 * k) | {"score": [*range(k), *range(5 - k)]}
        for k in range(3)
    ]
    values = (0.9, 0.6, 0.75)
    outcomes = {
        f"fold {n}": made_outcome(value, scores)
        for n, (value, scores) in enumerate(zip(values, folds, strict=True))
    }
    table = medical.folds_table(outcomes)
    assert table.loc["mean of folds", "image AUROC"] == pytest.approx(75)
    assert list(medical.folds_table({"fold 1": outcomes["fold 1"]}).index) == ["fold 1"]


@pytest.mark.usefixtures("data_root")
def test_the_six_columns_are_presets_and_both_readings_have_a_variant():
    printed = medical.printed_columns("head_ct")
    assert list(medical.READINGS) == list(printed["column"])
    for dataset in ("head_ct", "brain_mri"):
        for readings in medical.READINGS.values():
            for how in readings.values():
                run = rd.resolve(dataset=dataset, weights="random", **how)
                assert run.config.dataset == dataset and run.config.image_size == 224
    stopped = [
        {how.get("early_stopping", "none") for how in medical.READINGS[column].values()}
        for column in ("Ours+L_MKD", "Ours+L_MKD AS")
    ]
    assert stopped == [{"none", "train"}] * 2
    scores = {
        rd.resolve(weights="random", **how).config.score
        for how in medical.READINGS["Ours+L_MKD AS"].values()
    }
    assert scores == {"kd_loss", "mkd_loss"}


def test_printed_intervals_are_those_of_ten_normal_images():
    table = medical.printed_columns("head_ct").set_index("column")
    ours = table.loc["Ours"]
    # facts.md, section 4.3: a half-width of 12.6 points.
    assert ours["printed"] == 77.2 and (ours["high"] - ours["low"]) / 2 == pytest.approx(
        12.6, abs=0.1
    )
    assert np.isnan(medical.printed_columns("retinal_oct").set_index("column").loc["Ours", "low"])


@pytest.mark.parametrize(
    ("method", "own"), [("padim", {"padim_channels": 9}), ("spade", {"neighbours": 5})]
)
def test_a_method_without_early_stopping_is_drawn_alone(method, own, tmp_path):
    run = scans_run(tmp_path, method=method, epochs=None, **own)
    histories = medical.stopping_histories(run)
    (name,) = histories
    assert name.lower() == method
    _, ax = rd.new_figure()
    rd.plot_stopping(ax, histories[name], name)
    assert "trains nothing" in ax.texts[0].get_text()


def test_curves_with_and_without_stopping_share_an_axis_that_shows_them(tmp_path):
    run = scans_run(tmp_path, epochs=4)
    histories = medical.stopping_histories(run)
    assert list(histories) == ["without early stopping", "early stopping (train)"]
    assert VALIDATION in histories["early stopping (train)"]
    assert VALIDATION not in histories["without early stopping"]
    _, ax = rd.new_figure()
    for name, history in histories.items():
        rd.plot_stopping(ax, history.assign(**{VALIDATION: 1e6}), name)
    low, high = ax.get_ylim()
    losses = pd.concat(histories.values())["loss"]
    assert low < losses.min() and high == pytest.approx(2 * losses.max())


def made_row(template, reading, fold, shift, **changes):
    """A row of a reading whose anomalous scores are moved up by `shift`."""
    row = json.loads(json.dumps(template))
    how = medical.READINGS[medical_report.COLUMN_OF[reading]][reading]
    run = rd.resolve(
        **{"dataset": "head_ct", "weights": "random", "fold": fold, "teacher_bn": "frozen"}
        | {"backbone": "resnet18", "epochs": 60}
        | how
        | changes
    )
    config = {**vars(run.config), "train_layers": [1, 2, 3], "map_layers": [1, 2, 3]}
    row["config"] = {k: v for k, v in config.items() if k in row["config"]} | {
        k: config[k] for k in ("split", "fold", "early_stopping", "patience")
    }
    row["config"]["weights"] = "IMAGENET1K_V1"  # a name; nothing is loaded
    rng = np.random.default_rng(fold)
    normal, anomalous = rng.normal(0, 1, 20), np.random.default_rng(99).normal(shift, 1, 30)
    row["scores"] = scores_of(normal.round(4), anomalous.round(4), 20 * fold)
    row["metrics"] = {
        **row["metrics"],
        "image_auroc": rd.auroc(row["scores"]["score"], row["scores"]["label"]),
    }
    row["provenance"] |= {"preset": run.preset, "study": medical_report.STUDY, "dirty": False}
    row["provenance"]["eval_key"] = f"{abs(hash((reading, fold, shift))):016x}"[:16]
    return row


@pytest.fixture
def medical_runs(tmp_path, data_root):
    run = rd.resolve(dataset="scans", image_size=32, epochs=1, results_dir=str(tmp_path))
    template = rd.execute(run)
    shifts = {"Ours": 1.0, "Ours+ES": 1.0, "Ours+L_MKD": 2.5}
    for reading, shift in shifts.items():
        for fold in range(FOLDS):
            rd.save_row(
                made_row(template, reading, fold, shift), tmp_path / "runs" / medical_report.STUDY
            )
    return rd.load_runs(tmp_path / "runs")


def test_a_reading_overlaps_print_by_either_interval(medical_runs):
    """Folds that differ far more than images drawn again would have them."""
    ours = medical_runs["provenance.preset"].eq("medical")
    runs = medical_runs[ours].reset_index(drop=True)
    for spread, overlap in ((0.0, "does not overlap"), (0.15, "overlaps")):
        folds = 0.4 + spread * (runs["fold"] - 2)
        scores = [
            {"path": s["path"], "label": s["label"], "score": [-x for x in s["score"]]}
            for s in runs["scores"]
        ]
        (line,) = medical_report.columns_table(
            runs.assign(image_auroc=folds, scores=scores)
        ).to_dict("records")
        assert line["high"] < line["printed_low"]
        assert line["overlap"] == overlap
        assert line["collapsed"] == (2 if spread else 0)


def test_columns_stand_beside_print_with_overlap(medical_runs):
    table = medical_report.columns_table(medical_runs)
    assert list(table["reading"]) == ["Ours", "Ours+ES", "Ours+L_MKD"]
    assert (table["folds"] == FOLDS).all()
    for _, line in table.iterrows():
        rows = medical_runs[
            medical_runs["provenance.preset"]
            == medical_report.READING_OF[line["reading"]]["preset"]
        ]
        assert line["ours"] == pytest.approx(100 * rows["image_auroc"].mean())
        ends = [line[name] for name in ("one_low", "five_low", "ours", "five_high", "one_high")]
        assert (np.diff(ends) > 0).all()
        # A row's history is of one epoch, its configuration of sixty.
        stopped = FOLDS if line["reading"] == "Ours+ES" else np.nan
        assert line["stopped"] == pytest.approx(stopped, nan_ok=True)
    assert len(medical_report.readable_columns(table)) == 3


def test_steps_are_held_against_noise(medical_runs):
    table = medical_report.steps_table(medical_runs).set_index("step")
    es, mkd = table.loc["Ours to Ours+ES"], table.loc["Ours to Ours+L_MKD"]
    assert es["printed"] == pytest.approx(81.3 - 77.2)
    # The same scores: two columns on one split of them differ by nothing.
    assert es["noise"] == 0 and es["print"] == "larger than noise"
    assert es["ours"] == 0 and es["ours is"] == "not resolved"
    assert 0 < mkd["noise"] < 30
    told = medical_report.steps_verdict(table.reset_index())
    assert told.startswith(
        "Of 2 printed steps, in points, larger than noise: Head CT, Ours to Ours"
    )
    assert "Ours to Ours+ES (+4.1) by 1 of 1 teachers (resnet18: 0.0)" in told
    assert told.endswith(
        "of so many steps that change nothing, about 0.1 would be larger by chance."
    )
    assert mkd["ours is"] == "resolved" and mkd["ours"] > 10
    assert mkd["printed"] == pytest.approx(85.2 - 77.2)


@pytest.mark.parametrize(("folds", "epochs"), [(FOLDS, 201), (FOLDS - 1, 60)])
def test_the_baseline_stands_at_the_most_epochs_of_all_its_folds(medical_runs, folds, epochs):
    ours = medical_runs[medical_runs["provenance.preset"].eq("medical")]
    mkd = ours.assign(**{"provenance.preset": "mkd", "method": "mkd", "backbone": "vgg16"})
    turned = {"scores": [{**s, "score": [-x for x in s["score"]]} for s in mkd["scores"]]}
    long = mkd.assign(epochs=201, image_auroc=1 - mkd["image_auroc"], **turned)
    runs = pd.concat([medical_runs, mkd, long[long["fold"] < folds]], ignore_index=True)
    table = medical_report.steps_table(runs).set_index("step")
    # A quoted column shares no split, so that its noise is of both.
    assert table.loc["MKD to Ours", "noise"] > 0
    # At 60 epochs the made-up baseline is the method itself, at 201 its reverse.
    assert (table.loc["MKD to Ours", "ours"] == 0) == (epochs == 60)


def test_every_teacher_is_in_the_legend_whichever_panel_lacks_it(medical_runs):
    other = medical_runs.assign(dataset="brain_mri", backbone="efficientnet_lite0")
    figure = report.medical_columns(pd.concat([medical_runs, other], ignore_index=True))
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.split(",")[0] for text in told] == ["printed", "resnet18", "efficientnet_lite0"]
    first, second = ([c.lines[0].get_color() for c in ax.containers] for ax in figure.axes)
    assert first == second  # a colour per teacher
    limits = {ax.get_xlim() for ax in figure.axes}
    assert len(limits) == 1


def test_what_stands_beside_print_is_of_the_reports_studies():
    studies = {medical_report.STUDY, rotation.ROTATION_STUDY}
    assert set(tables.BESIDE_PRINT.values()) == studies


def test_folds_of_another_draw_are_not_paired(medical_runs):
    """The same fold numbers, other images."""
    other = medical_runs["provenance.preset"].eq("medical_mkd")
    moved = [
        {**s, "path": ["x" + p if p[0] == "n" else p for p in s["path"]]}
        for s in medical_runs["scores"]
    ]
    runs = medical_runs.assign(scores=np.where(other, moved, medical_runs["scores"]))
    assert list(medical_report.steps_table(runs)["step"]) == ["Ours to Ours+ES"]


def test_other_seeds_stand_beside_what_was_predicted(medical_runs):
    moved = [{**s, "path": [f"other {p}" for p in s["path"]]} for s in medical_runs["scores"]]
    again = medical_runs.assign(study="medical-again", seed=2, data_seed=2, scores=moved)
    away = again["fold"].lt(FOLDS - 1) & again["provenance.preset"].eq("medical")
    again.loc[away, "image_auroc"] = 0.01
    table = medical_report.again_table(pd.concat([medical_runs, again], ignore_index=True))
    inside = table.set_index("reading")["inside"]
    assert inside["Ours"] == 1 and inside["Ours+ES"] == FOLDS
    assert list(table["mean inside"]) == ["no", "yes", "yes"]
    told = medical_report.again_verdict(table)
    shift = abs(table["mean"] - table["ours"])[0]
    assert shift > 40
    assert told == (
        f"By another seed and draw, {1 + 2 * FOLDS} of {3 * FOLDS} folds lie inside the intervals "
        f"of one more fold, and means move by up to {shift:.1f} points."
    )
    assert medical_report.again_verdict(medical_report.again_table(medical_runs)) == ""
    few = pd.concat([medical_runs, again[again["fold"] < FOLDS - 1]], ignore_index=True)
    assert set(medical_report.again_table(few)["mean inside"]) == {""}
    assert medical_report.again_table(medical_runs).empty
    same = medical_runs.assign(study="medical-again")  # the same images once more
    assert medical_report.again_table(pd.concat([medical_runs, same], ignore_index=True)).empty


def test_readings_that_lack_a_fold_are_not_compared(medical_runs):
    missing = medical_runs["provenance.preset"].eq("medical_mkd") & medical_runs["fold"].eq(2)
    table = medical_report.steps_table(medical_runs[~missing])
    assert list(table["step"]) == ["Ours to Ours+ES"]


def test_medical_rows_stand_in_no_other_table(medical_runs):
    from rdrepro.study.ablation import steps
    from rdrepro.study.compare import other_protocols

    assert other_protocols(medical_runs).empty
    assert all(steps(medical_runs, table).empty for table in "567")


def test_random_weights_and_other_protocols_stand_in_no_column(medical_runs):
    table = medical_report.columns_table(medical_runs)
    untaught = medical_runs.assign(weights="random")
    assert medical_report.columns_table(untaught).empty
    # One fold at another learning rate, newer than the others: it is no part of their protocol.
    stray = medical_runs[medical_runs["provenance.preset"].eq("medical")].iloc[[0]]
    stray = stray.assign(lr=0.1, image_auroc=0.0)
    both = pd.concat([medical_runs, stray], ignore_index=True)
    pd.testing.assert_frame_equal(medical_report.columns_table(both), table)


def changed_runs(medical_runs, study, **changes):
    """Rows of the column "Ours" once more, in another study, with other settings."""
    ours = medical_runs[medical_runs["provenance.preset"].eq("medical")]
    return pd.concat([medical_runs, ours.assign(study=study, **changes)], ignore_index=True)


def test_every_habit_is_compared_with_its_reading(medical_runs):
    """Rows that differ in the habit's field alone: no change, whatever the field."""
    for name, (reading, entry, how) in medical.HABITS.items():
        (field,) = set(how) - {"preset"}
        rows = medical_runs[medical_runs["provenance.preset"].eq(how["preset"])]
        changed = rows.assign(study="medical-habits", **{field: how[field]})
        both = pd.concat([medical_runs, changed], ignore_index=True)
        (line,) = medical_report.habits_table(both).to_dict("records")
        assert (line["habit"], line["entry"], line["against"]) == (name, entry, reading)
        assert line["switch"] == f"`{field}={how[field]}`"
        assert line["mean"] == line["low"] == line["high"] == 0 and line["folds"] == FOLDS


def test_the_registers_interval_of_a_habit_is_over_folds(medical_runs):
    """Each fold was trained once, which the same images drawn again know nothing of."""
    runs = changed_runs(medical_runs, "medical-habits", image_size=256)
    added = runs["study"].eq("medical-habits")
    runs.loc[added, "image_auroc"] -= 0.01 * runs.loc[added, "fold"]
    (line,) = medical_report.habit_deviations(runs).to_dict("records")
    steps = -np.arange(FOLDS)
    half = 2.7764 * steps.std(ddof=1) / FOLDS**0.5
    assert line["mean"] == pytest.approx(steps.mean())
    assert [line["low"], line["high"]] == pytest.approx([-2 - half, -2 + half], abs=1e-3)


def test_long_training_stands_beside_the_studys_epochs(medical_runs):
    runs = changed_runs(medical_runs, "medical-long", epochs=199)
    table = medical_report.long_table(runs)
    assert len(table) == FOLDS and (table["ours"] == table["ours, long"]).all()
    assert set(table["epochs"]) == {60} and set(table["epochs, long"]) == {199}
    other = runs.assign(data_seed=runs["study"].eq("medical-long").map({True: 2, False: 1}))
    assert medical_report.long_table(other).empty  # other images
