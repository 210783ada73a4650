"""Head CT, Brain MRI and Retinal OCT as downloaded, and their splits (extension, Sec. 4.1)."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
from torch.utils.data import Dataset
from torchvision.transforms import functional as T

from rdrepro.data.copies import picture_groups
from rdrepro.data.images import images_in, is_image, open_image
from rdrepro.downloads import refuse_offline
from rdrepro.registry import (
    DATASETS,
    DRAWN,
    FOLDS,
    MEDICAL,
    NORMAL,
    check_dataset,
    check_split,
)

REPORT_NORMALS = 10  # normal images that split="report" tests (extension, Sec. 4.1)
# The numbers of neighbouring slices differ by at most this. It is our choice (O18), made from
# pictures alone. Among Head CT's normal images, the median of aligned correlations is higher at a
# distance of one or two numbers than far apart. Likely duplicates farther apart are left out by
# their groups.
NEIGHBOURS = 2
PARTS = ("train", "test")


@dataclass(frozen=True)
class Picture:
    """An image file, whether it is anomalous, its kind, and its side of the published split."""

    path: Path
    label: int  # 1 = anomalous
    kind: str
    side: str = ""  # "train" or "test"; empty where the data set was published without a split


class MedicalImages(Dataset):
    """One side of a split of a medical data set: normal images to train on, or the test set.

    Items are dicts like MVTecAD's, without a mask: `image` (3, H, W) float32 in [0, 1]; `gt_label`
    0 or 1; `defect`, the image's kind; `path`, relative to the data set's folder; `group`, a number
    that duplicates share.

    split="kfold": the normal images are divided into FOLDS parts, drawn by `data_seed`, and part
    `fold` is tested. split="blocks": the same, but each part is a run of consecutive numbers, since
    neighbouring files of Head CT often show one head, two or three in a row; `data_seed` draws
    where the first run starts. Images within NEIGHBOURS numbers of a tested one are not trained on.
    split="report": `data_seed` and `fold` draw ten normal images to test or, for Retinal OCT, half
    of the training images to train on. split="official": Retinal OCT's own split. Every anomalous
    image is tested. Duplicates are never on both sides. split=None, the default, is the data set's
    first split in the registry.

    Two random draws can still separate neighbours of Head CT: split="report" draws the tested
    images, and early stopping draws its validation images from the training images. No file of Head
    CT or Brain MRI names a patient.

    Raises FileNotFoundError where files are missing. The message says where they come from.
    """

    def __init__(
        self,
        root: str | Path,
        dataset: str,
        part: str = "train",
        image_size: int = 224,
        split: str | None = None,
        fold: int | None = 0,
        data_seed: int = 1,
    ):
        if part not in PARTS:
            raise ValueError(f"part={part!r} is neither train nor test")
        check_dataset(dataset, MEDICAL)
        split = split or DATASETS[dataset].splits[0]
        check_split(dataset, split, fold)
        self.folder = find_medical(Path(root), dataset)
        self.dataset, self.part, self.image_size = dataset, part, image_size
        everything = read_pictures(self.folder, dataset)
        self.digests = [hashlib.sha256(p.path.read_bytes()).hexdigest() for p in everything]
        paths = tuple(p.path for p in everything)
        self.drawn_groups, self.all_groups = picture_groups(paths, tuple(self.digests))
        self.everything = everything
        both = self.drawn_groups, self.all_groups
        sides = split_sides(everything, *both, split, fold, data_seed)
        _check_sides(sides, everything, f"{dataset}, split={split!r}, fold={fold}")
        self.left_out = int(np.sum(sides == "left out"))
        self.chosen = np.flatnonzero(sides == part)

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
        """Each image's group number, which sure and likely duplicates share."""
        return [int(self.all_groups[number]) for number in self.chosen]

    @property
    def sure_groups(self) -> list[int]:
        """Each image's group number, which sure duplicates share."""
        return [int(self.drawn_groups[number]) for number in self.chosen]

    def labels(self) -> list[int]:
        """Each image's label, 1 = anomalous."""
        return [self.everything[number].label for number in self.chosen]

    def fingerprint(self) -> str:
        """The SHA-256 of the names, labels and bytes of the images."""
        digest = hashlib.sha256()
        for number in self.chosen:
            picture = self.everything[number]
            name = picture.path.relative_to(self.folder).as_posix()
            digest.update(f"{name} {picture.label} {self.digests[number]}".encode())
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """How many images each kind has."""
        return dict(Counter(self.everything[number].kind for number in self.chosen))

    def copies(self) -> dict[str, int]:
        """Counts of the duplicates in the whole data set, and of images that they exclude."""
        identical = Counter(self.digests)
        labels: dict[int, set[int]] = {}
        for group, picture in zip(self.all_groups, self.everything, strict=True):
            labels.setdefault(int(group), set()).add(picture.label)
        sizes = Counter(map(int, self.all_groups))
        return {
            "images": len(self.everything),
            "groups of identical files": sum(n > 1 for n in identical.values()),
            "groups of duplicates, sure and likely": sum(n > 1 for n in sizes.values()),
            "images beyond the first of their group": len(self.everything) - len(sizes),
            "groups with both labels": sum(len(found) > 1 for found in labels.values()),
            "normal images left out of both sides here": self.left_out,
        }


def _check_sides(sides: np.ndarray, pictures: Sequence[Picture], name: str) -> None:
    """Raise ValueError where a split cannot be used.

    It needs images to train on, and normal as well as anomalous images to test.
    """
    labels = np.array([p.label for p in pictures], int)
    trained, left_out = int((sides == "train").sum()), int((sides == "left out").sum())
    normal, anomalous = (int(((sides == "test") & (labels == n)).sum()) for n in (0, 1))
    if not (trained and normal and anomalous):
        raise ValueError(
            f"{name}: {trained} normal images to train on, {normal} normal and {anomalous} "
            f"anomalous ones to test, of {len(pictures)} in all; none may be 0 ({left_out} are "
            "left out, such as duplicates of tested pictures)"
        )


def split_sides(
    pictures: Sequence[Picture],
    sure: Sequence[int],
    likely: Sequence[int],
    split: str,
    fold: int | None,
    data_seed: int,
) -> np.ndarray:
    """The side of each picture, (N,): "train", "test", or "left out" of both.

    sure, likely: the two group numbers of `picture_groups`. Pictures of one group are never on both
    sides. Groups of sure duplicates are drawn whole. A normal picture is left out of training if a
    sure or likely duplicate of it is tested. A wrong guess about a likely duplicate thus costs a
    training image but changes no fold. Raises ValueError where split="blocks" meets a file without
    a number.
    """
    labels, groups = np.array([p.label for p in pictures]), np.asarray(sure)
    normal = np.flatnonzero(labels == 0)
    sides = np.full(len(pictures), "test", dtype="<U8")
    if split == "kfold":
        number = kfold(groups[normal], FOLDS, np.random.default_rng(data_seed))
        sides[normal[number != fold]] = "train"
    elif split == "blocks":
        numbers = _numbers([pictures[place] for place in normal])
        number = blocks(numbers, groups[normal], FOLDS, np.random.default_rng(data_seed))
        near = beside(numbers, numbers[number == fold])
        sides[normal[number != fold]] = np.where(near[number != fold], "left out", "train")
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
    likely = np.asarray(likely)  # each of these consists of whole groups of sure duplicates
    sides[(sides == "train") & np.isin(likely, likely[sides == "test"])] = "left out"
    return sides


def kfold(groups: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The number of each image's fold, (N,) in 0..folds - 1.

    Folds have about the same size, and groups stay whole. Groups are taken by size, the largest
    first, in random order among equals. Each goes into the fold that is smallest so far.
    """
    names, sizes = np.unique(groups, return_counts=True)
    shuffled = rng.permutation(len(names))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    filled, fold_of = np.zeros(folds, int), {}
    for number in order:
        fold_of[names[number]] = smallest = int(filled.argmin())
        filled[smallest] += sizes[number]
    return np.array([fold_of[g] for g in groups])


def blocks(
    numbers: np.ndarray, groups: np.ndarray, folds: int, rng: np.random.Generator
) -> np.ndarray:
    """The number of each image's fold, (N,) in 0..folds - 1: runs of consecutive numbers.

    numbers: the images' own, (N,). They form a ring, and the first run starts at a random place.
    The lengths of runs differ by one at most. A group belongs to the run of its first image.
    """
    order = np.argsort(numbers, kind="stable")
    order = np.roll(order, -int(rng.integers(len(order))))
    fold_of = np.empty(len(order), int)
    for fold, run in enumerate(np.array_split(order, folds)):
        fold_of[run] = fold
    _, first, group = np.unique(groups[order], return_index=True, return_inverse=True)
    result = np.empty_like(fold_of)
    result[order] = fold_of[order][first[group]]
    return result


def beside(numbers: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Which images have a number within NEIGHBOURS of a tested image's, (N,) bool."""
    return (np.abs(numbers[:, None] - tested) <= NEIGHBOURS).any(axis=1)


def _numbers(pictures: Sequence[Picture]) -> np.ndarray:
    """The numbers by which pictures are named, (N,); ValueError where one has none."""
    for picture in pictures:
        if not isinstance(_number(picture.path), int):
            raise ValueError(
                f"split='blocks' needs files named by numbers, such as 101.png, not "
                f"{picture.path.name!r}; rename it or use split=kfold"
            )
    return np.array([_number(picture.path) for picture in pictures])


def draw_groups(groups: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Which images are drawn, (N,) bool: `wanted` images in all, in whole groups.

    Groups are taken in random order. Raises ValueError where they do not add up to `wanted` images.
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
    """The folder that holds a data set as downloaded.

    A missing data set is downloaded by kagglehub if that is installed. Raises FileNotFoundError if
    the data set is not found. The message says where its files come from and where to put them.
    """
    found, entry = locate(root, dataset), DATASETS[dataset]
    if found is None and entry.kaggle:
        downloaded = _kagglehub(entry.kaggle)
        found = locate(downloaded, dataset) if downloaded else None
        root = downloaded or root
    if found is None:
        raise FileNotFoundError(
            f"{dataset} ({', '.join(entry.wanted)}, with images) is not in {root}; "
            f"{entry.how_to_get}"
        )
    return found


def locate(root: Path, dataset: str) -> Path | None:
    """The folder below `root` that can be read as a data set; None where there is none."""
    for folder in (*(root / name for name in DATASETS[dataset].folders), root):
        # Archives add one or two folders of their own, such as "OCT2017 " with a final blank.
        for inner in (folder, *sorted(folder.glob("*/")), *sorted(folder.glob("*/*/"))):
            if _holds(inner, dataset):
                return inner
    return None


def _holds(folder: Path, dataset: str) -> bool:
    """Whether a folder has all files and folders of a data set, and an image in one of them.

    A folder of drawn scans does not count as a real data set.
    """
    entry = DATASETS[dataset]
    wanted = [folder / name for name in entry.wanted]
    if not entry.embedded and (folder / DRAWN).exists():
        return False
    if not all(path.exists() for path in wanted):
        return False
    return any(is_image(path) for part in wanted for path in part.rglob("*"))


@lru_cache
def _kagglehub(handle: str) -> Path | None:
    """The folder where kagglehub keeps a data set; kagglehub downloads it if necessary.

    None if kagglehub is not installed. Raises ConnectionError if the download fails.
    """
    try:
        kagglehub = import_module("kagglehub")
    except (ImportError, OSError):  # it is optional: files can be put there by hand
        return None
    refuse_offline(handle, "download it elsewhere and name the folder as data_root")
    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # it raises errors of its own and of its HTTP library
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConnectionError(
            f"kagglehub cannot download {handle} ({reason}); download it elsewhere and name the "
            "folder as data_root"
        ) from None


def read_pictures(folder: Path, dataset: str) -> list[Picture]:
    """All pictures of a data set, labelled by its folders or, for Head CT, by labels.csv."""
    parts = DATASETS[dataset].parts
    if not parts:
        return _head_ct(folder)
    return [
        Picture(path, part.label, part.kind, part.side)
        for part in parts
        for path in images_in(folder / part.name)
    ]


def _head_ct(folder: Path) -> list[Picture]:
    """Head CT's pictures: NNN.png in head_ct, or in head_ct/head_ct as in Kaggle's archive.

    Raises ValueError or FileNotFoundError where the pictures do not match labels.csv.
    """
    label_of = _labels(folder / "labels.csv")
    images = images_in(folder / "head_ct") or images_in(folder / "head_ct" / "head_ct")
    files = {_number(p): p for p in images}
    if len(files) < len(images):
        twice = next(p for p in images if files[_number(p)] != p)
        raise ValueError(
            f"{folder}: {twice.name} and {files[_number(twice)].name} have the same number; "
            "rename or remove one of them"
        )
    if set(files) != set(label_of):
        odd = sorted(set(files) ^ set(label_of), key=str)
        raise FileNotFoundError(
            f"{folder}: labels.csv and the images in head_ct do not fit together "
            f"({len(odd)} without the other, the first {odd[0]!r}); unpack the archive anew"
        )
    kinds = (NORMAL, "hemorrhage")
    return [Picture(p, label_of[n], kinds[label_of[n]]) for n, p in files.items()]


def _labels(path: Path) -> dict[int | str, int]:
    """The label of each image number in Head CT's labels.csv.

    Raises ValueError, saying what is wrong with the file.
    """
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except ValueError as error:  # empty, ragged or not text
        raise ValueError(f"{path} cannot be read as a table ({error})") from None
    table.columns = table.columns.str.strip().str.lower()
    if not {"id", "hemorrhage"} <= set(table.columns):
        found = ", ".join(table.columns)
        raise ValueError(f"{path} must have the columns id and hemorrhage, not {found}")
    wrong = table[~table["hemorrhage"].isin([0, 1]) | table["id"].isna()]
    if len(wrong):
        raise ValueError(
            f"{path}: hemorrhage must be 0 or 1, not {wrong['hemorrhage'].iloc[0]} "
            f"(id {wrong['id'].iloc[0]})"
        )
    if table["id"].duplicated().any():
        twice = table["id"][table["id"].duplicated()].iloc[0]
        raise ValueError(f"{path} labels {twice} twice; keep one")
    return {n: int(label) for n, label in zip(table["id"], table["hemorrhage"], strict=True)}


def _number(path: Path) -> int | str:
    return int(path.stem) if path.stem.isdigit() else path.stem
