"""The device that runs, and the precision that it computes fast."""

import pytest
import torch

from rdrepro.runs.device import fast_precision, find_device


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({}, "float32")],
)
def test_bfloat16_where_the_processor_has_it(monkeypatch, capabilities, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fast_precision(torch.device("cpu")) == precision


def test_a_device_is_found_by_its_name():
    assert find_device("cpu") == torch.device("cpu")
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    assert find_device(None) == find_device("auto") == torch.device(usual)


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta", "mps:5"])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(ValueError, match=f"device='{name}' is not on this machine"):
        find_device(name)
