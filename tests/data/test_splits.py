"""Which reader opens a run's images, and with which settings."""

import numpy as np
import torch

import rdrepro as rd
from rdrepro.data.splits import open_split, open_validation, open_whole


def test_data_settings_reach_the_data(small_mvtec):
    run = rd.resolve(
        preset="quick",
        data_root=str(small_mvtec),
        category="bottle",
        weights="random",
        image_size=128,
        overrides="mask_threshold=0.25 label_source=mask",
    )
    data = run.dataset("test")
    settings = (data.category, data.image_size, data.mask_threshold, data.label_source)
    assert settings == ("bottle", 128, 0.25, "mask")


def config(**changes):
    return rd.RunConfig(weights="random", image_size=64, **changes)


def test_test_images_alone_are_rotated(small_mvtec):
    root, rotated = small_mvtec / "mvtec", config(rotation=90)
    for split in ("train", "test"):
        whole, seen = (f(rotated, root, split)[0] for f in (open_whole, open_split))
        turns = 1 if split == "test" else 0
        expected = torch.from_numpy(np.rot90(whole["image"].numpy(), turns, (1, 2)).copy())
        torch.testing.assert_close(seen["image"], expected, atol=1 / 255, rtol=0)


def test_images_to_validate_on_do_not_train(small_mvtec):
    root = small_mvtec / "mvtec"
    stopped = config(early_stopping="train", patience=3, validation_fraction=0.5)
    train, held = open_split(stopped, root, "train"), open_validation(stopped, root)
    paths = [{item["path"] for item in data} for data in (train, held)]
    assert paths[0] | paths[1] == {item["path"] for item in open_whole(stopped, root, "train")}
    assert len(paths[0]) == len(paths[1]) == 3 and not paths[0] & paths[1]
    assert open_validation(config(), root) is None
