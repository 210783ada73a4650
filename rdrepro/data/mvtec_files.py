"""Which files a category laid out like MVTec AD consists of. Loads no torch."""

from collections.abc import Sequence
from pathlib import Path

from rdrepro import registry
from rdrepro.data.images import is_image, shown


def find_mvtec(data_root: Path, dataset: str = "mvtec") -> Path:
    """The folder that holds the categories of a data set.

    Raises FileNotFoundError if there is none. The message says how to get the data.
    """
    entry = registry.DATASETS[dataset]
    for folder in (*(data_root / name for name in entry.folders), data_root):
        if any((folder / category).is_dir() for category in entry.categories):
            return folder
    state = f"holds no {entry.title}" if data_root.is_dir() else "does not exist"
    if data_root.is_file():
        state = "is a file; name the folder that holds the data set"
    raise FileNotFoundError(f"the data folder {shown(data_root)} {state}; {entry.how_to_get}")


def category_folder(root: Path, category: str, entry: registry.DataSet) -> Path:
    """The folder of a category. FileNotFoundError, with how to get it, if there is none."""
    folder = root / category
    if not folder.is_dir():
        found = sorted(p.name for p in root.glob("*") if p.name in entry.categories)
        raise FileNotFoundError(
            f"no category {category!r} in {shown(root)} "
            f"(found: {', '.join(found) or 'none'}); {entry.how_to_get}"
        )
    return folder


def side_of(folder: Path, layout: registry.Layout, split: str) -> Path:
    """The folder of a split, "train" or "test", below a category's."""
    return folder / (layout.train if split == "train" else layout.test)


def images_of(folder: Path, layout: registry.Layout, split: str) -> list[Path]:
    """A category's images of a split, sorted by folder and name. Hidden folders do not count."""
    found = sorted(
        path
        for path in side_of(folder, layout, split).glob("*/*")
        if is_image(path) and not path.parent.name.startswith(".")
    )
    return [p for p in found if is_good(p, layout)] if split == "train" else found


def is_good(path: Path, layout: registry.Layout) -> bool:
    """Whether an image lies in the folder of normal ones."""
    return path.parent.name == layout.good


def lacking(paths: Sequence[Path], side: Path, layout: registry.Layout, split: str) -> str:
    """A sentence that says what the images of a split lack; empty if they can be used.

    side: the folder of the split, as the sentence will name it.
    """
    kinds = {path.parent.name for path in paths}
    if split == "train":
        return "" if paths else f"{shown(side / layout.good)} has no images to train on"
    if layout.good in kinds and len(kinds) > 1:
        return ""
    normal = f"no normal images ({layout.test}/{layout.good})"
    what = "no defects" if layout.good in kinds else normal
    return f"{shown(side)} has {what}; AUROC and PRO need both kinds of images"


def mask_path(folder: Path, layout: registry.Layout, path: Path) -> Path:
    """The path of a defective image's mask, whether or not it is there.

    A mask whose name differs in upper and lower case only, such as 000_mask.PNG, is found as well.
    """
    name = layout.mask_name.format(stem=path.stem)
    mask = folder / layout.masks / path.parent.name / name
    if mask.is_file():
        return mask
    alike = (p for p in mask.parent.glob("*") if p.name.lower() == name.lower() and p.is_file())
    return min(alike, default=mask)


def missing_mask(path: Path, mask: Path, root: Path) -> str:
    """The sentence about a defective image without a mask."""
    image, wanted = (shown(p.relative_to(root)) for p in (path, mask))
    return f"{image} has no mask: {wanted} is missing"
