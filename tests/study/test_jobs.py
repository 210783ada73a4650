"""The jobs of studies: which there are, how they are changed, what their notebooks are given."""

import pytest
from builders import ROOT

from rdrepro import paths
from rdrepro.config import TRAINED, parse_overrides
from rdrepro.registry import DATASETS
from rdrepro.study.catalogue import STUDIES, TABLES
from rdrepro.study.jobs import jobs_of, parameters, parse_changes, parse_only, targets


@pytest.fixture(autouse=True)
def checkout(monkeypatch):
    monkeypatch.setattr(paths, "ROOT", ROOT)


def test_the_targets_are_the_tables_the_studies_and_everything():
    assert {*TABLES, "embedded", "novelty", "everything"} <= set(targets())
    assert len(jobs_of("everything")) == sum(len(study.runs()) for study in STUDIES)


def test_every_job_has_a_name_of_its_own_in_its_study():
    jobs = jobs_of("everything")
    assert len({(job.study.name, job.name) for job in jobs}) == len(jobs)


def test_seeds_are_as_many_as_asked_for_where_a_study_has_several():
    seeds = {job.config.seed for job in jobs_of("paper", seeds=5)}
    assert seeds == {1, 2, 3, 4, 5} and len(jobs_of("paper", seeds=5)) == 75
    assert len(jobs_of("paper", seeds=1)) == 15
    assert jobs_of("embedded", seeds=3) == jobs_of("embedded")  # one run each


def test_changed_settings_reach_every_job_whose_method_has_them():
    changes = parse_changes("epochs=2 backbone=resnet18 weights=random")
    for job in jobs_of("table3", changes=changes):
        own = job.config.method == "mkd"  # whose teacher is no choice
        assert job.config.backbone == ("vgg16" if own else "resnet18")
        assert job.config.weights == "random"
        assert "epochs" not in job.given or job.config.method in TRAINED
        assert job.declared != job.given


def test_jobs_that_changes_make_equal_are_one():
    changes = parse_changes("image_size=64")
    assert len(jobs_of("paper-backbones", changes=parse_changes("backbone=resnet18"))) == 45
    assert len(jobs_of("paper", changes=changes)) == 45


def test_only_limits_the_jobs_and_an_unknown_value_names_the_known_ones():
    jobs = jobs_of("embedded", only=parse_only("category=wood,bottle"))
    assert sorted(job.config.category for job in jobs) == ["bottle", "wood"]
    with pytest.raises(ValueError, match=r"no run with category=wod, only with bottle, cable"):
        jobs_of("embedded", only=parse_only("category=wod"))


@pytest.mark.parametrize(
    "parse, text, said",
    [
        (parse_changes, "epoch=2", "Did you mean 'epochs'"),
        (parse_changes, "epochs", "SET: 'epochs' is not of the form"),
        (parse_changes, "weights=/w/r18.pth", "give the file as WEIGHTS"),
        (parse_only, "categorie=wood", "ONLY: 'categorie=wood' is not"),
    ],
)
def test_mistyped_texts_are_answered_in_a_sentence(parse, text, said):
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_a_notebook_is_given_its_own_parameters_and_the_rest_as_overrides():
    for study in STUDIES:
        jobs = jobs_of(study.name)
        by_name = [j for j in jobs if not j.config.weights.startswith("sha256:c62")]
        job = [*by_name, *jobs][0]
        files = {} if by_name else {"vgg16": "/w/vgg.pth"}
        given = parameters(job, files, {"data_root": "/data", "results_dir": "/results"})
        overrides = parse_overrides(given.pop("overrides", ""))
        assert given["study"] == study.name and given["results_dir"] == "/results"
        assert ("data_root" in given) != DATASETS[job.config.dataset].embedded
        places = {"study", "data_root", "results_dir", "methods", "image_sizes"}
        assert {*given, *overrides} - places <= {*job.given} and not {*given} & {*overrides}


def test_weights_are_found_by_name_or_given_as_a_file():
    job = next(j for j in jobs_of("medical-table3") if j.config.method == "mkd")
    with pytest.raises(FileNotFoundError, match=r"--weights vgg16=PATH"):
        parameters(job, {}, {})
    assert parameters(job, {"vgg16": "/w w/vgg.pth"}, {})["weights"] == "/w w/vgg.pth"
    (random,) = {
        j for j in jobs_of("complexity") if j.config.image_size == 224 and "epochs" in j.given
    }
    assert parameters(random, {"wide_resnet50_2": "/w"}, {})["weights"] == "random"
