"""What PaDiM and SPADE share: the interface of all methods, smoothing, the memory bank."""

import pytest
import torch

from rdrepro.evaluation import score_images
from rdrepro.scoring import gaussian_smooth


@pytest.fixture(scope="module", params=["padim", "spade"])
def detector(request, filled):
    """A detector with a full memory bank, which no test may change."""
    return filled(request.param)


def test_memory_detectors_have_the_interface_of_all_methods(detector, images):
    size = images.shape[-2:]
    maps, scores = detector.anomaly_map(images[8:]), detector.image_score(images[8:])
    assert maps.shape == (2, *size) and scores.shape == (2,)
    assert list(detector.stages(detector.config, size)) == ["teacher", "search", "map"]
    both = score_images(detector, images[8:], detector.config)
    torch.testing.assert_close(both, (maps, scores))
    alone = torch.cat([detector.anomaly_map(image) for image in images[8:].split(1)])
    torch.testing.assert_close(maps, alone, rtol=1e-3, atol=1e-4)


def test_fit_and_remember_fill_the_same_memory_bank(detector, build, images):
    data = [{"image": image} for image in images[:8]]
    fitted, twin = (build(detector.config.method, batch_size=3) for _ in range(2))
    history = fitted.fit(data, fitted.config)
    twin.remember([(255 * images[:8]).round() / 255])
    for own, expected in zip(fitted.bank(), twin.bank(), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-4)
    assert list(history) == ["epoch", "loss", "seconds"] and history.empty
    assert fitted.fit_seconds > 0
    assert fitted.sizes(fitted.config)["bank"] == sum(t.nbytes for t in twin.bank())


def test_maps_are_smoothed_as_those_of_reverse_distillation(filled, images):
    raw, smooth = (filled("padim", sigma=sigma) for sigma in (0, 4))
    maps = smooth.anomaly_map(images[8:])
    torch.testing.assert_close(gaussian_smooth(raw.anomaly_map(images[8:]), 4), maps)
    assert torch.equal(smooth.image_score(images[8:]), maps.flatten(1).amax(dim=1))


@pytest.mark.parametrize("method", ["padim", "spade"])
def test_the_memory_bank_moves_with_the_detector(method, filled):
    assert {t.device.type for t in filled(method).to("meta").bank()} == {"meta"}
