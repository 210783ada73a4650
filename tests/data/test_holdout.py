"""Images held out to validate on: whole groups of duplicates, none of them trained on."""

import pytest
from trees import brain_tree

import rdrepro as rd
from rdrepro.data.holdout import Part, hold_out, normals_of
from rdrepro.data.medical import MedicalImages


def test_likely_duplicates_of_held_out_images_are_not_trained_on():
    class Images:
        groups, sure_groups = [0, 0, 1, 2, 3, 4, 5, 6], list(range(8))

        def __len__(self):
            return 8

        def counts(self):
            return {"normal": 8}

    parted = 0
    for seed in range(20):
        train, held = hold_out(Images(), 0.25, seed)
        groups = [{Images.groups[i] for i in part.indices} for part in (train, held)]
        assert not groups[0] & groups[1] and len(held) == 2
        parted += len(train) + len(held) < 8
    assert parted  # it happened
    Images.groups = [0] * 8
    with pytest.raises(ValueError, match="holds out 2 and leaves 0; both parts need images"):
        hold_out(Images(), 0.25, 1)


def test_held_out_images_are_whole_groups_of_a_quarter(tmp_path):
    data = MedicalImages(brain_tree(tmp_path, normal=22), "brain_mri", "train", 32, "kfold", 0)
    for seed in range(5):
        train, held = hold_out(data, 0.25, seed)
        assert len(train) + len(held) == len(data)
        assert 0 <= round(len(data) / 4) - len(held) <= 1
        groups = [{part[i]["group"] for i in range(len(part))} for part in (train, held)]
        assert not groups[0] & groups[1]
        assert train.counts() == {"normal": len(train)}
    first, again = (hold_out(data, 0.25, 1)[0].fingerprint() for _ in range(2))
    assert first == again != hold_out(data, 0.25, 2)[0].fingerprint()
    with pytest.raises(ValueError, match="holds out 0 and leaves 2; both parts need images"):
        hold_out(Part(data, [0, 1], "normal"), 0.1, 1)


@pytest.fixture
def scans(tmp_path):
    """A function from an `early_stopping` to its run on the drawn scans."""

    def resolve(kind):
        given = {"dataset": "scans", "image_size": 32, "results_dir": str(tmp_path)}
        return rd.resolve(**given, early_stopping=kind)

    return resolve


def test_images_held_out_of_training_validate(scans):
    run = scans("train")
    train, held = run.dataset("train"), run.validation()
    assert len(train) + len(held) == len(run.whole("train"))
    assert run.config.validation_fraction == 0.25
    groups = [{part[i]["group"] for i in range(len(part))} for part in (train, held)]
    assert not groups[0] & groups[1]


def test_leaky_early_stopping_validates_on_the_tested_normal_images(scans):
    run = scans("leaky")
    tested, validated = run.dataset("test"), run.validation()
    normal = {tested[i]["path"] for i in range(len(tested)) if not tested[i]["gt_label"]}
    assert {validated[i]["path"] for i in range(len(validated))} == normal
    assert len(run.dataset("train")) == len(run.whole("train"))
    assert len(normals_of(tested)) == len(normal)


def test_nothing_validates_without_early_stopping(scans):
    run = scans("none")
    assert run.validation() is None and len(run.dataset("train")) == len(run.whole("train"))
