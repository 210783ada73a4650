"""How often intervals hold the truth in simulations, and whether these know the truth."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest
from builders import ROOT
from scipy.special import expit, logit
from scipy.stats import t as student

from rdrepro.metrics import auroc
from rdrepro.study import coverage, folds, simulations, stats
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


# ------------------------------------------------------------------ the committed table


@pytest.fixture(scope="module")
def kept():
    """The committed table."""
    return pd.read_csv(ROOT / "results" / "coverage.csv")


def test_every_interval_of_the_package_is_simulated():
    """A function that makes an interval and has no simulation would be shown without coverage."""
    makers = re.compile("interval|bootstrap|noise|percentiles|summary|welch")
    made = {
        name
        for module in (stats, folds)
        for name, found in inspect.getmembers(module, inspect.isfunction)
        if found.__module__ == module.__name__ and makers.search(name) and name[0] != "_"
    }
    assert len(made) == 9
    assert made <= vars(simulations).keys()


def test_the_committed_table_has_every_line(kept):
    names = ["interval", "shown", "holds", "regime", "nominal", "draws"]
    lines = coverage.simulated_lines()
    wanted = [tuple(getattr(line, name) for name in names) for line in lines]
    found = list(kept[names].itertuples(index=False, name=None))
    first = len(coverage.REGIMES) * len(coverage.INTERVALS)
    assert found[first:] == wanted
    assert list(kept["interval"][:first]) == list(coverage.INTERVALS) * len(coverage.REGIMES)
    assert set(kept["draws"][:first]) == {coverage.DRAWS}
    assert kept["coverage"].between(0, 1).all() and (kept["width"] > 0).all()


@pytest.mark.parametrize("number", [0, 1])
def test_the_committed_coverage_of_one_auroc_is_what_the_simulation_gives(
    number, kept, monkeypatch
):
    monkeypatch.setattr(coverage, "auroc", auroc_of_pairs)
    line = kept.iloc[number]
    interval = coverage.INTERVALS[line["interval"]]
    again = coverage.coverage(interval, *coverage.REGIMES[0])
    assert again["coverage"] == pytest.approx(line["coverage"], abs=1e-3)


QUICK = ("printed value", "t over seeds", "t over folds", "paired change, t over folds")


@pytest.mark.parametrize("name", QUICK)
def test_the_committed_coverage_is_what_the_simulation_gives(name, kept):
    lines = [line for line in coverage.simulated_lines() if line[0] == name]
    for line in lines[:2]:
        again = coverage.written(line)
        same = (kept["regime"] == line.regime) & (kept["holds"] == line.holds)
        (own,) = kept[same & (kept["interval"] == name)].to_dict("records")
        assert again["coverage"] == pytest.approx(own["coverage"], abs=1e-3)
        assert again["width"] == pytest.approx(own["width"], abs=1e-3)


def test_shared_images_are_not_seen_by_folds_and_seeds(kept):
    by = kept.set_index(["interval", "holds"])["coverage"]
    for name, here in {"t over seeds": coverage.HERE, "t over folds": coverage.SHARED}.items():
        assert by[name, here].item() > 0.93 > by[name, coverage.ANYWHERE].item()


@pytest.mark.parametrize("spread", coverage.SPREADS)
def test_a_printed_value_is_covered_where_anomalous_scores_vary_as_much_as_normal_ones(
    spread, kept
):
    lines = kept[
        kept["interval"].eq(coverage.PRINTED_VALUE) & kept["regime"].str.endswith(f"SD {spread}")
    ]
    assert len(lines) == len(coverage.PRINTED)
    assert lines["coverage"].min() >= (0.94 if spread >= 1 else 0.9)


def test_a_printed_value_is_covered_less_the_less_anomalous_scores_vary():
    one = coverage.PRINTED[0]
    held = [
        coverage.shares(*simulations.printed_value(1000, *one, spread))["coverage"]
        for spread in (0.4, 0.8, 1.6)
    ]
    assert held == sorted(held) and held[0] < 0.92 and held[2] > 0.96
    assert min(coverage.SPREADS) < 1 < max(coverage.SPREADS)


def test_images_of_one_head_leave_an_interval_over_images_too_narrow(kept):
    lines = kept[kept["interval"] == coverage.OF_HEADS]
    shares = lines.set_index(
        lines["regime"].str.extract(r"(\d) slices .* (\S+)$").agg(tuple, axis=1)
    )
    held = shares["coverage"]
    assert set(held.index) == {(str(each), str(alike)) for each, alike in coverage.HEADS}
    assert held.max() < 0.93
    assert held["2", "0.3"] > held["3", "0.5"]


def test_the_words_name_the_shown_intervals_that_fall_short_and_why(kept):
    some = kept[kept["interval"].isin(["t over folds", "DeLong, logit scale"])]
    low = some.assign(coverage=np.where(some["holds"] == coverage.SHARED, 0.95, 0.9))
    assert coverage.in_words(low) == [
        "In 1 of 2 simulated cases our intervals contain the truth as often as they should, within "
        "2 points. In 1 they do not:",
        "*t over folds*, taken for any images, any training: 90.0 % instead of 95 % (5 folds of 20 "
        "+ 100 images, AUROC 0.85).",
    ]
    (all_kept,) = coverage.in_words(some.assign(coverage=0.95))
    assert all_kept.startswith("In all 2 simulated cases")
    every = " ".join(coverage.in_words(kept))
    assert "*t over seeds*, taken for any images" in every
    assert "2 slices a head, correlation 0.3" in every and "Neighbouring slices of one" in every
    printed = kept[kept["interval"] == coverage.PRINTED_VALUE]
    assert coverage.in_words(printed.assign(coverage=0.9))[-1].endswith("interval assumes.")
    assert len(coverage.in_words(printed.assign(coverage=0.95))) == 1


# ------------------------------------------------------------------ the simulations


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_expected_auroc_is_that_of_many_trainings(elsewhere):
    rng, apart = np.random.default_rng(0), simulations.separation(0.85)
    anomalous, values = rng.normal(size=50), []
    for _ in range(3000):
        tested = rng.normal(size=50) if elsewhere else anomalous
        values.append(simulations.train(rng, apart, rng.normal(size=(1, 20)), tested).aurocs[0])
    given = None if elsewhere else anomalous
    error = np.std(values) / 3000**0.5
    assert np.mean(values) == pytest.approx(simulations.expected(apart, given), abs=4 * error)


def test_the_true_auroc_of_trainings_is_that_of_many_images():
    rng = np.random.default_rng(1)
    kept = simulations.train(rng, 1.5, rng.normal(size=(3, 3000)), rng.normal(size=3000))
    assert kept.aurocs.mean() == pytest.approx(kept.true, abs=0.01)
    for row, value in zip(kept.rows(), kept.aurocs, strict=True):
        assert auroc(row["score"], row["label"]) == pytest.approx(value)
    assert not set(kept.rows()[0]["path"][:3000]) & set(kept.rows()[1]["path"][:3000])


def test_a_seeds_expected_auroc_is_that_of_many_seeds_on_the_same_images():
    rng = np.random.default_rng(2)
    normal, anomalous = rng.normal(size=20), rng.normal(size=30)
    values, here = simulations.seeds(rng, 0.9, normal, anomalous, 3000)
    assert values.mean() == pytest.approx(here, abs=4 * values.std() / 3000**0.5)


def test_a_separation_gives_its_auroc_for_any_spread():
    rng = np.random.default_rng(3)
    for spread in (1.0, 1.5):
        raised = simulations.separation(0.8, spread) + spread * rng.normal(size=4000)
        found = simulations.aurocs(rng.normal(size=4000), raised)
        assert found == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(("each", "alike"), [(2, 0.3), (3, 0.5), (4, 0.0)])
def test_slices_of_one_head_correlate_as_they_should(each, alike):
    rng = np.random.default_rng(4)
    drawn = np.array([simulations.slices(rng, 10, each, alike) for _ in range(4000)])
    head = np.arange(10) // each
    expected = np.where(head[:, None] == head, alike, 0.0) + (1 - alike) * np.eye(10)
    assert np.cov(drawn.T) == pytest.approx(expected, abs=5 * (2 / 4000) ** 0.5)


def test_an_interval_over_images_covers_less_where_slices_are_alike():
    apart, near = (
        coverage.shares(*simulations.head_images(150, each=4, alike=alike)) for alike in (0, 0.8)
    )
    assert abs(apart["coverage"] - 0.95) < 4 * (0.95 * 0.05 / 150) ** 0.5 + 0.02
    assert near["coverage"] < 0.85


# Draws, and whether the interval should hold its true value as often as it says.
SMALL = {
    "fold_images": (150, {"elsewhere": False}),
    "draw_images": (150, {}),
    "over_folds": (600, {"elsewhere": False}),
    "over_seeds": (600, {"level": 0.95, "elsewhere": False}),
    "change_over_folds": (600, {"elsewhere": False}),
    "change_over_images": (100, {}),
    "change_over_seeds": (600, {}),
    "change_of_split": (600, {}),
    "step_noise": (100, {"quoted": False}),
    "average_of_classes": (40, {}),
    "seed_to_come": (60, {"unequal": False}),
    "rotated_images": (100, {}),
}


@pytest.mark.parametrize("name", SMALL)
def test_intervals_hold_what_they_should_in_a_few_draws(name):
    """Four binomial standard errors around 95 %, and two points for what is approximate."""
    draws, given = SMALL[name]
    held = coverage.shares(*getattr(simulations, name)(draws, **given))
    slack = 4 * (0.95 * 0.05 / draws) ** 0.5 + 0.02
    assert abs(held["coverage"] - 0.95) < slack
    assert held[["coverage", "too high", "too low"]].sum() == pytest.approx(1)
    assert 0 < held["width"] < 1


def test_a_level_of_ninety_percent_covers_less():
    wide, narrow = (
        coverage.shares(*simulations.over_seeds(600, level, elsewhere=False))
        for level in (0.95, 0.9)
    )
    assert narrow["coverage"] < wide["coverage"] and narrow["width"] < wide["width"]
    assert abs(narrow["coverage"] - 0.9) < 4 * (0.9 * 0.1 / 600) ** 0.5 + 0.02
