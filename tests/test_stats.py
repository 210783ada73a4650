"""Statistics: hand-made cases, oracles, and the coverage of intervals."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from rdrepro.paths import ROOT
from rdrepro.study import stats


def scores_of(seed, normal=20, anomalous=30, apart=1.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [normal, anomalous])
    return rng.normal(size=len(labels)) + apart * labels, labels


def test_summary_by_hand():
    s = stats.summary([97.0, 98.0, 99.0])
    half = student.ppf(0.975, 2) / np.sqrt(3)
    assert (s.n, s.mean, s.sd) == (3, 98.0, 1.0)
    assert (s.low, s.high) == pytest.approx((98 - half, 98 + half))
    one = stats.summary([97.0])
    assert one.mean == 97.0 and np.isnan([one.sd, one.low, one.high]).all()
    assert stats.summary([]).n == 0 and np.isnan(stats.summary([]).mean)


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


def test_delong_against_pairs_counted_one_by_one():
    scores, labels = scores_of(0)
    normal, anomalous = scores[labels == 0], scores[labels == 1]
    wins = (anomalous[:, None] > normal).astype(float)
    parts = wins.mean(1).var(ddof=1) / 30, wins.mean(0).var(ddof=1) / 20
    value, variance = wins.mean(), sum(parts)
    freedom = variance**2 / (parts[0] ** 2 / 29 + parts[1] ** 2 / 19)
    half = student.ppf(0.975, freedom) * np.sqrt(variance) / (value * (1 - value))
    expected = expit(logit(value) - half), expit(logit(value) + half)
    assert stats.delong_interval(scores, labels) == pytest.approx(expected)


def test_delong_of_a_perfect_ranking_does_not_collapse():
    scores, labels = np.arange(20.0), np.repeat([0, 1], 10)
    assert stats.delong_interval(scores, labels) == stats.auroc_interval(1.0, 10, 10)


def test_the_bootstrap_redraws_each_kind_apart():
    scores, labels = scores_of(1)
    rng, drawn = np.random.default_rng(5), []
    for _ in range(2000):
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(labels == k), (labels == k).sum()) for k in (0, 1)]
        )
        drawn.append(roc_auc_score(labels[chosen], scores[chosen]))
    expected = np.quantile(drawn, [0.025, 0.975])
    assert stats.stratified_bootstrap(scores, labels) == pytest.approx(expected, abs=0.02)
    assert stats.stratified_bootstrap(scores, labels) == stats.stratified_bootstrap(scores, labels)


def test_the_paired_bootstrap_knows_that_images_are_shared():
    scores, labels = scores_of(2)
    value, low, high = stats.paired_bootstrap(scores, scores, labels, resamples=200)
    assert value == low == high == 0  # the same method: no spread, however few images
    better = scores + 2 * labels
    value, low, high = stats.paired_bootstrap(scores, better, labels, resamples=500)
    gain = roc_auc_score(labels, better) - roc_auc_score(labels, scores)
    assert value == pytest.approx(gain) and 0 < low <= value <= high
    with pytest.raises(ValueError, match="not the same images"):
        stats.paired_bootstrap(scores[:-1], scores, labels)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(90, 100), min_size=3, max_size=6), st.floats(90, 100))
def test_tost_and_the_90_percent_interval_agree(values, printed):
    inner = stats.summary(values, 0.90)
    slack = min(inner.low - (printed - 1), printed + 1 - inner.high)
    if inner.sd > 1e-6 and abs(slack) > 1e-6:
        assert (stats.tost(values, printed, 1.0) < 0.05) == (slack > 0)
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
    assert np.isnan(stats.tost([98.0], 98.0, 0.5))
    assert stats.tost([98.0, 98.0], 98.5, 0.5) == 0.0 and stats.tost([99.0, 99.0], 98, 0.5) == 1.0


def test_overlap_with_a_printed_value_at_its_counts():
    low, high = stats.hanley_mcneil_interval(0.772, 10, 100)  # Head CT
    assert (high - low) / 2 == pytest.approx(0.126, abs=1e-3)
    brain = stats.hanley_mcneil_interval(0.856, 10, 155)
    assert (brain[1] - brain[0]) / 2 == pytest.approx(0.087, abs=1e-3)
    assert stats.hanley_mcneil_interval(0.99, 10, 100)[1] == 1.0
    assert stats.overlap_verdict([100 * high - 1] * 3, 77.2, 10, 100) == "overlaps"
    assert stats.overlap_verdict([100 * high + 0.1] * 3, 77.2, 10, 100) == "does not overlap"
    assert stats.overlap_verdict([100 * low - 0.1] * 3, 77.2, 10, 100) == "does not overlap"
    assert stats.overlap_verdict([80.0, 80.0], 77.2, 10, 100) == "no verdict"


def test_margins_are_the_declared_ones():
    assert stats.MARGINS["average"] == {"image_auroc": 0.5, "pixel_auroc": 0.6, "pro": 1.0}
    assert stats.MARGINS["category"] == {"image_auroc": 2.7, "pixel_auroc": 1.7, "pro": 3.0}
    others = {k: set(v.values()) for k, v in stats.MARGINS.items()}
    assert others["table 4"] == others["table 6"] == {1.0}
    assert others["table 5"] == others["table 7"] == others["retinal_oct"] == {1.5}


def test_a_collapse_lies_far_below_the_median():
    assert stats.collapsed([99.0, 98.0, 40.0]).tolist() == [False, False, True]
    assert not stats.collapsed([99.0, 95.0, 91.0]).any()


def test_wilcoxon_over_categories():
    ours = np.arange(15.0)
    assert stats.wilcoxon(2 * ours + 1, ours) == pytest.approx(2 / 2**15)  # exact
    assert stats.wilcoxon(ours, ours) == 1.0


def test_coverage_counts_both_sides():
    never = stats.coverage(lambda s, y: (0.0, 0.1), 10, 10, 0.8, draws=20)
    always = stats.coverage(lambda s, y: (0.0, 1.0), 10, 10, 0.8, draws=20)
    assert never[["coverage", "too high", "too low"]].tolist() == [0, 0, 1]
    assert always["coverage"] == 1 and always["width"] == 1


@pytest.mark.parametrize("line", [0, 1])
def test_the_kept_coverage_is_what_the_simulation_gives(line):
    spec = importlib.util.spec_from_file_location("coverage", ROOT / "benchmarks/coverage.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    kept = pd.read_csv(ROOT / "results" / "coverage.csv")
    assert len(kept) == len(benchmark.REGIMES) * len(benchmark.INTERVALS)
    kept = kept.iloc[line]
    interval = benchmark.INTERVALS[kept["interval"]]
    again = stats.coverage(interval, kept["normal"], kept["anomalous"], kept["AUROC"])
    assert again["coverage"] == pytest.approx(kept["coverage"], abs=1e-3)


def test_the_score_interval_covers_what_it_says():
    found = stats.coverage(stats.score_interval, 20, 20, 0.7, draws=400, seed=3)
    assert 0.92 <= found["coverage"] <= 0.985  # 0.95 +- three standard errors of 400 draws


def one_against_the_rest(rng, images=60, classes=5, apart=1.5):
    """Return scores and labels (K, N) of K one-class problems on one test set."""
    own = np.repeat(np.arange(classes), images // classes)
    hard = rng.normal(size=images)  # an image that one model finds odd, the others do too
    scores = rng.normal(size=(classes, images)) + hard
    labels = (own != np.arange(classes)[:, None]).astype(int)
    return scores + apart * labels, labels


def test_the_interval_of_an_average_of_one_class_is_delongs():
    scores, labels = one_against_the_rest(np.random.default_rng(0), images=1000)
    ours = stats.average_interval(scores[:1], labels[:1])
    assert ours == pytest.approx(stats.delong_interval(scores[0], labels[0]), abs=2e-3)


def test_the_interval_of_an_average_is_that_of_redrawn_images():
    rng = np.random.default_rng(1)
    scores, labels = one_against_the_rest(rng, images=200)
    own = labels.argmin(axis=0)
    groups = [np.flatnonzero(own == k) for k in range(5)]
    means = []
    for _ in range(400):
        drawn = np.concatenate([rng.choice(g, len(g)) for g in groups])
        means.append(
            np.mean(
                [roc_auc_score(y[drawn], s[drawn]) for s, y in zip(scores, labels, strict=True)]
            )
        )
    low, high = stats.average_interval(scores, labels)
    assert high - low == pytest.approx(2 * 1.96 * np.std(means), rel=0.15)
    assert low < np.mean(means) < high


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
