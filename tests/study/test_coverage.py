"""Intervals of an AUROC that are compared by simulation, and how often each holds the true one."""

import numpy as np
import pandas as pd
import pytest
from builders import ROOT
from scipy.special import expit, logit
from scipy.stats import t as student

from rdrepro.study import coverage
from rdrepro.study.stats import auroc_interval


def auroc_of_pairs(scores, labels):
    """The AUROC as a share of pairs, which takes a thirtieth of scikit-learn's time."""
    scores, anomalous = np.asarray(scores), np.asarray(labels) == 1
    pairs = scores[anomalous][:, None] - scores[~anomalous]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


@pytest.fixture
def scores_and_labels():
    """Twenty normal scores and thirty anomalous ones, a standard deviation apart."""
    labels = np.repeat([0, 1], [20, 30])
    return np.random.default_rng(0).normal(size=50) + labels, labels


def test_delong_by_pairs_counted_one_by_one(scores_and_labels):
    scores, labels = scores_and_labels
    normal, anomalous = scores[labels == 0], scores[labels == 1]
    wins = (anomalous[:, None] > normal).astype(float)
    parts = wins.mean(1).var(ddof=1) / 30, wins.mean(0).var(ddof=1) / 20
    value, variance = wins.mean(), sum(parts)
    freedom = variance**2 / (parts[0] ** 2 / 29 + parts[1] ** 2 / 19)
    half = student.ppf(0.975, freedom) * np.sqrt(variance) / (value * (1 - value))
    expected = expit(logit(value) - half), expit(logit(value) + half)
    assert coverage.delong_interval(scores, labels) == pytest.approx(expected)


def test_delong_of_a_perfect_ranking_does_not_collapse():
    scores, labels = np.arange(20.0), np.repeat([0, 1], 10)
    assert coverage.delong_interval(scores, labels) == auroc_interval(1.0, 10, 10)


def test_a_stratified_bootstrap_resamples_each_kind_apart(scores_and_labels):
    scores, labels = scores_and_labels
    rng, drawn = np.random.default_rng(5), []
    for _ in range(2000):
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(labels == k), (labels == k).sum()) for k in (0, 1)]
        )
        drawn.append(auroc_of_pairs(scores[chosen], labels[chosen]))
    expected = np.quantile(drawn, [0.025, 0.975])
    found = coverage.stratified_bootstrap(scores, labels)
    assert found == pytest.approx(expected, abs=0.02)
    assert found == coverage.stratified_bootstrap(scores, labels)


def test_coverage_counts_both_sides():
    never = coverage.coverage(lambda s, y: (0.0, 0.1), 10, 10, 0.8, draws=20)
    always = coverage.coverage(lambda s, y: (0.0, 1.0), 10, 10, 0.8, draws=20)
    assert never[["coverage", "too high", "too low"]].tolist() == [0, 0, 1]
    assert always["coverage"] == 1 and always["width"] == 1


def test_the_score_interval_covers_what_it_says(monkeypatch):
    monkeypatch.setattr(coverage, "auroc", auroc_of_pairs)
    found = coverage.coverage(coverage.score_interval, 20, 20, 0.7, draws=400, seed=3)
    assert 0.92 <= found["coverage"] <= 0.985  # 0.95 +- three standard errors of 400 draws


@pytest.fixture(scope="module")
def kept():
    """The committed table."""
    return pd.read_csv(ROOT / "results" / "coverage.csv")


def test_the_committed_table_has_every_regime_and_interval(kept):
    regimes = set(kept[["normal", "anomalous", "AUROC"]].itertuples(index=False, name=None))
    assert regimes == set(coverage.REGIMES)
    assert set(kept["interval"]) == set(coverage.INTERVALS)
    assert len(kept) == len(coverage.REGIMES) * len(coverage.INTERVALS)
    assert set(kept["draws"]) == {coverage.DRAWS}


@pytest.mark.parametrize("line", [0, 1])
def test_the_committed_coverage_is_what_the_simulation_gives(line, kept, monkeypatch):
    monkeypatch.setattr(coverage, "auroc", auroc_of_pairs)
    kept = kept.iloc[line]
    interval = coverage.INTERVALS[kept["interval"]]
    again = coverage.coverage(interval, kept["normal"], kept["anomalous"], kept["AUROC"])
    assert again["coverage"] == pytest.approx(kept["coverage"], abs=1e-3)
