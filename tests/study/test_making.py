"""`python -m rdrepro.study`: what it lists, names and makes."""

import pytest

from rdrepro.runs.rows import load_runs
from rdrepro.study import __main__ as command
from rdrepro.study import catalogue, making
from rdrepro.study.catalogue import Batch, Study

SMALL = {"preset": "demo", "backbone": "resnet18", "weights": "random", "image_size": 64}
SMALL |= {"category": "bottle", "data_seed": 1}


@pytest.fixture
def study(monkeypatch):
    """A study of two small runs, the first of which asks for more channels than there are."""
    bad = {"method": "padim", "padim_channels": 5000}
    made_up = Study("small", "?", (Batch(SMALL, ([bad, {"epochs": 1}],)),), (), None)
    monkeypatch.setitem(catalogue.BY_NAME, "small", made_up)
    return made_up


def test_a_dry_run_makes_nothing_and_says_what_is_missing(study, tmp_path, capsys):
    assert command.main(["small", "--dry-run", "--results-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "small: 0 of 2 runs have a row" in said and said.count("missing:") == 2
    assert not list(tmp_path.rglob("*.json"))


def test_a_run_that_fails_does_not_stop_the_others_and_is_listed_at_the_end(
    study, tmp_path, capsys
):
    arguments = ["small", "--results-dir", str(tmp_path)]
    assert command.main(arguments) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("not made:") and "padim_channels=5000" in said[-1]
    assert any(line.startswith("[2 of 2, about") for line in said)
    rows = load_runs(tmp_path / "runs")
    assert list(rows["study"]) == ["small"] and rows["provenance.threads"].item() == 1
    making_again = making.missing(study, rows.assign(**{"provenance.dirty": False}), lambda c: None)
    assert len(making_again) == 1


def test_an_unknown_name_and_a_file_that_is_not_there_are_answered_in_a_sentence(tmp_path, capsys):
    assert command.main(["tabel3"]) == 2
    assert "Did you mean 'table3'" in capsys.readouterr().out
    assert command.main(["table3", "--weights", f"resnet18={tmp_path / 'none.pth'}"]) == 2
    assert "BACKBONE=PATH" in capsys.readouterr().out
    (tmp_path / "some.pth").touch()
    assert command.main(["table3", "--weights", f"resnet19={tmp_path / 'some.pth'}"]) == 2
    assert "resnet18 or wide_resnet50_2" in capsys.readouterr().out
    assert command.main(["table3", "--dry-run", "--data-root", str(tmp_path / "none")]) == 2
    assert "is no folder" in capsys.readouterr().out


def test_a_file_that_is_no_row_is_named(tmp_path, capsys):
    (tmp_path / "runs" / "other").mkdir(parents=True)
    (tmp_path / "runs" / "other" / "broken.json").write_text("{")
    assert command.main(["readme", "--dry-run", "--results-dir", str(tmp_path)]) == 2
    assert "broken.json" in capsys.readouterr().out


def test_weights_of_a_hash_are_asked_for(tmp_path, monkeypatch, capsys):
    run = {"preset": "mkd", "weights": "sha256:c6202c684b82fdf2", "dataset": "synthetic"}
    study = Study("small", "?", (Batch(run),), (), None)
    monkeypatch.setitem(catalogue.BY_NAME, "small", study)
    assert command.main(["small", "--results-dir", str(tmp_path)]) == 1
    assert "--weights vgg16=PATH" in capsys.readouterr().out


@pytest.mark.parametrize("wanted", ["sha256:ab", "IMAGENET1K_V1", "random", "pretrained"])
def test_other_weights_than_a_study_wants_are_refused(wanted):
    with pytest.raises(ValueError, match=f"the study wants {wanted}"):
        making._check_weights(wanted, "sha256:cd")
    making._check_weights(wanted, wanted)
    making._check_weights("pretrained", "pretrained:a1_in1k")


def test_embedded_runs_take_no_data_root(study, tmp_path, capsys):
    arguments = ["small", "--results-dir", str(tmp_path), "--data-root", str(tmp_path)]
    command.main(arguments)
    assert "embedded data need none" not in capsys.readouterr().out
    assert len(load_runs(tmp_path / "runs")) == 1


def test_rows_that_will_count_nowhere_are_announced(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rdrepro.runs.provenance.git_state", lambda: ("0" * 40, True))
    assert command.main(["small", "--results-dir", str(tmp_path)]) == 1
    assert "marked dirty and will count in no table" in capsys.readouterr().out
    monkeypatch.setattr("rdrepro.runs.provenance.git_state", lambda: ("0" * 40, False))
    assert making.caution() == ""


def test_the_list_names_studies_and_tables(capsys):
    assert command.main(["list"]) == 0
    said = capsys.readouterr().out
    assert "medical-table3" in said and "table5: paper, paper-bottlenecks" in said
