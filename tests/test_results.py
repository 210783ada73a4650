"""Rows: valid, atomic, never overwritten, without a path of the machine; tables beside print."""

import json
import shutil
import subprocess
from dataclasses import replace

import pytest

import rdrepro as rd
from rdrepro import paths
from rdrepro.config import FIELD_NAMES
from rdrepro.runs import provenance
from rdrepro.runs import rows as results
from rdrepro.study import tables


@pytest.fixture(scope="module")
def finished(small_mvtec, tmp_path_factory):
    """A finished tiny run: run, row, predictions."""
    run = rd.resolve(
        data_root=str(small_mvtec),
        category="bottle",
        preset="quick",
        backbone="efficientnet_lite0",
        image_size=64,
        epochs=2,
        device="cpu",
        results_dir=str(tmp_path_factory.mktemp("results")),
    )
    started = rd.now()
    trained = rd.train(run, run.dataset("train"))
    predictions = rd.predict(trained.model, run.dataset("test"), run.config)
    row = rd.make_row(run, trained, predictions, rd.evaluate(predictions), started)
    return run, row, predictions


def test_a_row_says_everything_and_no_path(finished, small_mvtec):
    run, row, predictions = finished
    assert set(row["config"]) == set(FIELD_NAMES)
    assert row["status"] == "complete"
    assert row["counts"]["train"] == 6
    assert len(row["history"]["loss"]) == 2
    assert row["scores"]["path"] == predictions.paths
    assert row["scores"]["score"] == pytest.approx(predictions.scores, rel=1e-5)
    text = json.dumps(row)
    for secret in (str(small_mvtec), str(run.results_dir), str(paths.ROOT)):
        assert secret not in text


def test_a_run_executed_in_one_call_gives_the_same_row(finished):
    run, row, _ = finished
    again = rd.execute(run)
    for part in ("config", "metrics", "counts", "history", "scores"):
        assert again[part] == row[part]
    assert again["provenance"]["student_reused"] and not row["provenance"]["student_reused"]


def test_metrics_can_be_had_again_from_the_scores(finished):
    _, row, _ = finished
    again = rd.auroc(row["scores"]["score"], row["scores"]["label"])
    assert again == pytest.approx(row["metrics"]["image_auroc"], abs=1e-6)


def test_no_row_overwrites_another(finished, tmp_path):
    _, row, _ = finished
    files = [rd.save_row(row, tmp_path / "runs") for _ in range(3)]
    assert len({f.name for f in files}) == 3
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == sorted(f.name for f in files)
    assert json.loads(files[2].read_text()) == row


def test_an_invalid_row_is_not_written(finished, tmp_path):
    _, row, _ = finished
    for change in (
        {"metrics": row["metrics"] | {"image_auroc": 1.2}},
        {"config": {k: v for k, v in row["config"].items() if k != "seed"}},
        {"surprise": 1},
        {"scores": row["scores"] | {"path": ["/absolute"]}},
    ):
        with pytest.raises(ValueError, match=r"does not fit schema\.json"):
            rd.save_row(row | change, tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_a_row_that_cannot_be_written_leaves_nothing(finished, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    _, row, _ = finished
    monkeypatch.setattr(results.os, "link", full)
    monkeypatch.setattr(results.Path, "rename", full)
    with pytest.raises(OSError, match="no space"):
        rd.save_row(row, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_hard_links_serves_too(finished, tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError("operation not supported")

    monkeypatch.setattr(results.os, "link", unsupported)
    files = [rd.save_row(finished[1], tmp_path) for _ in range(2)]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f.name for f in files)


def test_a_row_is_dirty_where_its_training_was(finished, monkeypatch):
    run, row, predictions = finished
    trained = rd.train(run, run.dataset("train"))
    assert trained.reused and trained.environment == row["provenance"]["trained"]

    def dirty_after(training, testing):
        monkeypatch.setattr(
            results, "environment", lambda _: trained.environment | {"dirty": testing}
        )
        earlier = replace(trained, environment=trained.environment | {"dirty": training})
        made = rd.make_row(run, earlier, predictions, row["metrics"], rd.now())
        return made["provenance"]["dirty"]

    assert dirty_after(training=True, testing=False) is True
    assert dirty_after(training=False, testing=True) is True
    assert dirty_after(training=False, testing=False) is False
    assert dirty_after(training=None, testing=False) is None


def test_rows_are_read_back_as_a_table(finished, tmp_path):
    _, row, _ = finished
    assert rd.load_runs(tmp_path).empty
    file = rd.save_row(row, tmp_path / "study")
    table = rd.load_runs(tmp_path)
    assert table.loc[0, "category"] == "bottle"
    assert table.loc[0, "image_auroc"] == row["metrics"]["image_auroc"]
    assert table.loc[0, "provenance.device"] == "cpu"
    assert table.loc[0, "file"] == f"study/{file.name}"
    assert table.loc[0, "study"] == "study"
    whole = file.read_text()
    file.write_text(whole.replace('"image_auroc": ', '"image_auroc": NaN, "image_ap": ', 1))
    with pytest.raises(ValueError, match=rf"{file.name} is no result row: NaN is no number"):
        rd.load_runs(tmp_path)
    file.write_text("{")
    with pytest.raises(ValueError, match=rf"{file.name} is no result row"):
        rd.load_runs(tmp_path)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_dirty_means_a_tracked_file_outside_results(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert provenance.git_state() == (None, None)
    (tmp_path / "results").mkdir()
    for name in ("code.py", "results/table.md"):
        (tmp_path / name).write_text("a")
    git("init")
    git("add", ".")
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-m", "first")
    assert provenance.git_state()[1] is False
    (tmp_path / "results/table.md").write_text("b")
    (tmp_path / "untracked.txt").write_text("b")
    assert provenance.git_state()[1] is False
    (tmp_path / "code.py").write_text("b")
    assert provenance.git_state()[1] is True


def test_a_real_category_stands_beside_its_printed_numbers(finished):
    run, row, _ = finished
    run = replace(run, config=replace(run.config, image_size=256))
    table = rd.beside_print(row["metrics"], run)
    assert table["paper (%)"].dropna().to_dict() == {
        "image_auroc": 100.0,
        "pixel_auroc": 98.7,
        "pixel_aupro_official": 96.6,
    }
    ours = 100 * row["metrics"]["pixel_auroc"]
    assert table.loc["pixel_auroc", "difference"] == pytest.approx(ours - 98.7, abs=0.051)
    assert rd.protocol_table(run).loc["epochs"].tolist() == ["2", "200"]
    assert "category" not in rd.protocol_table(run).index


def test_another_resolution_stands_beside_nothing(finished):
    run, row, _ = finished
    assert run.config.image_size != 256
    assert list(rd.beside_print(row["metrics"], run)) == ["ours (%)"]


def test_embedded_data_stand_beside_nothing():
    run = rd.resolve(preset="demo", category="bottle")
    assert list(rd.beside_print({"image_auroc": 0.9}, run)) == ["ours (%)"]


def test_latest_row_is_the_demos(finished, monkeypatch, tmp_path):
    monkeypatch.setenv("RDREPRO_RESULTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="make demo"):
        tables.latest_row()
    rd.save_row(finished[1], tmp_path / "demo")
    digits = {"dataset": "digits", "category": "3", "normal_class": 3, "score": "sum"}
    later = {**finished[1], "config": finished[1]["config"] | digits}
    later["metrics"] = later["metrics"] | {"image_auroc": 0.123}
    rd.save_row(later, tmp_path / "demo")  # 03_novelty's rows lie in the same folder
    expected = round(100 * finished[1]["metrics"]["image_auroc"], 1)
    assert tables.latest_row().loc["image_auroc", "%"] == expected
