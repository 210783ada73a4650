"""Sentences on medical images, from small tables whose numbers one can follow."""

import numpy as np
import pandas as pd

from rdrepro.study import medical_text
from rdrepro.study.tiers import PRINTED_PROTOCOL, REDUCED

EMPTY = pd.DataFrame()


def columns(*lines):
    """Lines of `columns_table`: tier, teacher, epochs, and whether the intervals overlap."""
    names = ["tier", "teacher", "epochs", "overlap"]
    table = pd.DataFrame(lines, columns=names)
    return table.assign(
        dataset="head_ct", printed_low=50.0, printed_high=[70.0, 80.0][: len(table)]
    )


def steps(*lines):
    """Lines of `steps_table` for one printed step each: teacher, batch norms, step, noise."""
    names = ["teacher", "batch norms", "step", "printed step", "noise"]
    table = pd.DataFrame(lines, columns=names)
    larger = table["printed step"].abs() > table["noise"]
    words = np.where(larger, "larger than noise", "not shown")
    return table.assign(data="Head CT", **{"printed step is": words})


STEPS = steps(
    ("ResNet-18", "train", "Ours to Ours+ES", 4.1, 3.0),
    ("ResNet-18", "frozen", "Ours to Ours+ES", 4.1, 7.0),
    ("ResNet-18", "frozen", "Ours to Ours+L_MKD", -8.0, 9.0),
)
EARLIER = pd.DataFrame(
    {
        "random folds": [5, 5, 5, 5, 1, 1],
        "numbered folds": [5, 5, 3, 0, 1, 0],
        "change": [-4.0, 1.0, -50.0, np.nan, 70.0, np.nan],
    }
)


def test_the_finding_names_tiers_overlaps_steps_and_what_is_missing():
    table = columns(
        (REDUCED, "resnet18", 60, "overlaps"), (REDUCED, "vgg16", 50, "does not overlap")
    )
    assert medical_text.medical_found(table, STEPS, EARLIER) == [
        "None of our 2 results follows the printed protocol, so no printed value has a verdict. "
        "They use ResNet-18 and VGG-16 as teachers and 50 and 60 epochs.",
        "In 1 of 2 results, our interval overlaps that of the printed value.",
        "The printed values' intervals are 20 to 30 points wide, so overlap is weak evidence.",
        "Of 2 printed differences between columns, 1 is larger than noise.",
        "Brain MRI and Retinal OCT have not run.",
        "On Head CT, the split by file number changes the AUROC by -1.5 points on average, "
        "compared with the random split.",
    ]


def test_the_finding_counts_results_of_the_printed_protocol():
    mixed = columns((PRINTED_PROTOCOL, "resnet18", 199, ""), (REDUCED, "vgg16", 60, ""))
    said = medical_text.medical_found(mixed, EMPTY, EMPTY)
    assert said[0].startswith("1 of our 2 results follows the printed protocol. The others use VGG")
    whole = medical_text.medical_found(mixed[:1], EMPTY, EMPTY)
    assert whole[0] == "All 1 results follow the printed protocol."
    assert len(said) == len(whole) == 2  # without overlaps, steps and splits


def test_without_rows_sentences_say_so_or_are_empty():
    assert medical_text.medical_found(EMPTY, EMPTY, EMPTY) == [
        "No run on medical images is here yet."
    ]
    verdicts = ("steps", "again", "habits", "long", "earlier_split")
    assert [getattr(medical_text, f"{name}_verdict")(EMPTY) for name in verdicts] == [""] * 5


def test_the_verdict_names_the_steps_larger_than_noise_and_what_chance_gives():
    assert medical_text.steps_verdict(STEPS) == (
        "We can judge 2 printed steps between columns. 1 of them is larger than noise. "
        "Head CT, Ours to Ours+ES (+4.1 points): larger than noise by 1 of 2 teachers "
        "(ResNet-18, batch norms: train: noise 3.0). Each step is judged at 95 % by itself. "
        "Of 2 steps that change nothing, about 0.1 would look larger than noise by chance."
    )
    assert "None of them is larger than noise. Each" in medical_text.steps_verdict(STEPS[1:])


def test_the_verdict_on_other_seeds_counts_folds_and_has_the_largest_move():
    table = pd.DataFrame(
        {
            "inside": [4, 5],
            "new folds": [5, 5],
            "first mean": [70.0, 80.0],
            "new mean": [74.1, 79.0],
        }
    )
    assert medical_text.again_verdict(table) == (
        "With another seed and other folds, 9 of 10 folds lie inside the interval of one more "
        "fold. The means of the folds move by up to 4.1 points."
    )


def test_a_habit_counts_where_neither_interval_contains_zero():
    table = pd.DataFrame(
        [
            ("sum of maps", "head_ct", -2.0, -3, -1, -4, -0.5),
            ("256 pixels", "head_ct", -5.0, -9, -1, -11, 0.1),
            ("256 pixels", "brain_mri", 1.0, -1, 3, 0.5, 2),
        ],
        columns=["habit", "dataset", "mean", "low", "high", "fold_low", "fold_high"],
    )
    assert medical_text.habits_verdict(table) == (
        "In 1 of 3 lines, neither interval contains 0: sum of maps on Head CT (-2.0 points)."
    )
    assert medical_text.habits_verdict(table[1:]) == (
        "In 0 of 2 lines, neither interval contains 0."
    )


def test_longer_training_has_its_smallest_and_largest_change():
    table = pd.DataFrame({"ours": [70.0, 60.0], "ours, long": [72.8, 59.4]})
    assert medical_text.long_verdict(table).endswith("by -0.6 to +2.8 points.")


def test_the_verdict_on_the_random_split_counts_whole_results_and_averages_several_folds():
    assert medical_text.earlier_split_verdict(EARLIER) == (
        "3 of 6 results of the random split have also run in full by file number. Without 1 "
        "result of a single fold, their means change by -4.0 to +1.0 points. The average change "
        "is -1.5 points."
    )
    few = EARLIER[EARLIER["numbered folds"].isin([0, 3])]
    assert medical_text.earlier_split_verdict(few).startswith("None of 3 results")
    single = medical_text.earlier_split_verdict(EARLIER[4:])
    assert single.startswith("1 of 2 results") and single.endswith("which are not averaged.")
