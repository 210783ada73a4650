"""Prediction intervals of repetitions that units share, and of the mean of several."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from rdrepro.study.stats import prediction_intervals


def test_units_that_share_their_repetitions_share_their_degrees_of_freedom():
    """Ten units with the same five folds: wider than as if they were fifty, as wide as one."""
    one = pd.DataFrame([expit(np.random.default_rng(8).normal(1, 0.5, 5))])
    ten = pd.concat([one] * 10, ignore_index=True)
    alone = prediction_intervals(one)
    np.testing.assert_allclose(prediction_intervals(ten, together=True).iloc[[3]], alone)
    assert (prediction_intervals(ten)["high"] < alone.loc[0, "high"]).all()


@pytest.mark.parametrize("more", [1, 5])
def test_a_prediction_interval_holds_the_mean_of_more_repetitions(more):
    z = np.random.default_rng(6).normal(1.5, 0.4, (500, 5 + more))
    newer = expit(z[:, 5:].mean(axis=1))
    inside = [
        low <= value <= high
        for value, seen in zip(newer, expit(z[:, :5]), strict=True)
        for low, high in prediction_intervals(pd.DataFrame([seen]), more=more).to_numpy()
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)
