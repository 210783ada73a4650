"""The figure of the images with the lowest and the highest scores."""

from types import SimpleNamespace

import numpy as np
import pytest

import rdrepro as rd


def test_the_lowest_and_the_highest_scores_of_each_label_are_shown(digits_outcome):
    _, axes = rd.new_figure(4, 3, size=(1, 1))
    rd.plot_extremes(axes, digits_outcome.run.dataset("test"), digits_outcome.predictions)
    p, shown = digits_outcome.predictions, [float(ax.texts[0].get_text()) for ax in axes[:, 0]]
    normal, novel = (p.scores[p.gt_labels == label] for label in (0, 1))
    expected = [normal.min(), normal.max(), novel.min(), novel.max()]
    assert shown == pytest.approx(expected, rel=1e-2)
    assert all(ax.images for ax in axes.flat)


@pytest.mark.parametrize(("normals", "shown"), [(7, 3 + 3), (5, 3 + 2), (1, 1 + 0)])
def test_of_few_images_none_is_shown_twice(digits_outcome, normals, shown):
    p, data = digits_outcome.predictions, digits_outcome.run.dataset("test")
    normal, novel = (np.flatnonzero(p.gt_labels == label) for label in (0, 1))
    kept = np.concatenate([normal[:normals], novel[:9]])
    few = SimpleNamespace(scores=p.scores[kept], maps=p.maps[kept], gt_labels=p.gt_labels[kept])
    _, axes = rd.new_figure(4, 3, size=(1, 1))
    rd.plot_extremes(axes, [data[index] for index in kept], few)
    texts = [ax.texts[0].get_text() for ax in axes[:2].flat if ax.texts]
    assert sorted(texts) == sorted(
        f"{float(f'{score:.3g}'):g}" for score in ranked_ends(few, shown)
    )


def ranked_ends(few, shown):
    """Scores of the lowest and the highest normal images, each once."""
    ranked = np.sort(few.scores[few.gt_labels == 0])
    highest = shown // 2
    return [*ranked[: shown - highest], *ranked[len(ranked) - highest :]]
