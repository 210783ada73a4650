"""The sentences of the run notebooks, by hand from small numbers."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from rdrepro.study import remarks


def history(*losses, **columns):
    return pd.DataFrame({"epoch": range(1, len(losses) + 1), "loss": losses, **columns})


def test_a_training_is_described_by_its_first_and_last_loss():
    said = remarks.training(history(2.0, 1.0, 0.5), "reverse_distillation").data
    assert "0.5 in the last" in said and "was 2 in the first" in said
    assert "last epoch it changed by -50.0 %" in said


@pytest.mark.parametrize(("epochs", "over"), [(14, "last epoch"), (20, "last 2 epochs")])
def test_the_end_of_a_training_is_a_tenth_of_it(epochs, over):
    said = remarks.training(history(*[1.0] * (epochs - 1), 1.1), "mkd").data
    assert f"{over} it changed by +10.0 %" in said


def test_a_method_without_a_training_has_a_sentence_in_place_of_a_curve():
    assert "`method=padim` is not trained" in remarks.training(history(), "padim").data


def test_a_loss_curve_has_a_caption_only_where_it_is_drawn():
    absent = remarks.loss_figure(history(), "padim", 2).data
    assert "no loss to draw" in absent and absent.endswith("has no Figure 2.")
    said = remarks.loss_figure(history(2.0, 1.0), "mkd", 2).data
    assert said.startswith("**Figure 2.** The training loss") and "dotted" not in said
    validated = history(2.0, 1.0, validation_loss=[1.0, 2.0])
    assert "dotted" in remarks.loss_figure(validated, "mkd", 2).data


def test_one_epoch_has_no_change():
    assert remarks.training(history(0.25), "mkd").data.endswith("with a loss of 0.25.")


def test_last_losses_are_ordered():
    said = remarks.trainings({"a": history(1, 0.3), "b": history(1, 0.2), "c": history()}).data
    assert said == "Loss in the last epoch: 0.2 (b), 0.3 (a)."


def test_the_overlap_of_scores_is_counted():
    predictions = SimpleNamespace(scores=[1, 2, 5, 4, 5, 6], gt_labels=[0, 0, 0, 1, 1, 1])
    said = remarks.scores(predictions).data
    assert "1 of 3 anomalous images score above" in said  # 5 ties with a normal image
    assert "2 of 3 normal images score below" in said
    assert remarks.scores(predictions, "fold 0").data == f"Fold 0: {said}"


def test_the_best_variant_of_each_metric_is_named():
    table = pd.DataFrame({"image AUROC": [99, 98.0], "PRO": [None, 90.0]}, index=["a", "b"])
    said = remarks.variants(table).data
    assert said == "Highest image AUROC: a (99.0 %). Highest PRO: b (90.0 %)."
    assert "Only a ran" in remarks.variants(table[:1]).data


def test_the_slowest_method_is_compared_with_the_fastest():
    said = remarks.costs(pd.Series({"a": 0.3, "b": 0.1})).data
    assert said.startswith("b is the fastest, with 0.1 s") and "0.3 s, 3.0 times" in said
    assert remarks.costs(pd.Series({"a": 0.3})).data == "a takes 0.3 s per image."


def test_the_range_of_folds_is_named():
    said = remarks.range_of(pd.Series({"fold 0": 91.0, "fold 1": 88.25}), "image AUROC").data
    assert said == "The image AUROC lies between 88.2 % (fold 1) and 91.0 % (fold 0)."
    assert remarks.range_of(pd.Series({"7": 88.0}), "image AUROC").data.endswith("88.0 % (7).")


def test_the_epoch_that_counts_is_that_of_the_lowest_validation_loss():
    stopped = history(3, 2, 1, validation_loss=[0.4, 0.3, 0.5])
    said = remarks.stopping({"no": history(3, 2, 1), "yes": stopped, "PaDiM": history()}).data
    assert said.split("\n") == [
        "- no: 3 epochs were trained, and epoch 3 counts.",
        "- yes: 3 epochs were trained, and epoch 2 counts.",
        "- PaDiM is not trained by gradient descent, so it has no loss curve.",
    ]


def test_the_time_since_a_start_is_said():
    started = (datetime.now(UTC) - timedelta(minutes=5)).isoformat(timespec="seconds")
    assert remarks.elapsed(started).data == "This notebook took 5 min."


def test_early_stopping_is_explained_only_where_it_is_drawn():
    assert remarks.stopping_figure({}, 4) is None
    plain, stopped = history(2, 1), history(2, 1, validation_loss=[1, 2])
    assert "overfits" not in remarks.stopping_figure({"a": plain}, 4).data
    assert "overfits" in remarks.stopping_figure({"a": plain, "b": stopped}, 4).data
