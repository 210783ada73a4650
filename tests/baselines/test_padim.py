"""PaDiM: its paper's formulas written out."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from rdrepro.baselines import padim
from rdrepro.baselines.padim import REGULARISER


def test_padim_is_the_mahalanobis_distance_of_each_location(filled, concatenated, images):
    detector = filled("padim", sigma=0)
    starts = np.cumsum([0, *detector.teacher.channels])
    channels = np.concatenate([i + s for i, s in zip(detector.chosen, starts, strict=False)])
    train, test = (
        concatenated(detector.features(part))[:, :, channels].double().numpy()
        for part in (images[:8], images[8:])
    )
    distances, _ = detector.search(detector.features(images[8:]))
    assert distances.shape == (2, 16, 16)
    for place in (0, 17, 255):
        covariance = np.cov(train[:, place], rowvar=False) + REGULARISER * np.eye(len(channels))
        mean, inverse = train[:, place].mean(axis=0), np.linalg.inv(covariance)
        for image in range(2):
            expected = mahalanobis(test[image, place], mean, inverse)
            assert distances[image].flatten()[place].item() == pytest.approx(expected, rel=1e-3)


def test_padim_draws_its_channels_by_the_seed(build):
    def chosen(seed):
        detector = build("padim", seed=seed)
        starts = np.cumsum([0, *detector.teacher.channels])
        return [i + s for c, s in zip(detector.chosen, starts, strict=False) for i in c.tolist()]

    assert chosen(1) == chosen(1) != chosen(2)
    assert len(set(chosen(1))) == 20
    with pytest.raises(ValueError, match="padim_channels=449 is more than the 448 channels"):
        build("padim", padim_channels=449)


def test_the_size_of_blocks_does_not_change_padims_memory_bank(filled, images, monkeypatch):
    maps = []
    for size in (2**28, 4 * 20**2 * 7):
        monkeypatch.setattr(padim, "BLOCK_BYTES", size)
        maps.append(filled("padim").anomaly_map(images[8:]))
    torch.testing.assert_close(*maps)


def test_padim_refuses_a_single_training_image(build, images):
    with pytest.raises(ValueError, match="needs two training images or more, not 1"):
        build("padim").remember([images[:1]])
