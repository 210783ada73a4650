"""Faults during a run cost no data, and a sentence reports each of them."""

import errno
import shutil

import pytest
import torch
from PIL import Image
from safetensors import SafetensorError

import rdrepro as rd
from rdrepro import training
from rdrepro.data.decoded import Decoded
from rdrepro.runs import checkpoints
from rdrepro.runs.checkpoints import FileCheckpoint
from rdrepro.runs.rows import result_of

HERE = {"dirty": False, "threads": 1, "device": "cpu"}
SMALL = {"preset": "quick", "backbone": "efficientnet_lite0", "image_size": 32, "epochs": 3}
SMALL |= {"batch_size": 2, "device": "cpu", "category": "bottle", "precision": "float32"}


@pytest.fixture
def run(small_mvtec, tmp_path, monkeypatch):
    """A function from changed settings to a run on images of its own."""
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0)
    shutil.copytree(small_mvtec, tmp_path / "data")
    return lambda **changes: rd.resolve(**SMALL | changes, data_root=str(tmp_path / "data"))


def full(*_, **__):
    raise SafetensorError("Error while serializing: I/O error: No space left (os error 28)")


def test_a_full_disk_costs_no_training(run, monkeypatch, capsys):
    whole = result_of(rd.execute(run()))
    monkeypatch.setattr(checkpoints, "save_file", full)
    shutil.rmtree(run().results_dir)
    assert result_of(rd.execute(run())) == whole
    said = " ".join(capsys.readouterr().out.split())
    assert "No checkpoint: " in said and "since the disk is full" in said
    assert "The student is not kept: " in said and "The run goes on." in said
    assert [p for p in (run().results_dir / "models").iterdir() if p.suffix == ".tmp"] == []


def test_an_image_that_is_damaged_between_two_epochs_is_named_and_the_run_goes_on_later(
    run, monkeypatch, capsys
):
    undisturbed = result_of(rd.execute(run(overrides="eval_every=1")))
    first = run(overrides="eval_every=1")
    shutil.rmtree(first.results_dir)
    image = first.data_root / "bottle" / "test" / "good" / "000.png"
    content, finish = image.read_bytes(), training._finish_epoch

    def damage(*arguments):
        epoch = finish(*arguments)
        if epoch == 2:
            image.write_bytes(content[: len(content) // 2])
        return epoch

    monkeypatch.setattr(training, "_finish_epoch", damage)
    with pytest.raises(ValueError, match=r"000\.png"):
        rd.execute(first)
    monkeypatch.setattr(training, "_finish_epoch", finish)
    image.write_bytes(content)
    capsys.readouterr()
    assert result_of(rd.execute(run(overrides="eval_every=1"))) == undisturbed
    assert "resumed in epoch 2" in capsys.readouterr().out


def test_images_that_are_replaced_while_they_are_read_are_noticed(run):
    data = run().dataset("train")
    before = data.fingerprint()
    assert len(Decoded(data, before)) == 6
    Image.new("RGB", (40, 40)).save(data.paths[3])
    with pytest.raises(ValueError, match="changed or replaced while they were read"):
        Decoded(data, before)


def test_test_images_that_are_replaced_while_they_are_tested_are_noticed(run, monkeypatch):
    here = run()
    trained, data = rd.train(here, here.dataset("train")), here.dataset("test")
    whole = type(data).__getitem__

    def replace_last(self, index):
        if index == 0:
            Image.new("RGB", (40, 40)).save(next(p for p in self.paths if self.is_good(p)))
        return whole(self, index)

    monkeypatch.setattr(type(data), "__getitem__", replace_last)
    with pytest.raises(ValueError, match=r"while they were tested; the trained student is kept"):
        rd.predict(trained.model, data, here.config)


def test_a_checkpoint_of_another_run_or_a_damaged_one_starts_anew(tmp_path, capsys):
    path = tmp_path / "x.safetensors"
    FileCheckpoint(path, "this", HERE).save({"a": torch.ones(2)}, {"done": 0})
    tensors, facts = FileCheckpoint(path, "this", HERE).load()
    assert torch.equal(tensors["a"], torch.ones(2)) and facts == {"done": 0}
    assert FileCheckpoint(path, "another", HERE).load() is None
    assert "is another run's; training starts anew" in capsys.readouterr().out
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    assert FileCheckpoint(path, "this", HERE).load() is None
    assert "cannot be read" in capsys.readouterr().out
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # one bit
    assert FileCheckpoint(path, "this", HERE).load() is None
    assert "its content was damaged" in capsys.readouterr().out


def test_a_kept_student_with_one_other_bit_is_refused(run):
    here = run()
    rd.train(here, here.dataset("train"))
    (kept,) = (here.results_dir / "models").glob("*.safetensors")
    content = kept.read_bytes()
    kept.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    with pytest.raises(ValueError, match=r"its content was damaged.*delete it to train anew"):
        rd.train(here, here.dataset("train"))


def test_a_training_that_began_elsewhere_says_so_and_stays_dirty(tmp_path, capsys):
    path = tmp_path / "x.safetensors"
    FileCheckpoint(path, "key", HERE | {"dirty": True, "threads": 4}).save({}, {"done": 0})
    later = FileCheckpoint(path, "key", HERE)
    assert later.load() is not None and later.dirty == [False, True]
    assert "began with threads=4 and goes on with threads=1" in capsys.readouterr().out


def test_where_the_student_cannot_be_kept_the_checkpoint_stays(run, monkeypatch):
    def no_student(*_):
        raise OSError(errno.ENOSPC, "the disk is full")

    here = run()
    monkeypatch.setattr("rdrepro.runs.execute.save_student", no_student)
    trained = rd.train(here, here.dataset("train"))
    (checkpoint,) = (here.results_dir / "models").glob("*.checkpoint.safetensors")
    predictions = rd.predict(trained.model, here.dataset("test"), here.config)
    row = rd.make_row(here, trained, predictions, rd.evaluate(predictions), rd.now())
    assert checkpoint.is_file()
    assert rd.keep_row(here, trained, row).is_file() and not checkpoint.exists()


def test_ctrl_c_leaves_a_run_that_can_be_continued(run, monkeypatch, capsys):
    undisturbed = result_of(rd.execute(run()))
    shutil.rmtree(run().results_dir)
    finish = training._finish_epoch

    def interrupt(state, *rest):
        if len(state.history) == 1:
            raise KeyboardInterrupt
        return finish(state, *rest)

    monkeypatch.setattr(training, "_finish_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        rd.execute(run())
    monkeypatch.setattr(training, "_finish_epoch", finish)
    capsys.readouterr()
    assert result_of(rd.execute(run())) == undisturbed
    assert "resumed in epoch 2" in capsys.readouterr().out


def test_a_clock_that_jumps_changes_no_checkpoint(tmp_path, monkeypatch):
    checkpoint = FileCheckpoint(tmp_path / "x", "key", HERE)
    for now in (0.0, 1e12):
        monkeypatch.setattr(checkpoints.time, "time", lambda now=now: now)
        assert not checkpoint.due()
    later = checkpoint.saved + checkpoints.EVERY_SECONDS + 1  # the difference is rounded
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: later)
    assert checkpoint.due()


def test_the_errors_of_safetensors_become_those_of_a_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="since the disk is full") as caught:
        checkpoints._save({"a": torch.ones(1)}, {}, tmp_path / "x.safetensors")
    assert caught.value.errno == errno.ENOSPC and list(tmp_path.iterdir()) == []
