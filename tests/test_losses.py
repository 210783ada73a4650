"""Eqs. 1-2 and the extension's Eqs. 3-4, by hand and by invariance."""

import pytest
import torch

from rdrepro.losses import (
    cosine_distance,
    kd_loss,
    mkd_loss,
    mkd_loss_coded,
    spare_easy,
    value_loss,
)


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 8, 8), (2, 6, 4, 4), (2, 8, 2, 2)]
    return [[torch.randn(s, generator=generator) for s in shapes] for _ in range(2)]


def test_cosine_distance_by_hand():
    f_e = torch.tensor([[3.0, 1.0, 1.0], [4.0, 0.0, 0.0]])[None, :, None]  # (1, 2, 1, 3)
    f_d = torch.tensor([[3.0, 0.0, -2.0], [4.0, 5.0, 0.0]])[None, :, None]
    assert cosine_distance(f_e, f_d).flatten().tolist() == pytest.approx([0, 1, 2], abs=1e-6)


def test_kd_loss_by_hand():
    # One location restored exactly, one orthogonal to the truth and three times as large.
    f_e = [torch.tensor([[1.0, 3.0], [0.0, 0.0]])[None, :, None]]
    f_d = [torch.tensor([[1.0, 0.0], [0.0, 3.0]])[None, :, None]]
    assert kd_loss(f_e, f_d, "pointwise").item() == pytest.approx(0.5)
    assert kd_loss(f_e, f_d, "flatten").item() == pytest.approx(1 - 1 / 10)


@pytest.mark.parametrize("reduction", ["flatten", "pointwise"])
def test_kd_loss_is_zero_at_the_truth_and_two_per_layer_at_its_opposite(features, reduction):
    f_e, _ = features
    assert kd_loss(f_e, f_e, reduction).item() == pytest.approx(0, abs=1e-5)
    assert kd_loss(f_e, [-f for f in f_e], reduction).item() == pytest.approx(6, abs=1e-5)


def test_only_the_flattened_loss_depends_on_relative_norms_between_locations(features):
    f_e, _ = features
    scaled = [f * torch.linspace(1, 5, f.shape[-1]) for f in f_e]
    assert kd_loss(f_e, scaled, "pointwise").item() == pytest.approx(0, abs=1e-5)
    assert kd_loss(f_e, scaled, "flatten").item() > 0.1


def test_reductions_agree_on_maps_of_one_location():
    f_e, f_d = torch.randn(2, 3, 5, 1, 1, generator=torch.Generator().manual_seed(1))
    assert kd_loss([f_e], [f_d], "flatten").item() == pytest.approx(
        kd_loss([f_e], [f_d], "pointwise").item()
    )


def test_value_and_mkd_loss_by_hand():
    f_e = [torch.tensor([[1.0, 0.0], [0.0, 2.0]])[None, :, None]]
    f_d = [torch.tensor([[0.0, 0.0], [1.0, 4.0]])[None, :, None]]
    # squared distances 2 and 4, mean 3; cosine distances 1 and 0, mean 0.5
    assert value_loss(f_e, f_d).item() == pytest.approx(3)
    assert mkd_loss(f_e, f_d, weight=10).item() == pytest.approx(3 + 5)  # per location


def test_the_coded_mkd_loss_by_hand():
    f_e = [torch.tensor([[1.0, 0.0], [0.0, 2.0]])[None, :, None]]
    f_d = [torch.tensor([[0.0, 0.0], [1.0, 4.0]])[None, :, None]]
    # the norm of all differences is sqrt(2 + 4); the cosine distances' mean is 0.5
    expected = 1e-3 * (6**0.5 + 10 * 0.5)
    assert mkd_loss_coded(f_e, f_d, weight=10).item() == pytest.approx(expected)
    twice = [torch.cat([f, f]) for f in (*f_e, *f_d)]  # the norm grows with the batch
    assert mkd_loss_coded(twice[:1], twice[1:], 10).item() == pytest.approx(
        1e-3 * (12**0.5 + 10 * 0.5)
    )


def test_half_precision_features_are_compared_in_float32(features):
    f_e, f_d = ([f.bfloat16() for f in fs] for fs in features)
    loss = kd_loss(f_e, f_d)
    assert loss.dtype == torch.float32
    exact = kd_loss([f.double() for f in f_e], [f.double() for f in f_d])
    assert loss.item() == pytest.approx(exact.item(), abs=1e-6)


def test_unknown_reduction_names_the_known_ones(features):
    with pytest.raises(ValueError, match="'mean' is not one of flatten, pointwise"):
        kd_loss(*features, reduction="mean")


def with_gradient(distances, share):
    """Which locations, restored with these cosine distances, keep a gradient."""
    cosines = 1 - torch.tensor(distances)  # (H, W)
    f_e = torch.stack([torch.ones_like(cosines), torch.zeros_like(cosines)])[None]
    f_d = torch.stack([cosines, (1 - cosines**2).sqrt()])[None].requires_grad_()
    mined = spare_easy(f_e, f_d, share)
    assert torch.equal(mined, f_d)
    (gradient,) = torch.autograd.grad((mined * torch.tensor([3.0, -2.0])[:, None, None]).sum(), f_d)
    kept = gradient.abs().amax(dim=1)[0] > 0
    expected = torch.tensor([3.0, -2.0])[:, None, None] * kept
    assert torch.equal(gradient[0], expected)
    return kept.tolist()


@pytest.mark.parametrize(
    ("share", "kept"),
    [
        (0.0, [[True, True], [True, True]]),
        (0.25, [[True, True], [False, True]]),
        (0.5, [[True, False], [False, True]]),
        (0.75, [[True, False], [False, False]]),
        (0.99, [[True, False], [False, False]]),  # the worst location always learns
    ],
)
def test_the_best_restored_locations_have_no_gradient(share, kept):
    assert with_gradient([[1.5, 0.2], [0.1, 0.7]], share) == kept


def test_easy_locations_are_chosen_from_the_whole_batch():
    f_e = torch.tensor([1.0, 0.0])[None, :, None, None].expand(2, 2, 1, 2)
    f_d = torch.tensor([[[0.9, 0.8], [0.1, 0.2]], [[0.1, 0.2], [0.9, 0.8]]])[:, :, None]
    f_d.requires_grad_()  # the first image is restored better than the second
    kd_loss([f_e], [spare_easy(f_e, f_d, 0.5)], "pointwise").backward()
    assert not f_d.grad[0].any() and f_d.grad[1].all()


def test_locations_that_are_restored_equally_well_keep_their_gradient():
    assert with_gradient([[0.5, 0.5], [0.5, 0.5]], 0.75) == [[True, True], [True, True]]
