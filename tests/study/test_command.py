"""`python -m rdrepro.study`: what it lists, names and refuses, without running anything."""

import pytest
from builders import ROOT

from rdrepro import paths
from rdrepro.study import __main__ as command


@pytest.fixture(autouse=True)
def checkout(monkeypatch):
    monkeypatch.setattr(paths, "ROOT", ROOT)


def said(capsys, *arguments):
    code = command.main(list(arguments))
    return code, capsys.readouterr().out


def test_the_list_names_studies_and_tables(capsys):
    code, text = said(capsys, "list")
    assert code == 0 and "medical-table3" in text and "table5: paper, paper-bottlenecks" in text


@pytest.mark.parametrize(
    "arguments, answer",
    [
        (["tabel3"], "Did you mean 'table3'"),
        (["embedded", "wood"], "'wood' is one name too many"),
        (["embedded", "--seeds", "none"], "seeds='none' must be a whole number from 1 to 1000"),
        (["embedded", "--cores", "0"], "--cores '0' must be a whole number above zero, or all"),
        (["embedded", "--set", "epochs"], "SET: 'epochs'"),
        (["embedded", "--only", "category=wod"], "no run with category=wod"),
        (["embedded", "--profile", "slrum"], "not one of gpus, kubernetes, slurm"),
        (["table3", "--data-root", "/nowhere"], "the data root '/nowhere' is not a folder"),
        (["table3", "--weights", "resnet18=/nowhere.pth"], "BACKBONE=PATH"),
        (["rerun"], "rerun needs the file of a row"),
    ],
)
def test_wrong_arguments_are_answered_in_a_sentence(capsys, arguments, answer):
    code, text = said(capsys, *arguments)
    assert code == 2 and answer in text and text.count("\n") == 1


def test_a_study_whose_rows_are_there_does_nothing(capsys, monkeypatch):
    monkeypatch.setenv("RDREPRO_RESULTS", str(ROOT / "results"))
    monkeypatch.setattr("rdrepro.study.plan.git_state", lambda: ("0" * 40, False))
    code, text = said(capsys, "embedded")
    assert code == 0 and "embedded: 15 of 15 runs have a row" in text


def test_a_dry_run_says_what_is_missing_and_what_it_needs_and_makes_nothing(
    capsys, small_mvtec, tmp_path
):
    where = ["--results-dir", str(tmp_path / "r"), "--data-root", str(small_mvtec), "--dry-run"]
    changes = ["--set", "weights=random", "--only", "category=bottle,wood", "--seeds", "1"]
    code, text = said(capsys, "paper", *where, *changes)
    assert code == 1 and "paper: 0 of 2 runs have a row" in text
    assert "1 runs cannot start" in text and "no category 'wood'" in text
    assert "to run: paper: preset=paper seed=1 category=bottle" in text
    assert not list((tmp_path / "r").rglob("*.json.*")) and not list(tmp_path.rglob("*.done"))
