"""Tables of notebook 12 with names to read, and how far results lie from the printed values."""

import pandas as pd
import pytest

from rdrepro.study import medical_tables
from rdrepro.study.report import medical


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ([70.0, 75.0, 81.0], "2 of our 3 results lie below the printed value. The median"),
        ([70.0, 75.0, 81.0], "difference is -5.0 points, and the largest is -10.0 points."),
        ([80.5, 95.0], "0 of our 2 results lie below"),
        ([80.5, 95.0], "is +7.8 points, and the largest is +15.0 points."),
    ],
)
def test_results_below_the_printed_value_are_counted(ours, said):
    text = medical.below_in_words(pd.DataFrame({"printed": 80.0, "ours": ours}))
    assert said in text


def test_without_results_or_printed_values_nothing_is_said():
    assert medical.below_in_words(pd.DataFrame()) == ""
    assert medical.below_in_words(pd.DataFrame({"printed": [float("nan")], "ours": [80.0]})) == ""


def test_every_result_has_its_difference_from_the_printed_value(monkeypatch):
    read = pd.DataFrame({"printed": [80.0], "ours": [75.5], "over images": ["[70.0, 81.0]"]})
    monkeypatch.setattr(medical_tables, "readable_columns", lambda table: read.copy())
    full = medical.full_columns(read)
    assert list(full) == ["printed", "ours", "delta", "over images"]
    assert full["delta"].tolist() == [-4.5]


def test_habits_have_readable_names_and_intervals():
    line = {"entry": "E9", "habit": "h", "switch": "`s=1`", "dataset": "brain_mri"}
    line |= {"teacher": "efficientnet_lite0", "epochs": 60, "against": "Ours", "folds": 5}
    line |= {"base": 87.3, "collapsed": 0, "mean": 0.44, "resolved": False}
    line |= {"low": -1.5, "high": 2.5, "fold_low": -2.7, "fold_high": 3.5}
    table = medical.readable_habits(pd.DataFrame([line]))
    assert not set(table) & {"base", "low", "high", "fold_low", "fold_high", "dataset"}
    read = table.iloc[0]
    assert read[["data", "teacher", "change"]].tolist() == [
        *("Brain MRI", "EfficientNet-Lite0", "+0.4")
    ]
    assert read[["over images", "over folds"]].tolist() == ["[-1.5, 2.5]", "[-2.7, 3.5]"]
    assert medical.readable_habits(pd.DataFrame()).empty
