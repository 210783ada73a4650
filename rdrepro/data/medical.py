"""Head CT, Brain MRI and Retinal OCT as downloaded, and their splits (extension, Sec. 4.1)."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
from torch.utils.data import Dataset
from torchvision.transforms import functional as T

from rdrepro.data.copies import picture_groups
from rdrepro.data.mvtec import IMAGE_ENDINGS, open_image
from rdrepro.text import nearest, one_of

# Where each is published on Kaggle, and the folders that hold it below a data root.
KAGGLE = {
    "head_ct": "felipekitamura/head-ct-hemorrhage",
    "brain_mri": "navoneel/brain-mri-images-for-brain-tumor-detection",
    "retinal_oct": "paultimothymooney/kermany2018",
}
MEDICAL_DATASETS = (*KAGGLE, "scans")
NORMAL = "normal"  # the category of every medical run
MEDICAL_SPLITS = {
    "head_ct": ("kfold", "report"),
    "brain_mri": ("kfold", "report"),
    "retinal_oct": ("report", "official"),  # half of the training images, or all
    "scans": ("kfold", "report"),
}
FOLDS = 5  # ours (O18)
REPORT_NORMALS = 10  # tested, as all anomalies are; extension, Sec. 4.1
OCT_NORMAL = "NORMAL"
PARTS = ("train", "test")


@dataclass(frozen=True)
class Picture:
    """An image file, whether it is anomalous, its kind, and the side it was published on."""

    path: Path
    label: int  # 1 = anomalous
    kind: str
    side: str = ""  # "train" or "test" where the data set has sides of its own


class MedicalImages(Dataset):
    """One side of a split of a medical data set: normal images to train on, or the test set.

    Items are dicts as MVTecAD's, without a mask: `image` (3, H, W) float32 in [0, 1]; `gt_label` 0
    or 1; `defect`, the image's kind; `path`, relative to `root`; `group`, the same number for
    copies of one picture. split "kfold": the normal images in FOLDS parts, drawn by `data_seed`,
    of which `fold` is tested; "report": ten of them, or of Retinal OCT half of the training
    images, drawn by `data_seed` and `fold`; "official": Retinal OCT's own. Every anomalous image is
    tested. Copies of one picture are never on both sides; FileNotFoundError says where files come
    from.
    """

    def __init__(
        self,
        root: str | Path,
        dataset: str,
        part: str = "train",
        image_size: int = 224,
        split: str = "kfold",
        fold: int | None = 0,
        data_seed: int = 1,
    ):
        if part not in PARTS:
            raise ValueError(f"split={part!r} is neither train nor test")
        check_split(dataset, split, fold)
        self.folder = find_medical(Path(root), dataset)
        self.dataset, self.part, self.image_size = dataset, part, image_size
        everything = READERS[dataset](self.folder)
        self.digests = [hashlib.sha256(p.path.read_bytes()).hexdigest() for p in everything]
        paths = tuple(p.path for p in everything)
        self.all_groups = picture_groups(paths, tuple(self.digests))
        self.everything = everything
        sides = split_sides(everything, self.all_groups, split, fold, data_seed)
        self.left_out = int(np.sum(sides == "left out"))
        self.chosen = np.flatnonzero(sides == part)
        if not len(self.chosen):
            raise ValueError(f"{dataset} has no image on the {part} side of split={split!r}")

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> dict:
        number = self.chosen[index]
        picture = self.everything[number]
        image = open_image(picture.path, "RGB")
        return {
            "image": T.to_tensor(T.resize(image, [self.image_size, self.image_size])),
            "gt_label": picture.label,
            "defect": picture.kind,
            "path": picture.path.relative_to(self.folder).as_posix(),
            "group": int(self.all_groups[number]),
        }

    @property
    def groups(self) -> list[int]:
        """Return each image's group; copies of one picture share it."""
        return [int(self.all_groups[number]) for number in self.chosen]

    def labels(self) -> list[int]:
        """Return each image's label, 1 = anomalous."""
        return [self.everything[number].label for number in self.chosen]

    def fingerprint(self) -> str:
        """Return the SHA-256 of the names, labels and bytes of the images."""
        digest = hashlib.sha256()
        for number in self.chosen:
            picture = self.everything[number]
            name = picture.path.relative_to(self.folder).as_posix()
            digest.update(f"{name} {picture.label} {self.digests[number]}".encode())
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """Return how many images each kind has."""
        return dict(Counter(self.everything[number].kind for number in self.chosen))

    def copies(self) -> dict[str, int]:
        """Return how many groups of copies the whole data set has, and what they cost."""
        identical = Counter(self.digests)
        labels: dict[int, set[int]] = {}
        for group, picture in zip(self.all_groups, self.everything, strict=True):
            labels.setdefault(int(group), set()).add(picture.label)
        sizes = Counter(map(int, self.all_groups))
        return {
            "images": len(self.everything),
            "groups of identical files": sum(n > 1 for n in identical.values()),
            "groups of near-identical pictures, those included": sum(n > 1 for n in sizes.values()),
            "images beyond the first of their group": len(self.everything) - len(sizes),
            "groups with both labels": sum(len(found) > 1 for found in labels.values()),
            "normal images left out of both sides here": self.left_out,
        }


def check_split(dataset: str, split: str, fold: int | None) -> None:
    """Raise ValueError for a data set, split or fold that there is not."""
    if dataset not in MEDICAL_DATASETS:
        raise ValueError(
            f"dataset={dataset!r} is not {one_of(MEDICAL_DATASETS)}."
            f"{nearest(dataset, MEDICAL_DATASETS)}"
        )
    legal = MEDICAL_SPLITS[dataset]
    if split not in legal:
        raise ValueError(f"split={split!r} is not one of {dataset}'s: {one_of(legal)}")
    if split == "official":
        if fold is not None:
            raise ValueError(f"fold={fold} has no meaning with split='official'; leave it out")
    elif fold is None or fold < 0 or (split == "kfold" and fold >= FOLDS):
        last = f"0 to {FOLDS - 1}" if split == "kfold" else "0 or more, the number of a draw"
        raise ValueError(f"fold={fold} must be {last}, with split={split!r}")


def split_sides(
    pictures: Sequence[Picture],
    groups: Sequence[int],
    split: str,
    fold: int | None,
    data_seed: int,
) -> np.ndarray:
    """Return the side of each picture, (N,): "train", "test", or "left out" of both.

    Pictures of one group are never on both sides: whole groups are drawn, and a normal picture
    that would be trained on is left out where a copy of it is tested.
    """
    labels, groups = np.array([p.label for p in pictures]), np.asarray(groups)
    normal = np.flatnonzero(labels == 0)
    sides = np.full(len(pictures), "test", dtype="<U8")
    if split == "kfold":
        number = kfold(groups[normal], FOLDS, np.random.default_rng(data_seed))
        sides[normal[number != fold]] = "train"
    elif all(p.side for p in pictures):
        train = np.array([p.side == "train" for p in pictures])
        sides[train] = "train"
        if split == "report":
            rng = np.random.default_rng([data_seed, fold])
            sides[rng.permutation(np.flatnonzero(train))[: train.sum() // 2]] = "left out"
    else:
        rng = np.random.default_rng([data_seed, fold])
        tested = draw_groups(groups[normal], REPORT_NORMALS, rng)
        sides[normal[~tested]] = "train"
    sides[(sides == "train") & np.isin(groups, groups[sides == "test"])] = "left out"
    return sides


def kfold(groups: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each image, (N,) in 0..folds - 1, of even sizes; groups stay whole.

    Groups are taken in random order, larger ones first, each into the smallest fold so far.
    """
    names, sizes = np.unique(groups, return_counts=True)
    shuffled = rng.permutation(len(names))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    filled, fold_of = np.zeros(folds, int), {}
    for number in order:
        fold_of[names[number]] = smallest = int(filled.argmin())
        filled[smallest] += sizes[number]
    return np.array([fold_of[g] for g in groups])


def draw_groups(groups: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Return which images are drawn, (N,) bool: whole groups in random order, `wanted` in all.

    ValueError where groups of such sizes cannot make that many.
    """
    names, sizes = np.unique(groups, return_counts=True)
    drawn, total = [], 0
    for number in rng.permutation(len(names)):
        if total + sizes[number] <= wanted:
            drawn.append(names[number])
            total += sizes[number]
    if total != wanted:
        raise ValueError(f"{len(groups)} normal images cannot be split so that {wanted} are tested")
    return np.isin(groups, drawn)


def find_medical(root: Path, dataset: str) -> Path:
    """Return the folder that holds a data set as downloaded, by kagglehub where that is installed.

    FileNotFoundError says in one sentence where the files come from and where to put them.
    """
    found = locate(root, dataset)
    if found is None and dataset in KAGGLE:
        downloaded = _kagglehub(KAGGLE[dataset])
        found = locate(downloaded, dataset) if downloaded else None
    if found is None:
        where = f"get it from https://www.kaggle.com/datasets/{KAGGLE.get(dataset, '')}"
        raise FileNotFoundError(
            f"{dataset} is not in {root}; {where} and unpack it as DATA/{dataset}, with DATA given "
            "as data_root or in RDREPRO_DATA (with kagglehub installed, it is downloaded)"
        )
    return found


def locate(root: Path, dataset: str) -> Path | None:
    """Return the folder below `root` that a data set's reader wants; None where there is none."""
    slug = KAGGLE.get(dataset, "").rpartition("/")[-1]
    for folder in (root / dataset, root / slug, root):
        # Archives add a folder of their own, or two: "OCT2017 " with its blank.
        for inner in (folder, *sorted(folder.glob("*/")), *sorted(folder.glob("*/*/"))):
            if all((inner / name).exists() for name in WANTED[dataset]):
                return inner
    return None


def _kagglehub(handle: str) -> Path | None:
    """Return where kagglehub keeps a data set, downloaded if need be; None where it cannot."""
    try:
        kagglehub = import_module("kagglehub")
    except ImportError:  # nobody needs it who has the files
        return None
    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # it raises its HTTP library's errors, and its own
        raise ConnectionError(
            f"kagglehub cannot download {handle} ({error}); download it elsewhere and name the "
            "folder as data_root"
        ) from None


def _images(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_ENDINGS)
    return sorted(p for p in files if p.is_file() and not p.name.startswith("."))


def _head_ct(folder: Path) -> list[Picture]:
    """Return Head CT's pictures: head_ct/NNN.png, labelled by number in labels.csv."""
    table = pd.read_csv(folder / "labels.csv", skipinitialspace=True)
    if list(table.columns) != ["id", "hemorrhage"] or not table["hemorrhage"].isin([0, 1]).all():
        raise ValueError(
            f"{folder / 'labels.csv'} must have the columns id and hemorrhage (0 or 1), "
            f"not {', '.join(map(str, table.columns))}"
        )
    label_of = dict(zip(table["id"], table["hemorrhage"], strict=True))
    files = {_number(p): p for p in _images(folder / "head_ct")}
    if set(files) != set(label_of):
        odd = sorted(set(files) ^ set(label_of), key=str)
        raise FileNotFoundError(
            f"{folder}: labels.csv and the images in head_ct do not fit together "
            f"({len(odd)} without the other, the first {odd[0]!r}); unpack the archive anew"
        )
    kinds = (NORMAL, "hemorrhage")
    return [Picture(p, int(label_of[n]), kinds[int(label_of[n])]) for n, p in files.items()]


def _number(path: Path) -> int | str:
    return int(path.stem) if path.stem.isdigit() else path.stem


def _brain_mri(folder: Path) -> list[Picture]:
    """Return Brain MRI's pictures: no/ without and yes/ with a tumour."""
    normal = [Picture(p, 0, NORMAL) for p in _images(folder / "no")]
    return normal + [Picture(p, 1, "tumour") for p in _images(folder / "yes")]


def _retinal_oct(folder: Path) -> list[Picture]:
    """Return Retinal OCT's pictures: train/NORMAL, and test/ with its anomalies."""
    kept = [Picture(p, 0, NORMAL, "train") for p in _images(folder / "train" / OCT_NORMAL)]
    for kind in sorted(p.name for p in (folder / "test").iterdir() if p.is_dir()):
        label, name = (0, NORMAL) if kind == OCT_NORMAL else (1, kind)
        kept += [Picture(p, label, name, "test") for p in _images(folder / "test" / kind)]
    return kept


READERS: dict[str, Callable[[Path], list[Picture]]] = {
    "head_ct": _head_ct,
    "brain_mri": _brain_mri,
    "retinal_oct": _retinal_oct,
    "scans": _head_ct,  # drawn in Head CT's layout
}
# What a folder must hold to be read.
WANTED = {
    "head_ct": ("head_ct", "labels.csv"),
    "brain_mri": ("yes", "no"),
    "retinal_oct": (f"train/{OCT_NORMAL}", f"test/{OCT_NORMAL}"),
    "scans": ("head_ct", "labels.csv"),
}
