"""The items of a data set, decoded by several threads at once: Pillow releases Python's lock."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rdrepro.progress import progress

if TYPE_CHECKING:
    from rdrepro.data.splits import ImageData

# Each may start threads of its own in torch, so more of them would get in each other's way.
MOST_THREADS = 8
DECODED_AT_ONCE = 64  # images, at four bytes a value, until they become bytes


def batches(data: "ImageData", size: int) -> Iterator[list[dict[str, Any]]]:
    """The items of a data set in their order, in lists of `size`; the last one may be shorter.

    A list is decoded as a whole before it is handed out, so that nothing is decoded while the
    caller measures time. There are as many threads as torch may use, at most MOST_THREADS.
    """
    with ThreadPoolExecutor(min(MOST_THREADS, torch.get_num_threads())) as pool:
        for numbers in torch.arange(len(data)).split(size):
            yield list(pool.map(data.__getitem__, numbers.tolist()))


def stack_images(data: "ImageData") -> Tensor:
    """All images of a data set, decoded, as bytes (N, 3, H, W)."""
    stacked = []
    with progress(None, "decoding", total=len(data), leave=False, unit=" images") as bar:
        for items in batches(data, DECODED_AT_ONCE):
            images = torch.stack([item["image"] for item in items])  # (B, 3, H, W) in [0, 1]
            stacked.append((images * 255).round().to(torch.uint8))
            bar.update(len(items))
    return torch.cat(stacked)
