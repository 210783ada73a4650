"""Rows: valid, written whole or not at all, never overwritten, and read back as a table."""

import json

import pytest

import rdrepro as rd
from rdrepro.runs import rows
from rdrepro.runs.rows import read_scores


def test_metrics_can_be_computed_again_from_the_scores(finished):
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
    monkeypatch.setattr(rows.os, "link", full)
    monkeypatch.setattr(rows.Path, "rename", full)
    with pytest.raises(OSError, match="no space"):
        rd.save_row(row, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_hard_links_serves_too(finished, tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError("operation not supported")

    monkeypatch.setattr(rows.os, "link", unsupported)
    files = [rd.save_row(finished[1], tmp_path) for _ in range(2)]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f.name for f in files)


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


def test_many_scores_lie_beside_the_row(digits_outcome, tmp_path, monkeypatch):
    row = digits_outcome.row
    inline = rd.load_runs(rd.save_row(row, tmp_path / "few" / "s").parents[1]).iloc[0]
    assert read_scores(inline) == row["scores"]
    monkeypatch.setattr("rdrepro.runs.rows.MOST_SCORES", 100)
    file = rd.save_row(row, tmp_path / "many" / "s")
    assert file.name.startswith("digits-1-efficientnet_lite0-s111-")
    line = rd.load_runs(tmp_path / "many").iloc[0]
    assert list(line["scores"]) == ["file"]
    assert read_scores(line, tmp_path / "many") == row["scores"]
    (file.parent / line["scores"]["file"]).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"scores digits-1-.* cannot be read"):
        read_scores(line, tmp_path / "many")
