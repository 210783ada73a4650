"""Adding a data set: an entry of the registry is all that is needed to run on its files."""

import numpy as np
import pytest
from PIL import Image

import rdrepro as rd
from rdrepro.registry import DATASETS, MEDICAL, MVTEC, DataSet, Folder, Layout
from rdrepro.runs.rows import check_row

SIZE = 64
PARTS = DataSet(
    "parts",
    "Parts",
    MVTEC,
    ("nut", "washer"),
    folders=("parts_2024",),
    how_to_get="draw it",
    layout=Layout("learn", "check", "fine", "truth", "{stem}.truth.png"),
)
KNEES = DataSet(
    "knees",
    "Knees",
    MEDICAL,
    ("normal",),
    folders=("knees",),
    how_to_get="draw it",
    splits=("kfold", "report"),
    parts=(
        Folder("healthy", "normal", 0),
        Folder("ill/torn", "torn", 1),
        Folder("ill/worn", "worn", 1),
    ),
)


@pytest.fixture(autouse=True)
def added(monkeypatch):
    for entry in (PARTS, KNEES):
        monkeypatch.setitem(DATASETS, entry.name, entry)


def picture(rng):
    """A random picture of few, large patches: no two are alike."""
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((SIZE, SIZE), Image.Resampling.NEAREST)


def write(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def data_root(tmp_path):
    """Both data sets on disk."""
    rng = np.random.default_rng(0)
    nut, knees = tmp_path / "data" / "parts_2024" / "nut", tmp_path / "data" / "knees"
    for i in range(6):
        write(picture(rng), nut / "learn" / "fine" / f"{i}.png")
    for i in range(3):
        write(picture(rng), nut / "check" / "fine" / f"{i}.png")
        write(picture(rng), nut / "check" / "bent" / f"b{i}.png")
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[8 * i : 8 * i + 16, 20:40] = 255
        write(Image.fromarray(mask), nut / "truth" / "bent" / f"b{i}.truth.png")
    for i in range(10):
        write(picture(rng), knees / "healthy" / f"{i}.jpg")
    for i in range(3):
        write(picture(rng), knees / "ill" / "torn" / f"{i}.jpg")
        write(picture(rng), knees / "ill" / "worn" / f"{i}.jpg")
    return tmp_path / "data"


def resolved(data_root, **parameters):
    small = {"backbone": "resnet18", "weights": "random", "image_size": SIZE, "epochs": 1}
    return rd.resolve(data_root=str(data_root), **small, precision="float32", **parameters)


def test_a_data_set_laid_out_like_mvtec(data_root):
    run = resolved(data_root, dataset="parts", category="nut", batch_size=4, study="mine")
    assert run.preset == "paper" and not run.banner
    assert run.dataset("train").counts() == {"fine": 6}
    test = run.dataset("test")
    assert test.counts() == {"bent": 3, "fine": 3}
    assert [item["gt_label"] for item in test] == [1, 1, 1, 0, 0, 0]
    assert [int(item["gt_mask"].sum()) for item in test] == [16 * 20] * 3 + [0] * 3
    row = rd.execute(run)
    check_row(row)
    assert row["config"]["dataset"] == "parts" and row["status"] == "complete"
    assert {"pixel_auroc", "pixel_aupro"} <= set(row["metrics"])
    rd.save_row(row, run.rows_dir)
    assert rd.load_runs(run.results_dir / "runs")["dataset"].tolist() == ["parts"]


def test_what_it_lacks_is_refused_by_its_name(data_root):
    with pytest.raises(ValueError, match="'bottle' is not one of the 2 categories of Parts"):
        resolved(data_root, dataset="parts", category="bottle")
    with pytest.raises(FileNotFoundError, match=r"holds no Parts; draw it"):
        resolved(data_root / "knees", dataset="parts", category="nut")
    with pytest.raises(ValueError, match=r"no category 'washer' in .* \(found: nut\); draw"):
        resolved(data_root, dataset="parts", category="washer")


def test_a_medical_data_set_in_folders(data_root):
    run = resolved(data_root, dataset="knees")
    assert (run.preset, run.config.split, run.config.fold) == ("medical", "kfold", 0)
    assert run.dataset("train").counts() == {"normal": 8}
    assert run.dataset("test").counts() == {"normal": 2, "torn": 3, "worn": 3}
    row = rd.execute(run)
    check_row(row)
    assert row["counts"] == row["counts"] | {"train": 8, "test_normal": 2, "test_anomalous": 6}
    file = rd.save_row(row, run.rows_dir)
    assert file.name.startswith("knees-kfold0-resnet18-")
    with pytest.raises(FileNotFoundError, match=r"knees \(healthy, ill/torn, ill/worn, .*draw it"):
        resolved(data_root / "parts_2024", dataset="knees")
