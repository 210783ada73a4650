"""Every data set by name: its family, its content, its folders and its splits.

An entry holds everything that the package knows about a data set before opening it. This module
reads nothing from disk and imports neither torch nor an image reader.
"""

from dataclasses import dataclass

from rdrepro.text import nearest, one_of

MVTEC, ONE_CLASS, MEDICAL = "mvtec", "one_class", "medical"  # families
NORMAL = "normal"  # the category of every medical run
TEXTURES = ("carpet", "grid", "leather", "tile", "wood")
OBJECTS = (
    *("bottle", "cable", "capsule", "hazelnut", "metal_nut"),
    *("pill", "screw", "toothbrush", "transistor", "zipper"),
)
NUMERALS = tuple("0123456789")
FOLDS = 5  # our choice (O18)
FOLDED = ("blocks", "kfold")  # the splits with FOLDS parts; each normal image is tested once
# For split="validation": normal images to train on, and images of each label to choose settings by.
CHOICE_TRAIN, CHOICE_TEST = 1000, 500
DRAWN = "DRAWN.txt"  # a file that marks drawn scans, so that they are never read as real ones


@dataclass(frozen=True)
class Layout:
    """Where the files of an MVTec-like category lie below its folder."""

    train: str = "train"
    test: str = "test"
    good: str = "good"  # the folder of normal images in both
    masks: str = "ground_truth"
    mask_name: str = "{stem}_mask.png"  # from an image's name without its ending


@dataclass(frozen=True)
class Folder:
    """A folder of medical images of one kind."""

    name: str  # below the data set's own folder
    kind: str
    label: int  # 1 = anomalous
    side: str = ""  # "train" or "test" where the data set was published in two parts


@dataclass(frozen=True)
class Source:
    """The archive from which a data set is fetched, and its licence."""

    page: str  # where people find the link
    url: str
    sha256: str  # "" where none is published
    size: int  # bytes of the archive
    unpacked: int  # bytes of its files
    licence: str
    licence_url: str


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set without opening it."""

    name: str
    title: str  # as tables and figures write it
    family: str
    categories: tuple[str, ...]  # of one_class: the classes, by number
    folders: tuple[str, ...] = ()  # below a data root; the first that exists is taken
    how_to_get: str = ""  # completes "... is not there; "
    source: Source | None = None  # what `python -m rdrepro.data.fetch` fetches
    # The first is the usual one. The default is that of the MVTec-like.
    splits: tuple[str, ...] = ("official", "pasted")
    banner: str = ""  # of embedded data: a warning to read before any number
    tables: tuple[tuple[str, str], ...] = ()  # that print it: (paper, table's number)
    # MVTec-like
    layout: Layout = Layout()
    # one class against the others
    normalised: bool = True  # whether the authors' loader normalises (official dataset.py, D9)
    test_images: int | None = None  # in the whole test set, which a verdict needs
    inlier_categories: tuple[int, ...] = (1,)
    # medical
    parts: tuple[Folder, ...] = ()  # empty: labels are read from labels.csv, as for Head CT
    kaggle: str = ""
    printed_split: tuple[int, int] | None = None  # (normal, anomalous) test images in the report

    @property
    def embedded(self) -> bool:
        """Whether the images come with the package or are drawn by it."""
        return bool(self.banner)

    @property
    def drawn(self) -> bool:
        """Whether the package draws the images."""
        return self.embedded and self.family != ONE_CLASS

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names that a folder must contain to be read as this medical data set."""
        return tuple(part.name for part in self.parts) or ("head_ct", "labels.csv")


NO_NUMBER = "No number below can be compared with the papers."
MVTEC_PAGE = "https://www.mvtec.com/company/research/datasets/mvtec-ad"
# The link on MVTec's page changes from time to time; this one is from 2026 (see anomalib's pull
# request 3673). The archive has stayed the same: its SHA-256 is the one in DOWNLOAD_INFO of
# anomalib, src/anomalib/data/datamodules/image/mvtecad.py.
MVTEC_SOURCE = Source(
    page=MVTEC_PAGE,
    url=(
        "https://www.mydrive.ch/shares/150996/b52ecdcbf521176e9db9c731f2304b27/"
        "download/420938113-1629960298/mvtec_anomaly_detection.tar.xz"
    ),
    sha256="cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
    size=5_264_982_680,
    unpacked=5_400_000_000,  # our estimate: an archive hardly compresses PNG files
    licence="CC BY-NC-SA 4.0, for non-commercial use",
    licence_url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
)
PUT_IT = "with DATA given as data_root or in RDREPRO_DATA"
TABLES_OF_MVTEC = tuple(("rd4ad", n) for n in "123567") + tuple(("rkd_medical", n) for n in "124")
OCT_ANOMALIES = ("CNV", "DME", "DRUSEN")


def _medical(name: str, title: str, kaggle: str, **more: object) -> DataSet:
    how = (
        f"get it from https://www.kaggle.com/datasets/{kaggle} and unpack it as DATA/{name}, "
        f"{PUT_IT} (with kagglehub installed, it is downloaded)"
    )
    usual = {"splits": ("kfold", "report"), "tables": (("rkd_medical", "3"),)}
    folders = (name, kaggle.rpartition("/")[-1])
    settings = {"how_to_get": how, "folders": folders, "kaggle": kaggle, **usual, **more}
    return DataSet(name, title, MEDICAL, (NORMAL,), **settings)


def _one_class(name: str, title: str, classes: tuple[str, ...], **more: object) -> DataSet:
    usual = {"splits": ("official", "validation"), "tables": (("rd4ad", "4"),)}
    return DataSet(name, title, ONE_CLASS, classes, **{**usual, **more})


ENTRIES = (
    DataSet(
        "mvtec",
        "MVTec AD",
        MVTEC,
        (*TEXTURES, *OBJECTS),  # in the order of Tables 1 and 2
        folders=("mvtec", "mvtec_anomaly_detection"),  # ours, and the archive's own
        how_to_get=(
            f"get MVTec AD from {MVTEC_PAGE} and unpack it as DATA/mvtec/<category>, {PUT_IT}, or "
            "run python -m rdrepro.data.fetch mvtec"
        ),
        source=MVTEC_SOURCE,
        tables=TABLES_OF_MVTEC,
    ),
    DataSet(
        "synthetic",
        "synthetic",
        MVTEC,
        (*TEXTURES, *OBJECTS),
        banner=(
            f"EMBEDDED DATA: these images are drawn by rdrepro and are not MVTec AD. {NO_NUMBER}"
        ),
    ),
    _one_class(
        "mnist", "MNIST", NUMERALS, folders=("MNIST",), normalised=False, test_images=10_000
    ),
    _one_class(
        "fashion_mnist",
        "Fashion-MNIST",
        (
            *("t-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle_boot"),
        ),
        folders=("FashionMNIST",),
        normalised=False,
        test_images=10_000,
    ),
    _one_class(
        "cifar10",
        "CIFAR-10",
        (
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        folders=("cifar-10-batches-py",),
        test_images=10_000,
    ),
    _one_class(
        "caltech256",
        "Caltech-256",
        tuple(f"draw_{n}" for n in NUMERALS),  # of random categories; our choice (O14)
        folders=("caltech256",),
        splits=("official",),
        inlier_categories=(1, 3, 5),
    ),
    _one_class(
        "digits",
        "digits",
        NUMERALS,
        tables=(),
        banner=(
            f"BUNDLED DATA: these are scikit-learn's digits of 8x8 pixels, not MNIST. {NO_NUMBER}"
        ),
    ),
    _medical(
        "head_ct",
        "Head CT",
        "felipekitamura/head-ct-hemorrhage",
        # Neighbouring files often show one head, two or three in a row; kfold would separate them.
        splits=("blocks", "kfold", "report"),
        printed_split=(10, 100),
    ),
    _medical(
        "brain_mri",
        "Brain MRI",
        "navoneel/brain-mri-images-for-brain-tumor-detection",
        parts=(Folder("no", NORMAL, 0), Folder("yes", "tumour", 1)),
        printed_split=(10, 155),
    ),
    _medical(
        "retinal_oct",
        "Retinal OCT",
        "paultimothymooney/kermany2018",
        splits=("report", "official"),  # half of the training images, or all
        parts=(
            Folder("train/NORMAL", NORMAL, 0, "train"),
            Folder("test/NORMAL", NORMAL, 0, "test"),
            *(Folder(f"test/{kind}", kind, 1, "test") for kind in OCT_ANOMALIES),
        ),
    ),
    DataSet(
        "scans",
        "scans",
        MEDICAL,
        (NORMAL,),
        folders=("scans",),
        how_to_get="synthetic.scans.write_scans draws it there",
        splits=("kfold", "report"),
        banner=(
            f"EMBEDDED DATA: these scans are drawn by rdrepro and show no patient. {NO_NUMBER}"
        ),
    ),
)
DATASETS = {entry.name: entry for entry in ENTRIES}
MVTEC_CATEGORIES = DATASETS["mvtec"].categories


def of_family(family: str) -> tuple[str, ...]:
    """The names of a family's data sets, in the order of this file."""
    return tuple(entry.name for entry in DATASETS.values() if entry.family == family)


def title_of(dataset: str) -> str:
    """A data set's title, as tables write it. Any other text is returned as it is."""
    return DATASETS[dataset].title if dataset in DATASETS else dataset


def check_dataset(dataset: str, family: str | None = None) -> None:
    """Raise ValueError, with the nearest name, for an unknown data set or one of another family."""
    known = of_family(family) if family else tuple(DATASETS)
    if dataset not in known:
        raise ValueError(f"dataset={dataset!r} is not {one_of(known)}.{nearest(dataset, known)}")


def check_category(category: str, dataset: str = "mvtec") -> None:
    """Raise ValueError, with the nearest name, for a category that an MVTec-like set lacks."""
    entry = DATASETS[dataset]
    known = entry.categories
    if category not in known:
        whose = "MVTec AD" if known == MVTEC_CATEGORIES else entry.title
        raise ValueError(
            f"category={category!r} is not one of the {len(known)} categories of {whose}."
            f"{nearest(category, known)}"
        )


def check_class(dataset: str, normal_class: int | None) -> None:
    """Raise ValueError for a data set that has no classes, or for a class that it lacks."""
    check_dataset(dataset, ONE_CLASS)
    classes = DATASETS[dataset].categories
    if normal_class not in range(len(classes)):
        named = ", ".join(f"{i} {name}" for i, name in enumerate(classes))
        known = f"0 to {len(classes) - 1}" if classes == NUMERALS else named
        raise ValueError(f"normal_class={normal_class!r} is not a class of {dataset}: {known}")


def check_split(dataset: str, split: str, fold: int | None) -> None:
    """Raise ValueError for a medical data set, split or fold that does not exist."""
    check_dataset(dataset, MEDICAL)
    legal = DATASETS[dataset].splits
    if split not in legal:
        raise ValueError(f"split={split!r} is not one of {dataset}'s: {one_of(legal)}")
    if split == "official":
        if fold is not None:
            raise ValueError(f"fold={fold} has no meaning with split='official'; leave it out")
    elif fold is None or fold < 0 or (split in FOLDED and fold >= FOLDS):
        last = f"0 to {FOLDS - 1}" if split in FOLDED else "0 or more, the number of a draw"
        raise ValueError(f"fold={fold} must be {last}, with split={split!r}")


def check_choice(
    dataset: str,
    category: str,
    normal_class: int | None,
    inlier_categories: int,
    split: str,
    fold: int | None,
) -> None:
    """Raise ValueError, in one sentence, for a choice that a data set does not offer."""
    entry = DATASETS[dataset]
    foreign = {
        "normal_class": normal_class is not None and entry.family != ONE_CLASS,
        "split": split != "official" and len(entry.splits) == 1,
        "fold": fold is not None and entry.family != MEDICAL,
        "inlier_categories": inlier_categories != 1 and len(entry.inlier_categories) == 1,
    }
    for name, given in foreign.items():
        if given:
            raise ValueError(f"{name} has no meaning with dataset={dataset!r}")
    if entry.family == MEDICAL:
        check_split(dataset, split, fold)
        if category != NORMAL:
            raise ValueError(f"category={category!r} must be {NORMAL!r} in a medical data set")
        return
    if split not in entry.splits:
        raise ValueError(f"split={split!r} is not {one_of(entry.splits)} of {dataset}")
    if entry.family == MVTEC:
        check_category(category, dataset)
    else:
        check_class(dataset, normal_class)
        named = entry.categories[normal_class]
        if category != named:
            raise ValueError(f"category={category!r} is not {named!r}, that of normal_class")
