"""Made-up files of data sets, in the formats of the real ones."""

import numpy as np

RAW = {"train": "train", "test": "t10k"}  # how MNIST's files call the two splits


def idx(array):
    """An array in the format of MNIST's files."""
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return head + array.astype(np.uint8).tobytes()


def mnist_arrays(rng):
    """Made-up pictures and classes, two of each class to train on and one to test."""
    return {
        "train": (rng.integers(0, 256, (20, 28, 28)), np.arange(20) % 10),
        "test": (rng.integers(0, 256, (10, 28, 28)), np.arange(10)[::-1]),
    }


def write_mnist(root, arrays, folder="MNIST"):
    """Write such arrays as MNIST's files; return their folder."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for split, (pictures, classes) in arrays.items():
        (raw / f"{RAW[split]}-images-idx3-ubyte").write_bytes(idx(pictures))
        (raw / f"{RAW[split]}-labels-idx1-ubyte").write_bytes(idx(classes))
    return raw
