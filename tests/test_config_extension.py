"""RunConfig's settings of the extension: medical splits, early stopping, the weight of its loss."""

import pytest

from rdrepro.config import RunConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "official", "fold": None}, "split='official' is not one of head_ct's"),
        ({"split": "kfold", "fold": 5}, "fold=5 must be 0 to 4"),
        ({"split": "kfold", "fold": None}, "fold=None must be 0 to 4"),
        ({"split": "report", "fold": -1}, "fold=-1 must be 0 or more, the number of a draw"),
        ({"split": "kfold", "fold": 0, "category": "bottle"}, "category='bottle' must be 'normal'"),
        ({"split": "kfold", "fold": 0, "early_stopping": "leaky"}, "patience=None must be"),
        ({"split": "kfold", "fold": 0, "patience": 3}, "have no meaning with early_stopping"),
    ],
)
def test_medical_settings_without_a_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**{"dataset": "head_ct", "category": "normal", **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"early_stopping": "leaky", "patience": 15}, "'leaky' has no meaning with mvtec"),
        ({"fold": 0}, "fold has no meaning with dataset='mvtec'"),
        (
            {"dataset": "digits", "category": "0", "normal_class": 0, "split": "kfold"},
            "split='kfold' is not official or validation",
        ),
    ],
)
def test_leaks_and_folds_are_of_medical_data_sets_alone(settings, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**settings)


def test_a_weight_without_a_loss_that_it_weighs_is_refused():
    with pytest.raises(
        ValueError, match="mkd_weight=5 has no meaning with loss='kd' and score='ma"
    ):
        RunConfig(mkd_weight=5)
    for given in ({"loss": "mkd"}, {"loss": "mkd_coded"}, {"score": "mkd_loss"}):
        assert RunConfig(mkd_weight=5, **given).mkd_weight == 5
