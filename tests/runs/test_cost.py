"""What testing one image costs: sizes in MiB, seconds by stage, the peak of memory."""

import time

import numpy as np
import pytest
import torch

import rdrepro as rd
from rdrepro.config import RunConfig
from rdrepro.distillation import DistillationDetector
from rdrepro.models.reverse_distillation import build_trainable
from rdrepro.runs import cost

SLOW, TEACHER, STUDENT = 0.1, 0.004, 0.008  # seconds: the first images, and the two stages


class Slow(torch.nn.Module):
    """A model whose two stages take a known time, the first images longer."""

    seen = 0

    def stages(self, config, size):
        return {"teacher": self.teacher, "student": self.student}

    def teacher(self, images):
        self.seen += 1
        time.sleep(SLOW if self.seen <= cost.WARM_UP else TEACHER)
        return images

    def student(self, maps):
        time.sleep(STUDENT)
        return maps

    def sizes(self, config):
        return {"trained": 3 * 2**20}


def test_stages_are_timed_apart_after_a_warm_up(small_mvtec, monkeypatch):
    seconds, quartiles = [], cost._quartiles
    monkeypatch.setattr(cost, "_quartiles", lambda v: seconds.extend(v) or quartiles(v))
    data = rd.MVTecAD(small_mvtec / "mvtec", "bottle", "test", 64)
    found = cost.measure_cost(Slow(), data, RunConfig())
    assert found["timed_images"] == 30
    teacher, student, whole = (found[f"{n}_seconds"] for n in ("teacher", "student", "image"))
    assert TEACHER <= teacher[0] <= teacher[1] <= teacher[2]
    assert max(seconds) < SLOW  # the slow first ones are not among the timed
    assert student[0] >= STUDENT
    assert whole[1] >= teacher[0] + student[0]
    assert found["peak_mib"] > 1 and found["trained_mib"] == 3


def test_the_paper_counts_its_checkpoint_in_mib():
    config = RunConfig(weights="random")
    with torch.device("meta"):
        parts = build_trainable(config.backbone, (256, 512, 1024), config.oce_width)
        teacher = torch.nn.Linear(2**20, 1, bias=False)  # in a teacher's place: 4 MiB of weights
    model = DistillationDetector(teacher, *parts)
    mib = {name: size / 2**20 for name, size in model.sizes(config).items()}
    assert round(mib["trained"], 1) == 319.7
    assert round(mib["checkpoint"], 1) == 351.7
    assert mib["weights"] == mib["trained"] + 4


def test_peak_memory_sees_what_is_given_back():
    with cost.peak_memory(torch.device("cpu")) as peak:
        before = peak()
        held = np.ones(2**26)  # 512 MiB
        time.sleep(0.05)
        del held
    assert peak() - before > 400


def test_quartiles_are_those_of_the_seconds():
    assert cost._quartiles([1, 2, 3, 4, 5]) == [2, 3, 4]
    assert cost._quartiles([0.1234567]) == pytest.approx([0.123457] * 3, abs=1e-9)
