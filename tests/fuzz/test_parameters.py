"""Parameters that were written to do harm: one sentence, and nothing outside the results folder."""

import os
import socket

import pytest
from fuzzing import check_sentence, examples, hostile_text
from hypothesis import given
from hypothesis import strategies as st

import rdrepro as rd
from rdrepro.runs.configure import PARAMETERS, separate
from rdrepro.runs.resolve import check_parameters

PATHS = (
    "../../etc",
    "/etc/passwd",
    "..",
    "~",
    "wood/../bottle",
    "C:\\x",
    "a" * 300,
    "x\0y",
    "%s{0}",
)
values = (
    st.sampled_from(PATHS)
    | st.sampled_from(["", " ", "wood\n", "random", "all", "None", "=1+1", "\udcff"])
    | st.sampled_from([True, -1, 0, 7, 10**30, 1e308, float("nan"), float("inf"), -0.0])
    | st.sampled_from([[], [1], {}, {"a": 1}, (), b"x", object])
    | hostile_text
)
names = st.sampled_from([name for name in PARAMETERS if name != "results_dir"])
words = st.builds("{}={}".format, names | hostile_text, values) | hostile_text
given_parameters = st.dictionaries(names, values, min_size=1, max_size=3) | st.builds(
    lambda parameters, text: parameters | {"overrides": text},
    st.dictionaries(names, values, max_size=1),
    st.lists(words, max_size=3).map(" ".join),
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder without a network, in which `results` alone may be written to."""

    def refuse(*_):
        raise OSError("there is no network in a test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("RDREPRO_OFFLINE", "1")
    (tmp_path / "work" / "inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "inside")
    return tmp_path


def outside(folder):
    return {p for p in folder.rglob("*") if "results" not in p.relative_to(folder).parts[:1]}


@examples(10)
@given(given_parameters)
def test_wrong_parameters_are_refused_before_torch_is_loaded(parameters):
    try:
        check_parameters(*separate(parameters))
    except ValueError as error:
        check_sentence(error)


@examples(6)
@given(given_parameters)
def test_no_parameter_leads_out_of_the_results_folder(place, parameters):
    before = outside(place)
    try:
        run = rd.resolve(**parameters, results_dir=str(place / "results"))
    except (ValueError, OSError) as error:
        check_sentence(error)
    else:
        assert os.path.commonpath([run.rows_dir, place / "results"]) == str(place / "results")
    assert outside(place) == before


@pytest.mark.parametrize("name", ["category", "study", "dataset", "backbone", "preset"])
@pytest.mark.parametrize("path", ["../../etc", "..", "/etc/passwd"])
def test_a_path_is_no_name(place, name, path):
    with pytest.raises((ValueError, OSError)) as error:
        rd.resolve(**{name: path}, results_dir=str(place / "results"))
    check_sentence(error.value)
    assert path in str(error.value)
