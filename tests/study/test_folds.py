"""Statistics of k-folds: resampled test images, their intervals, the noise of single splits."""

import numpy as np
import pytest
from builders import scores_of
from scipy.stats import t

from rdrepro.metrics import auroc
from rdrepro.study.folds import fold_interval, fold_resamples, split_noise, split_resamples


def auroc_of(normal, anomalous):
    """The share of pairs in which the anomalous image scores higher; there are no ties."""
    return (anomalous[:, None] > normal).mean()


def test_scores_of_folds_are_never_pooled():
    """Folds whose scales have nothing in common: each is perfect, a pool would not be."""
    folds = [scores_of([0, 1], [2, 3]), scores_of([100, 101], [102, 103], 2)]
    assert (fold_resamples(folds) == 1).all()
    low, high = fold_interval(folds)
    assert 0 < low < 1 and high == 1


def test_resampled_folds_agree_with_resampling_by_hand():
    rng = np.random.default_rng(0)
    anomalous = rng.normal(1, 1, 30)
    folds = [scores_of(rng.normal(0, 1, 10), anomalous, 10 * k) for k in range(3)]
    resampled = fold_resamples(folds, 4000)
    by_hand = []
    for _ in range(4000):
        chosen = anomalous[rng.integers(0, 30, 30)]
        aurocs = [auroc_of(rng.choice(f["score"][:10], 10), chosen) for f in folds]
        by_hand.append(np.mean(aurocs))
    assert resampled.mean() == pytest.approx(np.mean(by_hand), abs=0.003)
    assert resampled.std() == pytest.approx(np.std(by_hand), rel=0.06)
    expected = np.mean([auroc(f["score"], f["label"]) for f in folds])
    assert resampled.mean() == pytest.approx(expected, abs=0.003)


def test_duplicates_are_resampled_together():
    """Every image occurs twice: the spread is that of the distinct images."""
    rng = np.random.default_rng(1)
    normal, anomalous = rng.normal(0, 1, 12), rng.normal(1, 1, 15)
    once = scores_of(normal, anomalous)
    twice = scores_of(np.repeat(normal, 2), np.repeat(anomalous, 2))
    groups = [*np.repeat(range(12), 2), *np.repeat(range(100, 115), 2)]
    spread = fold_resamples([once], 5000).std()
    together = fold_resamples([twice | {"group": groups}], 5000)
    assert together.std() == pytest.approx(spread, rel=0.06)
    assert fold_resamples([twice], 5000).std() < 0.8 * spread


def test_an_image_that_several_draws_test_is_resampled_once():
    """Draws of the first and of the last twelve of eighteen normal images, resampled by hand."""
    rng = np.random.default_rng(3)
    normal, anomalous = rng.normal(0, 1, 18), rng.normal(1, 0.1, 50)
    draws = [scores_of(normal[start : start + 12], anomalous, start) for start in (0, 6)]
    by_hand = []
    for _ in range(5000):
        images, chosen = rng.integers(0, 18, 18), anomalous[rng.integers(0, 50, 50)]
        own = images[images < 12], images[images >= 6]
        by_hand.append(np.mean([auroc_of(normal[numbers], chosen) for numbers in own]))
    resampled = fold_resamples(draws, 5000)
    assert resampled.mean() == pytest.approx(np.mean(by_hand), abs=0.004)
    assert resampled.std() == pytest.approx(np.std(by_hand), rel=0.06)
    same = fold_resamples([draws[0], draws[0]], 5000).std()
    assert same == pytest.approx(fold_resamples([draws[0]], 5000).std(), rel=0.06)


def test_duplicates_in_other_draws_keep_their_group():
    """A duplicate is resampled with its picture, whichever draw tests it."""
    rng = np.random.default_rng(6)
    normal, anomalous = rng.normal(0, 1, 12), rng.normal(1, 0.1, 50)
    groups = [*range(12), *range(100, 150)]
    first = scores_of(normal, anomalous) | {"group": groups}
    names = ["n0", *(f"copy{i}" for i in range(1, 12)), *first["path"][12:]]
    second = first | {"path": names}
    both = fold_resamples([first, second], 500)
    np.testing.assert_allclose(both, fold_resamples([first, first], 500))


def test_results_on_the_same_images_are_paired():
    """A method whose scores are another's on another scale has the same resamples."""
    rng = np.random.default_rng(2)
    anomalous = rng.normal(1, 1, 20)
    folds = [scores_of(rng.normal(0, 1, 10), anomalous, 10 * k) for k in range(2)]
    scaled = [f | {"score": [2 * s + 5 for s in f["score"]]} for f in folds]
    assert (fold_resamples(scaled) == fold_resamples(folds)).all()
    other = folds[1] | {"path": [p.replace("a", "b") for p in folds[1]["path"]]}
    with pytest.raises(ValueError, match="not have the same anomalous"):
        fold_resamples([folds[0], other])


def test_the_interval_of_folds_holds_the_truth():
    """Binormal scores of five folds of twenty and a hundred anomalous images, AUROC 0.85."""
    rng, held, apart = np.random.default_rng(5), 0, 2**0.5 * 1.0364
    for _ in range(150):
        anomalous = rng.normal(apart, 1, 100)
        folds = [scores_of(rng.normal(0, 1, 20), anomalous, 20 * k) for k in range(5)]
        low, high = fold_interval(folds)
        held += low <= 0.85 <= high
    assert 0.89 <= held / 150 <= 0.99  # three standard errors below 95 %


def test_resampled_splits_test_so_many_normal_images_of_one_fold():
    rng = np.random.default_rng(4)
    folds = [scores_of(rng.normal(k, 1, 20), rng.normal(2, 1, 40), 20 * k) for k in range(2)]
    resampled = split_resamples(folds, 10, 4000)
    by_hand = np.empty((2, 2000))
    for number, fold in enumerate(folds):
        scores = np.array(fold["score"])
        for n in range(2000):
            normal = rng.choice(scores[:20], 10, replace=False)
            by_hand[number, n] = auroc_of(normal, rng.choice(scores[20:], 40))
    assert resampled.mean() == pytest.approx(by_hand.mean(), abs=0.01)
    np.testing.assert_allclose(resampled.std(axis=1), by_hand.std(axis=1), rtol=0.06)
    assert (split_resamples(folds, 10, 40) == split_resamples(folds, 10, 40)).all()
    every = split_resamples(folds, 30)  # all twenty, as there are no more
    assert (every.std(axis=1) < resampled.std(axis=1)).all()


def test_the_noise_of_splits_includes_what_differs_between_folds():
    """Variances within and between by hand; only a variance from few folds widens t."""
    rng = np.random.default_rng(9)
    same = rng.normal(0, 1, (5, 20000))
    assert split_noise(same) == pytest.approx(1.96, rel=0.02)
    assert split_noise(same, same) == pytest.approx(1.96 * 2**0.5, rel=0.02)
    apart = same + np.array([-2, -1, 0, 1, 2])[:, None]  # variance 2.5 between, 4 degrees
    assert split_noise(apart) == pytest.approx(
        t.ppf(0.975, 4 * (3.5 / 2.5) ** 2) * 3.5**0.5, rel=0.02
    )
    assert split_noise(0 * same) == 0
