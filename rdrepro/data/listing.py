"""The files that a run reads. torch is loaded only for medical and one-class data."""

from dataclasses import dataclass, field
from pathlib import Path

from rdrepro import registry
from rdrepro.config import RunConfig
from rdrepro.data.images import looks_like_image, shown
from rdrepro.data.mvtec_files import (
    category_folder,
    images_of,
    is_good,
    lacking,
    mask_path,
    missing_mask,
    side_of,
)

LEAST_TRAINED = 2  # images: a single one has no spread


@dataclass(frozen=True)
class Listing:
    """The files of a run's data, and sentences about those that are missing.

    train, test: image files on each side. Where the run itself divides the images, all are in
    `test`. masks: the mask of each defective image that has one. other: further files that are
    read. root: the folder that names are relative to.
    """

    root: Path
    train: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()
    masks: dict[Path, Path] = field(default_factory=dict)
    other: tuple[Path, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """All image files, each once."""
        return tuple(dict.fromkeys((*self.train, *self.test)))

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, each once."""
        return tuple(dict.fromkeys((*self.images, *self.masks.values(), *self.other)))

    def name(self, path: Path) -> str:
        """What a message calls a file: its path below the root."""
        return shown(path.relative_to(self.root))


def list_files(config: RunConfig, root: Path) -> Listing:
    """The files that a configuration's run reads. root: what `find_data` returns.

    Embedded data that are not drawn yet have no files. Neither have data that the run will
    download.
    """
    entry = registry.DATASETS[config.dataset]
    try:
        if entry.family == registry.MVTEC:
            return _category(config, entry, root)
        if entry.family == registry.MEDICAL:
            return _medical(config, entry, root)
        return _one_class(config, entry, root)
    except (FileNotFoundError, ValueError) as error:
        return Listing(root, errors=(" ".join(str(error).split()),))
    except OSError as error:
        reason = f"{shown(error.filename or str(root))} cannot be read ({error.strerror})"
        return Listing(root, errors=(f"{reason}; allow it, or name another data_root",))


def _category(config: RunConfig, entry: registry.DataSet, root: Path) -> Listing:
    if entry.drawn and not (root / config.category).is_dir():
        return Listing(root)
    folder, layout = category_folder(root, config.category, entry), entry.layout
    train = images_of(folder, layout, "train")
    sides = {"train": train}
    if config.split != "pasted":  # its test images are training images
        sides["test"] = images_of(folder, layout, "test")
    test = sides.get("test", [])
    masks = {p: mask_path(folder, layout, p) for p in test if not is_good(p, layout)}
    errors = []
    for split, paths in sides.items():
        side = side_of(folder, layout, split)
        errors.append(lacking(paths, side.relative_to(root), layout, split))
        errors += _leading_nowhere(side, root)
    if 0 < len(train) < LEAST_TRAINED:
        side = shown(train[0].parent.relative_to(root))
        errors.append(f"{side} has one image; training needs {LEAST_TRAINED} or more")
    errors += [missing_mask(p, mask, root) for p, mask in masks.items() if not mask.is_file()]
    there = {p: mask for p, mask in masks.items() if mask.is_file()}
    return Listing(root, tuple(train), tuple(test), there, (), tuple(filter(None, errors)))


def _leading_nowhere(side: Path, root: Path) -> list[str]:
    """A sentence for each link below a split's folder that has an image's name but no file."""
    return [
        f"{shown(path.relative_to(root))} is a link that leads to no file; copy the image there"
        for path in sorted(side.glob("*/*"))
        if looks_like_image(path) and path.is_symlink() and not path.exists()
    ]


def _medical(config: RunConfig, entry: registry.DataSet, root: Path) -> Listing:
    from rdrepro.data.medical import REPORT_NORMALS, locate, read_pictures  # loads torch

    folder = locate(root, config.dataset)
    if folder is None:
        if entry.embedded:
            return Listing(root)
        raise FileNotFoundError(f"{config.dataset} is not in {shown(root)}; {entry.how_to_get}")
    pictures = read_pictures(folder, config.dataset)
    normal = sum(p.label == 0 and p.side != "test" for p in pictures)
    trained = normal
    if config.split in registry.FOLDED:
        trained -= -(-normal // registry.FOLDS)
    elif config.split == "report":
        published = any(part.side for part in entry.parts)
        trained = normal // 2 if published else normal - REPORT_NORMALS
    errors = []
    if trained < LEAST_TRAINED:
        errors.append(
            f"{config.dataset} has {normal} normal images, too few for split={config.split!r} to "
            f"leave {LEAST_TRAINED} to train on"
        )
    if not any(p.label for p in pictures):
        errors.append(f"{config.dataset} has no anomalous images to test; {entry.how_to_get}")
    other = () if entry.parts else (folder / "labels.csv",)
    # The split keeps duplicates on one side, so all images may be listed as one.
    return Listing(folder, (), tuple(p.path for p in pictures), {}, other, tuple(errors))


def _one_class(config: RunConfig, entry: registry.DataSet, root: Path) -> Listing:
    if entry.embedded or not (root / entry.folders[0]).is_dir():
        return Listing(root)
    folder = root / entry.folders[0]
    if config.dataset == "caltech256":
        from rdrepro.data.one_class import caltech_split  # loads torch

        chosen = config.normal_class, config.inlier_categories
        sides = [
            tuple(caltech_split(root, chosen[0], split, chosen[1])[0])
            for split in ("train", "test")
        ]
        return Listing(root, *sides)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return Listing(root, other=tuple(files))
