"""Parts of a data set, and training images held out for validation (extension, Sec. 4.3)."""

import hashlib
from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from rdrepro.data.medical import MedicalImages
from rdrepro.data.mvtec import MVTecAD


class Part(Dataset):
    """Some images of a data set, all of one kind."""

    def __init__(self, data: MVTecAD | MedicalImages, indices: Sequence[int], kind: str):
        self.data, self.indices, self.kind = data, [int(i) for i in indices], kind

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict:
        return self.data[self.indices[index]]

    def fingerprint(self) -> str:
        """The SHA-256 of the whole set's fingerprint and of the chosen indices."""
        return hashlib.sha256(f"{self.data.fingerprint()} {self.indices}".encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """How many images there are, by kind; there is only one kind."""
        return {self.kind: len(self)}


def hold_out(data: MVTecAD | MedicalImages, fraction: float, seed: int) -> tuple[Part, Part]:
    """Split a training set into a part to train on and a held-out part to validate on.

    fraction: the share of the images that is held out. Sure duplicates stay together, so the
    held-out part may be a little smaller. Likely duplicates of held-out images are in neither part.
    Raises ValueError where a part would be empty.
    """
    groups = np.array(getattr(data, "sure_groups", range(len(data))))
    likely = np.array(getattr(data, "groups", range(len(data))))
    wanted, held, taken = round(fraction * len(data)), [], 0
    names, sizes = np.unique(groups, return_counts=True)
    for number in np.random.default_rng(seed).permutation(len(names)):
        if taken + sizes[number] <= wanted:
            held.append(names[number])
            taken += sizes[number]
    out, kind = np.isin(groups, held), next(iter(data.counts()))
    kept = ~out & ~np.isin(likely, likely[out])
    if not (out.any() and kept.any()):
        raise ValueError(
            f"validation_fraction={fraction} of {len(data)} training images holds out {taken} and "
            f"leaves {kept.sum()}; both parts need images"
        )
    return Part(data, np.flatnonzero(kept), kind), Part(data, np.flatnonzero(out), kind)


def normals_of(data: MedicalImages) -> Part:
    """The normal images of a test set, on which the extension's code validates (E9)."""
    normal = np.flatnonzero(np.array(data.labels()) == 0)
    return Part(data, normal, next(data[int(i)]["defect"] for i in normal))
