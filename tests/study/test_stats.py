"""Statistics of repeated runs and of AUROCs: hand-made cases and independent calculations."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from rdrepro.study import stats
from rdrepro.study.coverage import delong_interval


def scores_of(seed, normal=20, anomalous=30, apart=1.0):
    """Normal scores, those of anomalous images further up, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [normal, anomalous])
    return rng.normal(size=len(labels)) + apart * labels, labels


def auroc_of_pairs(scores, labels):
    """The AUROC as a share of pairs, which takes a thirtieth of scikit-learn's time."""
    pairs = scores[labels == 1][:, None] - scores[labels == 0]
    return ((pairs > 0) + 0.5 * (pairs == 0)).mean()


def tost(values, printed, margin):
    """The p-value of two one-sided t-tests: the mean lies within the margin of `printed`."""
    n, mean, sd = len(values), np.mean(values), np.std(values, ddof=1)
    below, above = (
        student.cdf(distance / (sd / np.sqrt(n)), n - 1)
        for distance in (mean - (printed + margin), (printed - margin) - mean)
    )
    return max(below, above)


def test_summary_by_hand():
    s = stats.summary([97.0, 98.0, 99.0])
    half = student.ppf(0.975, 2) / np.sqrt(3)
    assert (s.n, s.mean, s.sd) == (3, 98.0, 1.0)
    assert (s.low, s.high) == pytest.approx((98 - half, 98 + half))
    one = stats.summary([97.0])
    assert one.mean == 97.0 and np.isnan([one.sd, one.low, one.high]).all()
    assert stats.summary([]).n == 0 and np.isnan(stats.summary([]).mean)


# Intervals of a single AUROC


def test_an_auroc_of_one_has_an_interval_that_shrinks_with_the_counts():
    few, many = stats.auroc_interval(1.0, 10, 20), stats.auroc_interval(1.0, 100, 200)
    assert few[1] == many[1] == 1.0
    assert 0.7 < few[0] < many[0] < 1.0


def test_the_bounds_solve_the_score_equation():
    low, high = stats.auroc_interval(0.85, 10, 100)
    for bound in (low, high):
        q1, q2 = bound / (2 - bound), 2 * bound**2 / (1 + bound)  # Hanley and McNeil 1982
        n = (10 + 100) / 2  # Newcombe's method 5 puts the mean of the counts for each
        variance = (bound * (1 - bound) + (n - 1) * (q1 + q2 - 2 * bound**2)) / (10 * 100)
        assert abs(0.85 - bound) == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.integers(1, 200), st.integers(1, 200))
def test_an_interval_holds_its_value_and_mirrors(value, normal, anomalous):
    low, high = stats.auroc_interval(value, normal, anomalous)
    assert 0 <= low <= value <= high <= 1 and high > low
    mirrored = stats.auroc_interval(1 - value, anomalous, normal)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


@pytest.mark.parametrize("arguments", [(1.2, 5, 5), (0.5, 0, 5)])
def test_no_interval_without_images(arguments):
    with pytest.raises(ValueError, match="AUROC"):
        stats.auroc_interval(*arguments)


def test_placements_are_shares_of_the_others_below_with_ties_by_half():
    scores, mine = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True])
    assert stats.placements(scores, mine).tolist() == [0.75, 1.0]


# Resampled images


def test_resampled_aurocs_are_those_of_the_images_that_were_drawn():
    scores, labels = scores_of(1, normal=6, anomalous=7)
    scores = np.round(scores, 1)  # with ties
    normal, anomalous = scores[labels == 0], scores[labels == 1]
    rng = np.random.default_rng(0)
    drawn = [[rng.integers(0, len(side), len(side)) for side in (normal, anomalous)]] * 5
    often = [
        np.stack([np.bincount(one[k], minlength=len(side)) for one in drawn])
        for k, side in enumerate((normal, anomalous))
    ]
    expected = [roc_auc_score(labels, np.concatenate([normal[n], anomalous[a]])) for n, a in drawn]
    assert stats.weighted_auroc(normal, anomalous, *often) == pytest.approx(expected)


def test_a_paired_bootstrap_of_one_method_with_itself_has_no_spread():
    scores, labels = scores_of(2)
    assert stats.paired_bootstrap(scores, scores, labels, resamples=200) == (0, 0, 0)


def test_a_paired_bootstrap_holds_the_difference_of_the_aurocs():
    scores, labels = scores_of(2)
    better = scores + 2 * labels
    value, low, high = stats.paired_bootstrap(scores, better, labels, resamples=500)
    gain = roc_auc_score(labels, better) - roc_auc_score(labels, scores)
    assert value == pytest.approx(gain) and 0 < low <= value <= high
    assert (low, high) == stats.paired_bootstrap(scores, better, labels, resamples=500)[1:]
    with pytest.raises(ValueError, match="not the same images"):
        stats.paired_bootstrap(scores[:-1], scores, labels)


def test_a_paired_bootstrap_draws_each_kind_apart_and_both_methods_together():
    scores, labels = scores_of(3)
    better = scores + scores_of(4, apart=0)[0] + labels
    rng, differences = np.random.default_rng(5), []
    for _ in range(2000):
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(labels == k), (labels == k).sum()) for k in (0, 1)]
        )
        aurocs = [auroc_of_pairs(s[chosen], labels[chosen]) for s in (scores, better)]
        differences.append(aurocs[1] - aurocs[0])
    expected = np.quantile(differences, [0.025, 0.975])
    _, low, high = stats.paired_bootstrap(scores, better, labels)
    assert (low, high) == pytest.approx(expected, abs=0.02)


def test_several_scores_per_image_count_by_their_mean_auroc():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1], [13, 17]))
    scores = rng.integers(0, 6, (2, 30, 4)) + 0.5 * labels[:, None]  # with ties
    a, b = (np.mean([roc_auc_score(labels, column) for column in s.T]) for s in scores)
    value, low, high = stats.paired_bootstrap(*scores, labels, resamples=200)
    assert value == pytest.approx(b - a) and low < value < high


# Averages over classes


def one_against_the_rest(rng, images=60, classes=5, apart=1.5):
    """Scores and labels (K, N) of K one-class problems on one test set."""
    own = np.repeat(np.arange(classes), images // classes)
    hard = rng.normal(size=images)  # an image that one model finds odd, the others do too
    scores = rng.normal(size=(classes, images)) + hard
    labels = (own != np.arange(classes)[:, None]).astype(int)
    return scores + apart * labels, labels


def test_the_interval_of_an_average_of_one_class_is_delongs():
    scores, labels = one_against_the_rest(np.random.default_rng(0), images=1000)
    ours = stats.average_interval(scores[:1], labels[:1])
    assert ours == pytest.approx(delong_interval(scores[0], labels[0]), abs=2e-3)


def test_the_interval_of_an_average_is_that_of_resampled_images():
    rng = np.random.default_rng(1)
    scores, labels = one_against_the_rest(rng, images=200)
    own = labels.argmin(axis=0)
    means = []
    for _ in range(400):
        groups = (np.flatnonzero(own == k) for k in range(5))
        drawn = np.concatenate([rng.choice(g, len(g)) for g in groups])
        pairs = zip(scores, labels, strict=True)
        means.append(np.mean([auroc_of_pairs(s[drawn], y[drawn]) for s, y in pairs]))
    low, high = stats.average_interval(scores, labels)
    assert high - low == pytest.approx(2 * 1.96 * np.std(means), rel=0.15)
    assert low < np.mean(means) < high


def test_an_average_of_perfect_rankings_keeps_an_interval():
    labels = np.repeat([[0, 1]], 2, axis=0).repeat(10, axis=1)
    scores = labels + np.linspace(0, 0.5, 20)
    assert stats.average_interval(scores, labels) == stats.auroc_interval(1.0, 10, 10)


# Intervals of one more seed


def test_a_prediction_interval_by_hand():
    values = pd.DataFrame({1: [0.9, 0.8], 2: [0.92, np.nan]}, index=["a", "b"])
    bounds = stats.prediction_intervals(values)
    z = np.log([0.9 / 0.1, 0.92 / 0.08])
    spread, t = z.std(ddof=1), 12.706204736  # one degree of freedom
    for name, centre, n in (("a", z.mean(), 2), ("b", np.log(4), 1)):
        half = t * spread * np.sqrt(1 + 1 / n)
        expected = 1 / (1 + np.exp(-np.array([centre - half, centre + half])))
        np.testing.assert_allclose(bounds.loc[name], expected, rtol=1e-6)


def test_without_a_second_seed_there_is_no_prediction():
    assert stats.prediction_intervals(pd.DataFrame({1: [0.9, 0.8]})).isna().all(axis=None)


def test_prediction_intervals_hold_one_more_seed_as_often_as_they_say():
    rng, held = np.random.default_rng(2), []
    for _ in range(200):
        centres = rng.normal(3, 1, (10, 1))
        seeds = 1 / (1 + np.exp(-(centres + 0.5 * rng.normal(size=(10, 4)))))
        bounds = stats.prediction_intervals(pd.DataFrame(seeds[:, :3]))
        held.append(((bounds["low"] <= seeds[:, 3]) & (seeds[:, 3] <= bounds["high"])).mean())
    assert 0.93 < np.mean(held) < 0.97


# Verdicts


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(90, 100), min_size=3, max_size=6), st.floats(90, 100))
def test_a_value_is_reproduced_where_two_one_sided_tests_say_so(values, printed):
    inner = stats.summary(values, 0.90)
    slack = min(inner.low - (printed - 1), printed + 1 - inner.high)
    if inner.sd > 1e-6 and abs(slack) > 1e-6:
        assert (tost(values, printed, 1.0) < 0.05) == (slack > 0)
        assert (stats.verdict(values, printed, 1.0) == "reproduced") == (slack > 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([98.0, 98.0, 98.0], "reproduced"),
        ([98.5, 98.5, 98.5], "reproduced"),  # on the margin is inside
        ([98.6, 98.6, 98.6], "differs"),
        ([97.9, 98.0, 98.1], "reproduced"),
        ([97.0, 98.0, 99.0], "close"),
        ([95.9, 96.0, 96.1], "differs"),
        ([98.0, 98.0], "no verdict"),
    ],
)
def test_verdicts_by_hand(values, expected):
    assert stats.verdict(values, 98.0, 0.5) == expected


def test_no_margin_no_verdict():
    assert stats.verdict([98.0, 98.0, 98.0], 98.0, None) == "no verdict"


@pytest.mark.parametrize("spread", [1.0, 1.5])
@pytest.mark.parametrize(
    ("normal", "anomalous", "true"),
    [(10, 100, 0.77), (10, 100, 0.85), (10, 155, 0.93), (10, 155, 0.95)],
)
def test_a_printed_value_overlaps_the_truth_as_often_as_it_should(normal, anomalous, true, spread):
    """Binormal draws at the printed counts; `spread`: the SD of anomalous scores."""
    apart = (1 + spread**2) ** 0.5 * norm.ppf(true)
    scores = np.random.default_rng(8).normal(size=(3000, normal + anomalous))
    raised = apart + spread * scores[:, normal:, None]
    drawn = (raised > scores[:, None, :normal]).mean(axis=(1, 2))
    values, counts = np.unique(drawn, return_counts=True)
    held = [
        stats.overlap_verdict([100 * true] * 3, 100 * value, normal, anomalous) == "overlaps"
        for value in values
    ]
    assert (counts * held).sum() / 3000 >= 0.94


@pytest.mark.parametrize(
    ("printed", "counts", "low", "high"),
    [
        (85.2, (10, 100), 67.8, 93.6),  # Head CT, Ours+L_MKD
        (95.0, (10, 155), 81.2, 98.7),  # Brain MRI, MKD
    ],
)
def test_overlap_with_a_printed_value_at_its_counts(printed, counts, low, high):
    """The bounds by hand, from the roots of the score equation."""

    def verdict(ours):
        return stats.overlap_verdict([ours] * 3, printed, *counts)

    assert verdict(low + 0.06) == verdict(high - 0.06) == "overlaps"
    assert verdict(low - 0.06) == verdict(high + 0.06) == "does not overlap"
    assert stats.overlap_verdict([printed] * 2, printed, *counts) == "no verdict"


def test_welch_by_hand():
    before, after = [1.0, 2.0, 3.0], [5.0, 9.0]
    parts = 1 / 3, 8 / 2
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 1)
    half = student.ppf(0.975, freedom) * sum(parts) ** 0.5
    assert stats.welch(before, after) == pytest.approx((5 - half, 5 + half))
    assert stats.welch([2.0, 2.0], [3.0, 3.0]) == (1, 1)
    assert np.isnan(stats.welch([1.0], after)).all()


def test_a_collapse_lies_far_below_the_median():
    assert stats.collapsed([99.0, 98.0, 40.0]).tolist() == [False, False, True]
    assert not stats.collapsed([99.0, 95.0, 91.0]).any()
