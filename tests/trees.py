"""Made-up medical data sets on disk, in the layouts of their downloads.

Each draws its own random pictures from a seed, so that no test depends on the order of tests.
"""

from pathlib import Path

import numpy as np
from PIL import Image

SEED = 7


def picture(rng: np.random.Generator, size: int = 48) -> Image.Image:
    """A random picture of few, large patches: no two are alike, at any size."""
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((size, size), Image.Resampling.NEAREST)


def brain_tree(root: Path, normal: int = 12, anomalous: int = 6) -> Path:
    """A made-up Brain MRI with two normal files more, one identical to another and one similar."""
    rng = np.random.default_rng(SEED)
    for folder, count in (("no", normal), ("yes", anomalous)):
        (root / "brain_mri" / folder).mkdir(parents=True)
        for i in range(count):
            name = f"{i} no.jpg" if folder == "no" else f"Y{i}.JPG"
            image = picture(rng).convert("L" if i % 3 else "RGB")
            image.save(root / "brain_mri" / folder / name)
    no = root / "brain_mri" / "no"
    (no / "copy no.jpg").write_bytes((no / "0 no.jpg").read_bytes())
    Image.open(no / "1 no.jpg").resize((96, 96), Image.Resampling.BILINEAR).save(no / "big.png")
    (no / "Thumbs.db").write_bytes(b"no picture")
    return root


def head_tree(root: Path, count: int = 20) -> Path:
    """A made-up Head CT whose first half has a hemorrhage."""
    rng = np.random.default_rng(SEED)
    folder = root / "head_ct" / "head_ct"
    folder.mkdir(parents=True)
    for i in range(count):
        picture(rng).save(folder / f"{i:03d}.png")
    lines = [f"{i},{int(i < count // 2)}" for i in range(count)]
    (folder.parent / "labels.csv").write_text("\n".join(["id, hemorrhage", *lines]) + "\n")
    return root


def oct_tree(root: Path, train: int = 9) -> Path:
    """A made-up Retinal OCT in its archive's own folder, two test images of each kind."""
    rng = np.random.default_rng(SEED)
    for part, kind, count in (
        ("train", "NORMAL", train),
        ("train", "CNV", 3),
        *(("test", kind, 2) for kind in ("NORMAL", "CNV", "DME", "DRUSEN")),
    ):
        folder = root / "retinal_oct" / "OCT2017 " / part / kind
        folder.mkdir(parents=True)
        for i in range(count):
            picture(rng).convert("L").save(folder / f"{kind}-{i}.jpeg")
    return root
