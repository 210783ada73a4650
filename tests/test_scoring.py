"""Anomaly maps and image scores (Eq. 3, Sec. 3.3)."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from rdrepro.losses import kd_loss, mkd_loss
from rdrepro.scoring import anomaly_map, gaussian_smooth, image_score, loss_score


def one_hot_cell(size, row, column):
    """Features that agree everywhere but in one cell, where they are opposite."""
    f_e = torch.ones(1, 3, size, size)
    f_d = f_e.clone()
    f_d[0, :, row, column] = -1
    return f_e, f_d


@pytest.mark.parametrize("sigma", [0.8, 4, 11])
@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 20, 33)])
def test_gaussian_equals_scipy(sigma, shape):
    maps = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    expected = np.stack([gaussian_filter(m, sigma) for m in maps.double().numpy()])
    np.testing.assert_allclose(gaussian_smooth(maps, sigma).numpy(), expected, atol=1e-5)


def test_map_peaks_at_the_anomalous_cell():
    f_e, f_d = one_hot_cell(8, 2, 5)
    amap = anomaly_map([f_e], [f_d], size=64)[0]
    row, column = divmod(int(amap.argmax()), 64)
    # aligned corners put cell i at i * (64 - 1) / (8 - 1)
    assert abs(row - 2 * 9) <= 1 and abs(column - 5 * 9) <= 1


def test_maps_without_smoothing_by_hand():
    f_e, f_d = one_hot_cell(2, 0, 0)  # distances 2, 0, 0, 0
    amap = anomaly_map([f_e], [f_d], size=3, sigma=0)[0]
    expected = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(amap, expected, atol=1e-5, rtol=0)


def test_layers_add_or_multiply():
    pairs = [one_hot_cell(4, 1, 1), one_hot_cell(8, 2, 2)]
    f_e, f_d = ([p[i] for p in pairs] for i in (0, 1))
    single = [anomaly_map(f_e, f_d, 32, sigma=0, layers=(k,)) for k in (1, 2)]
    both = anomaly_map(f_e, f_d, 32, sigma=0)
    torch.testing.assert_close(both, single[0] + single[1])
    product = anomaly_map(f_e, f_d, 32, sigma=0, combine="product")
    torch.testing.assert_close(product, single[0] * single[1])


def test_batch_and_single_images_give_the_same_maps():
    generator = torch.Generator().manual_seed(3)
    f_e, f_d = (list(torch.randn(2, 4, 5, 8, 8, generator=generator)) for _ in range(2))
    batch = anomaly_map(f_e, f_d, 32)
    singles = [
        anomaly_map([f[i, None] for f in f_e], [f[i, None] for f in f_d], 32) for i in (0, 1)
    ]
    torch.testing.assert_close(batch[:2], torch.cat(singles))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"combine": "mean"}, "combine='mean' is not one of sum, product"),
        ({"layers": (4,)}, "must name some of the layers 1 to 1"),
        ({"layers": ()}, "must name some of the layers 1 to 1"),
        ({"sigma": -1}, "sigma=-1 is negative"),
    ],
)
def test_wrong_arguments_say_what_is_right(change, message):
    f_e, f_d = one_hot_cell(4, 0, 0)
    with pytest.raises(ValueError, match=message):
        anomaly_map([f_e], [f_d], 16, **change)


def test_image_scores_by_hand():
    maps = torch.arange(400.0).reshape(2, 10, 20)
    assert image_score(maps, "max").tolist() == [199, 399]
    assert image_score(maps, "sum").tolist() == [199 * 100, 399 * 200 - 199 * 100]
    assert image_score(maps, "top1pct").tolist() == [198.5, 398.5]  # the two highest of 200
    with pytest.raises(ValueError, match="'mean' is not one of max, sum, top1pct"):
        image_score(maps, "mean")


def test_smoothing_keeps_the_sum():
    generator = torch.Generator().manual_seed(0)
    f_e, f_d = ([torch.rand(3, 4, n, n, generator=generator) for n in (8, 4, 2)] for _ in range(2))
    sums = [image_score(anomaly_map(f_e, f_d, (32, 32), s), "sum") for s in (0, 4)]
    torch.testing.assert_close(*sums, rtol=1e-5, atol=0)


@pytest.mark.parametrize("reduction", ["flatten", "pointwise"])
def test_loss_scores_average_to_the_losses(reduction):
    generator = torch.Generator().manual_seed(4)
    f_e, f_d = ([torch.randn(5, 3, 4, 4, generator=generator)] for _ in range(2))
    kd = loss_score(f_e, f_d, "kd_loss", reduction)
    mkd = loss_score(f_e, f_d, "mkd_loss", reduction, weight=7)
    assert kd.shape == mkd.shape == (5,)
    torch.testing.assert_close(kd.mean(), kd_loss(f_e, f_d, reduction))
    torch.testing.assert_close(mkd.mean(), mkd_loss(f_e, f_d, 7, reduction))
