"""Rows: valid, written whole or not at all, never overwritten, and read back as a table."""

import errno
import json

import pytest
from builders import ROOT, load, make_row

import rdrepro as rd
from rdrepro.config import LATER_FIELDS, RunConfig, eval_key, train_key
from rdrepro.runs import rows
from rdrepro.runs.rows import read_scores, result_of
from rdrepro.study.compare import left_out


def test_metrics_can_be_computed_again_from_the_scores(finished):
    _, row, _ = finished
    again = rd.auroc(row["scores"]["score"], row["scores"]["label"])
    assert again == pytest.approx(row["metrics"]["image_auroc"], abs=1e-6)


def changed(row, place="metrics", **values):
    """A row with other values in one of its parts."""
    return row | {place: row[place] | values}


def test_no_row_overwrites_another(finished, tmp_path):
    _, row, _ = finished
    others = [row, changed(row, image_auroc=0.25), changed(row, image_auroc=0.5)]
    files = [rd.save_row(other, tmp_path) for other in others]
    assert [f.name.removeprefix(files[0].stem) for f in files] == [".json", "-2.json", "-3.json"]
    assert [json.loads(f.read_text()) for f in files] == others


def test_the_same_result_again_is_the_same_row(finished, tmp_path):
    _, row, _ = finished
    first = rd.save_row(row, tmp_path)
    before = first.read_bytes()
    later = changed(row, "provenance", finished="2026-11-11T11:11:11+00:00", threads=7)
    later = changed(later, "cost", train_seconds=99.0)
    assert rd.save_row(later, tmp_path) == first and first.read_bytes() == before


def test_a_clean_row_does_not_hide_behind_a_dirty_one(finished, tmp_path):
    _, row, _ = finished
    clean, dirty = (changed(row, "provenance", dirty=d) for d in (False, True))
    first, second = rd.save_row(dirty, tmp_path), rd.save_row(clean, tmp_path)
    assert first != second
    assert rd.save_row(dirty, tmp_path) == first and rd.save_row(clean, tmp_path) == second


def test_measured_times_are_results(finished, tmp_path):
    _, row, _ = finished
    quartiles = {f"{k}_seconds": [0.1, 0.2, 0.3] for k in ("image", "teacher", "student", "map")}
    timed = changed(row, "cost", **quartiles)
    assert len({rd.save_row(timed, tmp_path) for _ in range(2)}) == 2


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


def test_a_full_disk_is_named_and_leaves_nothing(finished, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    _, row, _ = finished
    monkeypatch.setattr(rows.Path, "write_text", full)
    with pytest.raises(OSError, match=r"\.json was not written, since the disk is full; free"):
        rd.save_row(row, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".rows.lock"]


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
    assert "NaN is not a JSON number" in unreadable(tmp_path)[f"study/{file.name}"]
    file.write_text("{")
    assert "not a result row: Expecting" in unreadable(tmp_path)[f"study/{file.name}"]


def unreadable(folder):
    """The files that `load_runs` leaves out of a folder, when a good row lies beside them."""
    return rd.load_runs(folder).attrs["unreadable"]


def test_texts_are_objects_as_in_pandas_2(tmp_path):
    runs = load([make_row(category="bottle"), make_row(category="cable")], tmp_path)
    assert runs["category"].dtype == runs["provenance.device"].dtype == object
    assert runs["epochs"].dtype == int and runs["image_auroc"].dtype == float
    assert len(runs._mgr.blocks) == len(set(runs.dtypes))


def test_a_file_that_is_no_row_is_named_and_the_others_are_read(finished, tmp_path, capsys):
    _, row, _ = finished
    good = rd.save_row(row, tmp_path / "study")
    for name, text in {"cut.json": "{", "deep.json": "[" * 100_000, "list.json": "[]"}.items():
        (good.parent / name).write_text(text)
    edited = {
        "time": changed(row, "provenance", finished="2026-13-45T99:99"),
        "script": changed(row, "provenance", finished="2026-01-01T00:00 <script>"),
    }
    for name, content in edited.items():
        (good.parent / f"{name}.json").write_text(json.dumps(content))
    table = rd.load_runs(tmp_path)
    assert table["file"].tolist() == [f"study/{good.name}"]
    assert set(table.attrs["unreadable"]) == {
        f"study/{name}.json" for name in ("cut", "deep", "list", *edited)
    }
    assert "cut.json is not a result row and is left out" in capsys.readouterr().out
    listed = left_out(table)
    assert listed.set_index("row")["reason"]["study/list.json"].startswith("not a result row")


def test_rows_that_others_sent_bear_their_name(finished, tmp_path):
    _, row, _ = finished
    rd.save_row(row, tmp_path / "paper" / "lab-of-a")
    rd.save_row(row, tmp_path / "paper")
    table = rd.load_runs(tmp_path)
    assert sorted(zip(table["study"], table["sender"], strict=True)) == [
        ("paper", ""),
        ("paper", "lab-of-a"),
    ]


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


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"data_seed": 2}, {"data_seed": 1}),
        ({"method": "padim", "batch_size": 32, "seed": 5}, {"batch_size": 16, "seed": 5}),
        ({"method": "spade", "batch_size": 32, "seed": 5}, {"batch_size": 16, "seed": 111}),
        ({"bottleneck": "pretrained", "oce_width": 64}, {"oce_width": 128}),
        ({"sigma": -0.0}, {"sigma": 0.0}),
    ],
)
def test_rows_are_read_in_their_normal_form_and_files_stay(written, read, tmp_path):
    older, newer = make_row(**written), make_row(**written | read)
    runs = load([older, newer], tmp_path)
    assert len(runs) == 2
    for name, value in read.items():
        assert set(map(str, runs[name])) == {str(value)}
    keys = [row["provenance"]["eval_key"] for row in (older, newer)]
    assert sorted(runs["provenance.eval_key"]) == sorted(keys)
    assert older in [json.loads(file.read_text()) for file in tmp_path.rglob("*.json")]
    assert result_of(older) == result_of(newer)


def test_the_keys_of_committed_rows_are_those_of_their_files():
    files = sorted((ROOT / "results" / "runs").rglob("*.json"))
    assert len(files) >= 927
    for file in files:
        row = json.loads(file.read_text())
        config, said = RunConfig(**row["config"]), row["provenance"]
        data = said["train_data_sha256"], said["test_data_sha256"]
        assert said["train_key"] == train_key(config, data[0]), file
        assert said["eval_key"] == eval_key(config, *data), file


def test_a_row_that_is_older_than_a_setting_has_the_same_result(finished, tmp_path):
    _, row, _ = finished
    older = row | {"config": {k: v for k, v in row["config"].items() if k not in LATER_FIELDS}}
    assert older != row and result_of(older) == result_of(row)
