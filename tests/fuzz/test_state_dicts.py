"""Weights and checkpoints that are odd, damaged or hostile: refused, and no code is run."""

import builtins
import json
import os
import pickle
import struct

import pytest
import torch
from fuzzing import check_sentence, examples
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rdrepro.models.weights import load_encoder, read_file
from rdrepro.runs.checkpoints import FileCheckpoint

DTYPES = (torch.float32, torch.float16, torch.float64, torch.int8, torch.bool, torch.complex64)
NAMES = ("weight", "bias", "module.weight", "0.weight", "state_dict", "", "a\nb", "größe", 7)
tensors = st.builds(
    torch.full,
    st.sampled_from([(2, 2), (2,), (), (0,), (3, 2)]),
    st.sampled_from([0.0, 1.0]),
    dtype=st.sampled_from(DTYPES),
) | st.sampled_from([torch.eye(2).to_sparse(), torch.full((2, 2), torch.nan)])
odd = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
states = st.dictionaries(st.sampled_from(NAMES), tensors | tensors | odd, max_size=4)

HERE = {"dirty": False, "threads": 1, "device": "cpu"}


@examples(8)
@given(states, st.booleans(), st.booleans(), st.sampled_from(["resnet18", "efficientnet_lite0"]))
def test_a_state_dict_fits_or_is_refused(tmp_path_factory, state, fits, nested, backbone):
    path = tmp_path_factory.mktemp("w") / "w.pth"
    state = {"weight": torch.eye(2), "bias": torch.ones(2)} | state if fits else state
    torch.save({"state_dict": state} if nested else state, path)
    layer = nn.Linear(2, 2)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    try:
        load_encoder(layer, path, backbone)
    except ValueError as error:
        check_sentence(error)
        assert "w.pth" in str(error)
        assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    else:
        assert all(v.isfinite().all() for v in layer.state_dict().values())


class Code:
    """An object that runs a function when a pickle of it is loaded without care."""

    def __init__(self, function, arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def calls(path):
    """Functions and arguments that leave a file behind if they are called."""
    write = f"open({str(path)!r}, 'w')"
    return [
        (os.system, (f"touch {path}",)),
        (os.mkdir, (str(path),)),
        (builtins.open, (str(path), "w")),
        (builtins.eval, (write,)),
        (builtins.exec, (write,)),
    ]


@examples(6)
@given(st.integers(0, 4), st.integers(0, 5), st.sampled_from(["zip", "legacy", "pickle"]))
def test_code_is_refused_and_never_run(tmp_path_factory, number, protocol, form):
    folder = tmp_path_factory.mktemp("w")
    content = {"weight": Code(*calls(folder / "owned")[number])}
    if form == "pickle":
        (folder / "w.pth").write_bytes(pickle.dumps(content, protocol))
    else:
        torch.save(content, folder / "w.pth", _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ValueError, match=r"w\.pth cannot be read") as error:
        read_file(folder / "w.pth")
    check_sentence(error.value)
    assert not (folder / "owned").exists()


headers = st.dictionaries(
    st.sampled_from(["__metadata__", "weight", "../../etc"]),
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "F99", "I64", ""]),
            "shape": st.lists(st.sampled_from([0, 2, -1, 2**62]), max_size=3),
            "data_offsets": st.lists(st.sampled_from([0, 8, -8, 2**63]), max_size=3),
        }
    )
    | st.dictionaries(st.sampled_from(["key", "state"]), st.sampled_from(["k", "{", "[]"])),
    max_size=3,
)


@examples(6)
@given(headers | st.binary(max_size=40), st.sampled_from([0, 1, -1, 2**62]), st.binary(max_size=20))
def test_a_checkpoint_of_any_bytes_is_left_aside(tmp_path_factory, header, more, body):
    path = tmp_path_factory.mktemp("c") / "c.safetensors"
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<q", max(0, len(text) + more)) + text + body)
    assert FileCheckpoint(path, "another key", HERE).load() is None
    with pytest.raises(ValueError, match=r"c\.safetensors") as error:
        load_encoder(nn.Linear(2, 2), path, "resnet18")
    check_sentence(error.value)
