"""Images that are decoded once, so that later changes of files do not affect training."""

from typing import TYPE_CHECKING

from torch import Tensor
from torch.utils.data import Dataset

from rdrepro.data.reading import stack_images

if TYPE_CHECKING:
    from rdrepro.data.splits import ImageData


class Decoded(Dataset):
    """The images of a data set as bytes in memory; items are dicts with `image` (3, H, W).

    expected: the data set's fingerprint when the run began. Raises ValueError if it has changed
    once the files are decoded: which images were read is then unknown.
    """

    def __init__(self, data: "ImageData", expected: str):
        self.images = stack_images(data)  # (N, 3, H, W) bytes
        self._fingerprint = data.fingerprint()
        if self._fingerprint != expected:
            raise ValueError(
                "image files were changed or replaced while they were read; leave the data folder "
                "alone and run again"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index].float() / 255}

    def fingerprint(self) -> str:
        """The fingerprint of the data set that was decoded."""
        return self._fingerprint


def decoded_images(data: "ImageData | Decoded") -> Tensor:
    """All images of a data set as bytes (N, 3, H, W)."""
    return data.images if isinstance(data, Decoded) else stack_images(data)
