"""SPADE: its paper's formulas written out, and the order of its gallery's locations."""

import pytest
import torch
import torch.nn.functional as F

from rdrepro.baselines.spade import nested, unnested


@pytest.mark.parametrize("pooled_layer", [3, 4])
def test_spade_is_the_distance_to_the_nearest_images_and_locations(
    filled, concatenated, images, pooled_layer
):
    spade = filled("spade", pooled_layer=pooled_layer)
    distances, scores = spade.search(spade.features(images[8:]))
    train, test = (spade.features(part)[0] for part in (images[:8], images[8:]))
    deepest = [spade.fourth_stage(f) if pooled_layer == 4 else f[-1] for f in (train, test)]
    pooled, wanted = (f.mean(dim=(2, 3)) for f in deepest)
    for image in range(2):
        squared = (pooled - wanted[image]).square().sum(dim=1)
        nearest = squared.argsort()[:3]
        assert scores[image].item() == pytest.approx(squared[nearest].mean().item(), rel=1e-3)
        gallery = concatenated([f[nearest] for f in train]).flatten(0, 1)
        query = concatenated([f[image : image + 1] for f in test])[0]
        expected = torch.cdist(query, gallery).square().amin(dim=1).unflatten(0, (16, 16))
        torch.testing.assert_close(distances[image], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 5), (14, 14), (1, 1)])
def test_nested_locations_come_back_where_they_were(shape):
    h, w = (4 * n for n in shape)
    values = torch.arange(float(h * w)).view(1, 1, h, w)
    maps = [F.max_pool2d(values, 2**k) for k in range(3)]
    for quarters_first in (False, True):
        rows = nested(maps, quarters_first)
        assert [sorted(r.flatten().tolist()) for r in rows] == [
            sorted(m.flatten().tolist()) for m in maps
        ]
    finest, middle, deepest = (r[0, :, 0] for r in nested(maps))
    assert torch.equal(unnested(finest[None], shape), values[0])
    assert torch.equal(finest.view(-1, 4).amax(dim=1), middle)
    assert torch.equal(middle.view(-1, 4).amax(dim=1), deepest)


def test_a_training_image_has_no_distance_and_the_lowest_scores(filled, images):
    maps, scores = filled("spade", neighbours=1)(images)
    assert maps[:8].max() < 1e-3 * maps[8:].min()
    assert scores[:8].max() < 1e-3 * scores[8:].min()


def test_spade_refuses_more_neighbours_than_images(filled):
    with pytest.raises(ValueError, match="neighbours=9 is more than the 8 training images"):
        filled("spade", neighbours=9)


def test_the_fourth_stage_belongs_to_the_encoders_time(filled, images):
    spade = filled("spade")
    seen = spade.features(images[8:])
    spade.fourth_stage = None  # the search needs it no more
    assert spade.search(seen)[1].shape == (2,)
