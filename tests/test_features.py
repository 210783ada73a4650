"""The teacher's features of a data set: kept in memory or in a file, to the bit the same."""

import functools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders import ROOT
from rooms import make_room

import rdrepro as rd
from rdrepro import features, memory
from rdrepro.features import TeacherFeatures
from rdrepro.models.weights import Weights
from rdrepro.precision import layout

CPU = torch.device("cpu")
CONFIG = rd.RunConfig(
    dataset="synthetic",
    backbone="efficientnet_lite0",
    weights="random",
    oce_width=64,
    image_size=64,
    batch_size=4,
    epochs=1,
)


@pytest.fixture
def images(small_mvtec):
    return rd.MVTecAD(small_mvtec / "mvtec", "bottle", "train", CONFIG.image_size)


def build(config=CONFIG):
    return rd.build_model(config, Weights("random"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [64, 96])  # channels first and last
def test_a_file_gives_what_memory_gives_in_the_same_layout(monkeypatch, size, precision):
    config = replace(CONFIG, image_size=size, precision=precision)
    teacher, pixels = build(config).teacher, torch.randint(256, (6, 3, size, size)).byte()
    found = {}
    for source in ("memory", "file"):
        make_room(monkeypatch, source)
        found[source] = TeacherFeatures(teacher, pixels, config, CPU)
        assert found[source].source == source
    some = torch.tensor([5, 0, 3])
    for whole, mapped in zip(found["memory"].kept, found["file"].kept, strict=True):
        assert torch.equal(whole, mapped) and whole.dtype == mapped.dtype
        assert whole.stride() == mapped.stride()
        assert mapped.is_contiguous(memory_format=layout(config))
    for a, b in zip(found["memory"][some], found["file"][some], strict=True):
        assert torch.equal(a, b) and a.stride() == b.stride()
    for batch in torch.arange(6).split(4):  # computed in consecutive batches
        own = found["file"]._compute(batch)
        assert all(torch.equal(a, b) for a, b in zip(found["file"][batch], own, strict=True))


def test_features_without_room_on_the_disk_are_recomputed_and_this_is_said(
    images, monkeypatch, capsys
):
    make_room(monkeypatch, "recomputed")
    without = TeacherFeatures(build().teacher, images, CONFIG, CPU)
    assert without.kept is None and without.source == "recomputed"
    said = capsys.readouterr().out
    assert "fit neither in memory nor on the disk" in said and "has 4.0 GiB free" in said
    assert "the result differs" in said and "RDREPRO_RESULTS" in said
    for source in ("memory", "file"):
        make_room(monkeypatch, source)
        TeacherFeatures(build().teacher, images, CONFIG, CPU)
        assert not capsys.readouterr().out


@pytest.mark.parametrize("lacking", [0, -1])
def test_a_student_and_its_checkpoints_are_left_their_room(images, monkeypatch, lacking):
    make_room(monkeypatch, "file")
    needed = sum(f.nbytes for f in TeacherFeatures(build().teacher, images, CONFIG, CPU).kept)
    make_room(monkeypatch, "file", spare=needed + lacking)
    found = TeacherFeatures(build().teacher, images, CONFIG, CPU)
    assert found.source == ("recomputed" if lacking else "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_disk_that_fills_up_is_said(images, monkeypatch, capsys):
    make_room(monkeypatch, "file")
    full = functools.partial(open, "/dev/full", "wb")
    monkeypatch.setattr(features.tempfile, "TemporaryFile", lambda dir: full())
    assert TeacherFeatures(build().teacher, images, CONFIG, CPU).source == "recomputed"
    assert "No space left on device" in capsys.readouterr().out


def test_the_file_lies_where_the_results_will_be(tmp_path, monkeypatch):
    monkeypatch.setenv("RDREPRO_RESULTS", str(tmp_path / "none" / "yet"))
    assert memory.features_folder() == tmp_path
    (tmp_path / "none" / "yet").mkdir(parents=True)
    assert memory.features_folder() == tmp_path / "none" / "yet"


KEEP = """
import time
import torch
import rdrepro as rd
from rdrepro import memory
from rdrepro.features import TeacherFeatures

calls = []
def teacher(images):
    calls.append(len(images))
    if len(calls) == {stop}:
        stay("filling")
    return [images]
def stay(place):
    print(place, flush=True)
    time.sleep(100)
memory.DISK_LEFT = 0
images = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
config = rd.RunConfig(image_size=64, batch_size=2)
print(TeacherFeatures(teacher, images, config, torch.device("cpu")).source, flush=True)
stay("training")
"""


@pytest.mark.parametrize(("stop", "places"), [(4, ["filling"]), (0, ["file", "training"])])
def test_a_process_that_is_killed_leaves_no_file(tmp_path, stop, places):
    environment = os.environ | {"RDREPRO_CACHE_GB": "0", "RDREPRO_RESULTS": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", KEEP.format(stop=stop)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    try:
        assert [process.stdout.readline().strip() for _ in places] == places
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_have_a_file_each(monkeypatch):
    make_room(monkeypatch, "file")
    pixels = torch.randint(256, (6, 3, 64, 64)).byte()
    teacher = build().teacher
    first = TeacherFeatures(teacher, pixels, CONFIG, CPU)
    before = [f.clone() for f in first.kept]
    TeacherFeatures(teacher, pixels.flip(0), CONFIG, CPU)
    assert all(torch.equal(a, b) for a, b in zip(before, first.kept, strict=True))


def test_features_that_depend_on_the_batch_are_not_kept(images):
    config = replace(CONFIG, teacher_bn="train")
    found = TeacherFeatures(build(config).teacher, images, config, CPU)
    assert found.kept is None and found.source is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_reaches_the_networks(images, precision):
    config = replace(CONFIG, precision=precision)
    kept = TeacherFeatures(build(config).teacher, images, config, CPU).kept
    assert {f.dtype for f in kept} == {getattr(torch, precision)}


def test_images_may_be_given_as_bytes(images):
    teacher = build().teacher
    of_data = TeacherFeatures(teacher, images, CONFIG, CPU)
    of_bytes = TeacherFeatures(teacher, of_data.images, CONFIG, CPU)
    some = torch.tensor([4, 1])
    assert len(of_bytes) == len(images) and of_data.images.dtype == torch.uint8
    for a, b in zip(of_data[some], of_bytes[some], strict=True):
        assert torch.equal(a, b)
    expected = torch.stack([images[i]["image"] for i in some])
    torch.testing.assert_close(of_bytes.pixels(some), expected)


def test_a_wrong_cache_budget_is_named(images, monkeypatch):
    monkeypatch.setenv("RDREPRO_CACHE_GB", "lots")
    with pytest.raises(ValueError, match="RDREPRO_CACHE_GB='lots' must be a number"):
        rd.fit(build(), images, CONFIG)
