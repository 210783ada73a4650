"""One class against the others: MNIST, Fashion-MNIST, CIFAR-10, Caltech-256, digits (Sec. 4.2)."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torchvision
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import functional as T

from rdrepro.data.images import images_in, open_image
from rdrepro.downloads import refuse_offline
from rdrepro.registry import CHOICE_TEST, CHOICE_TRAIN, DATASETS, check_class

SOURCES = {
    "mnist": torchvision.datasets.MNIST,
    "fashion_mnist": torchvision.datasets.FashionMNIST,
    "cifar10": torchvision.datasets.CIFAR10,
    "caltech256": torchvision.datasets.Caltech256,
}
CATEGORIES_FOLDER, CLUTTER = "256_ObjectCategories", "257.clutter"
# Our choices where Sec. 4.2 is silent (O14): up to 150 images a category, a fifth of them to test.
CALTECH_MOST, CALTECH_TEST = 150, 5
DIGITS_TEST = 3  # every third image of scikit-learn's digits is tested (O16)


class _CIFAR10(torchvision.datasets.CIFAR10):
    """CIFAR-10 in torchvision's layout. Lossless conversions with other checksums are accepted."""

    def _check_integrity(self) -> bool:
        folder = Path(self.root) / self.base_folder
        return all((folder / name).is_file() for name, _ in self.train_list + self.test_list)

    def _load_meta(self) -> None:
        self.classes = list(DATASETS["cifar10"].categories)


def is_there(root: Path, dataset: str) -> bool:
    """Whether a data set's folder is below `root`. The digits need no folder."""
    entry = DATASETS[dataset]
    return entry.embedded or (root / entry.folders[0]).is_dir()


class OneClass(Dataset):
    """One normal class's training images, or a whole test set where other classes have label 1.

    Items are dicts like MVTecAD's, without a mask: `image` (3, H, W) float32 in [0, 1]; `gt_label`
    0 or 1; `defect`, the class's name; `path`, made of split and number, or for Caltech-256
    relative to `root`. Images are resized bilinearly to a square, and grey ones are repeated over
    three channels (official dataset.py). Data that are not below `root` are downloaded there.

    inlier_categories: how many categories of Caltech-256 are normal; `normal_class` is then the
    number of a random draw of them. source="validation": both splits come from the training images,
    so that settings can be chosen.
    """

    def __init__(
        self,
        root: str | Path,
        dataset: str,
        normal_class: int,
        split: str = "train",
        image_size: int = 32,
        inlier_categories: int = 1,
        source: str = "official",
    ):
        check_class(dataset, normal_class)
        if split not in ("train", "test"):
            raise ValueError(f"split={split!r} is neither train nor test")
        self.root, self.dataset, self.split = Path(root), dataset, split
        self.normal_class, self.image_size = normal_class, image_size
        if not is_there(self.root, dataset):
            download(self.root, dataset)
        if dataset == "caltech256":
            choice = caltech_split(self.root, normal_class, split, inlier_categories)
            self.pictures, self.labels = choice
            self.names = [p.parent.name for p in self.pictures]
            self.paths = [p.relative_to(self.root).as_posix() for p in self.pictures]
        else:
            file_split = "train" if source == "validation" else split
            pictures, targets = load_split(self.root, dataset, file_split)
            normal = targets == normal_class
            chosen = choose(normal, split, source)
            self.pictures, self.labels = pictures[chosen], (~normal[chosen]).astype(int)
            self.names = [DATASETS[dataset].categories[t] for t in targets[chosen]]
            self.paths = [f"{file_split}/{i:05d}" for i in chosen]
        self._check_labels()

    def _check_labels(self) -> None:
        """Raise ValueError for a training set without images, or a test set without both labels."""
        name = f"class {DATASETS[self.dataset].categories[self.normal_class]}"
        if not len(self.labels) or self.labels.all():
            raise ValueError(f"{self.dataset} has no image of {name} in its {self.split} set")
        if self.split == "test" and not self.labels.any():
            raise ValueError(f"{self.dataset} has only images of {name} in its test set")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict:
        size = [self.image_size, self.image_size]
        return {
            "image": T.to_tensor(T.resize(self._picture(index), size)),
            "gt_label": int(self.labels[index]),
            "defect": self.names[index],
            "path": self.paths[index],
        }

    def _picture(self, index: int) -> Image.Image:
        picture = self.pictures[index]
        if isinstance(picture, Path):
            return open_image(picture, "RGB")
        return Image.fromarray(picture).convert("RGB")

    def fingerprint(self) -> str:
        """The SHA-256 of all images, pixels or files, with their names and labels."""
        digest = hashlib.sha256()
        for path, label, picture in zip(self.paths, self.labels, self.pictures, strict=True):
            digest.update(f"{path} {label}".encode())
            digest.update(picture.read_bytes() if isinstance(picture, Path) else picture.tobytes())
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """How many images each class has."""
        names, numbers = np.unique(self.names, return_counts=True)
        return dict(zip(names.tolist(), numbers.tolist(), strict=True))


def choose(normal: np.ndarray, split: str, source: str) -> np.ndarray:
    """The indices of the images that belong to a split, chosen from the images of one file.

    normal: (N,) bool, whether each image is of the normal class. source="official": the normal
    images of the training file are trained on, and all images of the test file are tested.
    source="validation": all come from the training file. A thousand random normal images are
    trained on. Of the other images, five hundred of each label are tested. Raises ValueError where
    there are too few.
    """
    if source == "official":
        return np.flatnonzero(normal) if split == "train" else np.arange(len(normal))
    rng = np.random.default_rng(0)
    inside, outside = (rng.permutation(np.flatnonzero(x)) for x in (normal, ~normal))
    if len(inside) < CHOICE_TRAIN + CHOICE_TEST:
        raise ValueError(
            f"split='validation' needs {CHOICE_TRAIN + CHOICE_TEST} training images of a class, "
            f"and there are {len(inside)}; use split='official'"
        )
    if split == "train":
        return np.sort(inside[:CHOICE_TRAIN])
    tested = inside[CHOICE_TRAIN:][:CHOICE_TEST], outside[:CHOICE_TEST]
    return np.sort(np.concatenate(tested))


@lru_cache(maxsize=4)
def load_split(root: Path, dataset: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of a split, uint8 (N, H, W) or (N, H, W, 3), and their classes (N,).

    Raises ValueError where a file is damaged and FileNotFoundError where one is missing.
    """
    if dataset == "digits":
        from sklearn.datasets import load_digits  # slow to load, and only the digits need it

        pictures, targets = load_digits(return_X_y=True)
        pictures = (pictures.reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)
        tested = np.arange(len(targets)) % DIGITS_TEST == 0
        chosen = tested if split == "test" else ~tested
        return pictures[chosen], targets[chosen]
    kind = _CIFAR10 if dataset == "cifar10" else SOURCES[dataset]
    folder = root / DATASETS[dataset].folders[0]
    try:
        data = kind(root, train=split == "train")
        pictures, targets = np.asarray(data.data), np.asarray(data.targets)
        fits = pictures.dtype == np.uint8 and pictures.shape[1:] in ((28, 28), (32, 32, 3))
        if not fits or len(pictures) != len(targets) or set(targets.tolist()) - set(range(10)):
            raise ValueError("images and classes do not fit each other")
    except RuntimeError:
        raise FileNotFoundError(
            f"{folder} is incomplete; move it away to download {dataset} anew"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"{folder} cannot be read ({error}); move it away to download {dataset} anew"
        ) from None
    return pictures, targets


def caltech_split(
    root: Path, draw: int, split: str, inlier_categories: int
) -> tuple[Sequence[Path], np.ndarray]:
    """The images of a random draw of categories, and their labels: 1 for clutter, otherwise 0.

    The draw's number decides the categories, which of their images are trained on or tested, and
    the clutter images. There are as many clutter images as tested normal ones (O14). Raises
    FileNotFoundError where images are missing.
    """
    folder = root / DATASETS["caltech256"].folders[0] / CATEGORIES_FOLDER
    categories = sorted(p for p in folder.glob("*") if p.is_dir() and p.name != CLUTTER)
    if len(categories) < inlier_categories or not (folder / CLUTTER).is_dir():
        raise FileNotFoundError(
            f"{folder} has {len(categories)} categories besides {CLUTTER}, which is "
            f"{'there' if (folder / CLUTTER).is_dir() else 'missing'}; move caltech256 away to "
            "download it anew"
        )
    rng = np.random.default_rng([draw, inlier_categories])
    chosen = sorted(rng.choice(len(categories), inlier_categories, replace=False))
    train, test = [], []
    for number in chosen:
        images = images_in(categories[number])[:CALTECH_MOST]
        shuffled = [images[i] for i in rng.permutation(len(images))]
        if len(images) < 2:
            raise FileNotFoundError(
                f"{categories[number]} has {len(images)} images, too few to train on and to test"
            )
        tested = max(1, len(images) // CALTECH_TEST)
        test += sorted(shuffled[:tested])
        train += sorted(shuffled[tested:])
    if split == "train":
        return train, np.zeros(len(train), int)
    clutter = images_in(folder / CLUTTER)
    if len(clutter) < len(test):
        raise FileNotFoundError(
            f"{folder / CLUTTER} has {len(clutter)} images, fewer than the {len(test)} to be tested"
        )
    outliers = [clutter[i] for i in sorted(rng.choice(len(clutter), len(test), replace=False))]
    return test + outliers, np.repeat([0, 1], len(test))


def download(root: Path, dataset: str) -> None:
    """Download a data set below `root` with torchvision, which compares checksums.

    Its folder gets its name only when the download is complete. Raises ConnectionError where the
    download fails or $RDREPRO_OFFLINE is set. The message says what to do instead.
    """
    target, aside = root / DATASETS[dataset].folders[0], None
    way_out = f"put torchvision's folder {target.name} there, or name another data_root"
    refuse_offline(f"{dataset}, which is not in {root},", way_out)
    try:
        root.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{dataset}-", dir=root))
        SOURCES[dataset](aside, download=True)
        try:
            (aside / DATASETS[dataset].folders[0]).rename(target)
        except OSError:
            if not target.is_dir():  # else another process has fetched it
                raise
    except (URLError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConnectionError(
            f"{dataset} is not in {root} and cannot be downloaded there ({reason}); {way_out}"
        ) from None
    finally:
        if aside:
            with contextlib.suppress(OSError):
                shutil.rmtree(aside)
