"""The registry of data sets: what each one has, and how what it lacks is refused."""

import dataclasses
import re
import textwrap

import pytest
from builders import ROOT

from rdrepro import registry
from rdrepro.registry import (
    DATASETS,
    MEDICAL,
    MVTEC,
    ONE_CLASS,
    check_category,
    check_choice,
    check_class,
    check_dataset,
    check_split,
    of_family,
    title_of,
)


def test_every_data_set_belongs_to_one_family():
    named = [name for family in (MVTEC, ONE_CLASS, MEDICAL) for name in of_family(family)]
    assert sorted(named) == sorted(DATASETS)
    titles = [entry.title for entry in DATASETS.values()]
    assert len(set(titles)) == len(titles)


def recipes():
    """The entries that CONTRIBUTING.md shows, as typed there."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    blocks = re.findall(r"^    DataSet\(\n(?:    .*\n)+?    \)$", text, re.M)
    assert len(blocks) == 2
    return [eval(textwrap.dedent(block), vars(registry).copy()) for block in blocks]


@pytest.mark.parametrize("entry", [*registry.ENTRIES, *recipes()], ids=lambda entry: entry.name)
def test_every_data_set_can_be_had_or_says_what_its_images_are(entry):
    downloaded = entry.family == ONE_CLASS  # by torchvision
    assert (
        entry.banner or downloaded or "unpack it" in entry.how_to_get or "draw" in entry.how_to_get
    )
    assert bool(entry.banner) == entry.embedded
    assert len(set(entry.categories)) == len(entry.categories) > 0
    assert not (entry.embedded and entry.tables)  # no printed number belongs to embedded data


def test_titles():
    assert title_of("head_ct") == "Head CT"
    assert title_of("something else") == "something else"


def test_an_unknown_data_set_is_refused_with_the_nearest_of_its_family():
    check_dataset("mnist")
    check_dataset("mnist", ONE_CLASS)
    with pytest.raises(ValueError, match=r"dataset='mnistt' is not mvtec, .* mean 'mnist'"):
        check_dataset("mnistt")
    with pytest.raises(ValueError, match=r"dataset='mvtec' is not head_ct, .* or scans"):
        check_dataset("mvtec", MEDICAL)


def test_an_unknown_category_is_refused_with_the_nearest_one(monkeypatch):
    check_category("wood")
    with pytest.raises(ValueError, match=r"'wod' is not one of the 15 categories of MVTec AD\."):
        check_category("wod")
    parts = dataclasses.replace(DATASETS["mvtec"], name="parts", title="Parts", categories=("nut",))
    monkeypatch.setitem(DATASETS, "parts", parts)
    check_category("nut", "parts")
    with pytest.raises(ValueError, match="'wood' is not one of the 1 categories of Parts"):
        check_category("wood", "parts")


@pytest.mark.parametrize(
    ("dataset", "number", "message"),
    [
        ("fashion_mnist", 10, "normal_class=10 is not a class of fashion_mnist: 0 t-shirt, 1 t"),
        ("digits", None, "normal_class=None is not a class of digits"),
        ("digits", -1, "normal_class=-1 is not a class of digits"),
        ("mvtec", 0, "dataset='mvtec' is not mnist, "),
    ],
)
def test_classes_that_a_data_set_lacks_are_refused(dataset, number, message):
    with pytest.raises(ValueError, match=message):
        check_class(dataset, number)


@pytest.mark.parametrize(
    ("dataset", "split", "fold"),
    [("head_ct", "kfold", 4), ("head_ct", "report", 9), ("retinal_oct", "official", None)],
)
def test_splits_that_exist(dataset, split, fold):
    check_split(dataset, split, fold)


@pytest.mark.parametrize(
    ("dataset", "split", "fold", "message"),
    [
        ("mvtec", "kfold", 0, "dataset='mvtec' is not head_ct, "),
        (
            "head_ct",
            "official",
            None,
            "split='official' is not one of head_ct's: blocks, kfold or report",
        ),
        ("retinal_oct", "official", 1, "fold=1 has no meaning with split='official'"),
        ("head_ct", "kfold", 5, "fold=5 must be 0 to 4, with split='kfold'"),
        ("head_ct", "kfold", None, "fold=None must be 0 to 4"),
        ("head_ct", "report", -1, "fold=-1 must be 0 or more, the number of a draw"),
    ],
)
def test_splits_and_folds_that_do_not_exist_are_refused(dataset, split, fold, message):
    with pytest.raises(ValueError, match=message):
        check_split(dataset, split, fold)


USUAL = {
    "mvtec": ("wood", None, 1, "official", None),
    "digits": ("3", 3, 1, "validation", None),
    "caltech256": ("draw_2", 2, 3, "official", None),
    "head_ct": ("normal", None, 1, "kfold", 0),
}
PLACES = ("category", "normal_class", "inlier_categories", "split", "fold")


@pytest.mark.parametrize("dataset", USUAL)
def test_what_a_data_set_has_may_be_chosen(dataset):
    check_choice(dataset, *USUAL[dataset])


@pytest.mark.parametrize(
    ("dataset", "name", "value", "message"),
    [
        ("mvtec", "normal_class", 1, "normal_class has no meaning with dataset='mvtec'"),
        ("mvtec", "split", "kfold", "split='kfold' is not official or pasted of mvtec"),
        ("mvtec", "fold", 0, "fold has no meaning with dataset='mvtec'"),
        ("mvtec", "category", "normal", "category='normal' is not one of the 15"),
        ("digits", "inlier_categories", 3, "inlier_categories has no meaning with"),
        ("digits", "split", "kfold", "split='kfold' is not official or validation of digits"),
        ("digits", "category", "4", "category='4' is not '3', that of normal_class"),
        ("caltech256", "split", "validation", "split has no meaning with dataset='caltech256'"),
        ("head_ct", "category", "wood", "category='wood' must be 'normal' in a medical data set"),
        ("head_ct", "fold", 7, "fold=7 must be 0 to 4"),
    ],
)
def test_what_a_data_set_lacks_is_refused(dataset, name, value, message):
    chosen = dict(zip(PLACES, USUAL[dataset], strict=True)) | {name: value}
    with pytest.raises(ValueError, match=message):
        check_choice(dataset, **chosen)
