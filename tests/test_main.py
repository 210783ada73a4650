"""`python -m rdrepro`: a usage, and no argument that is ignored."""

import sys

import pytest

from rdrepro import __main__ as command


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["rdrepro", *arguments])
    with pytest.raises(SystemExit) as ending:
        command.main()
    return ending.value.code


def test_help_is_a_usage(monkeypatch, capsys):
    assert call(monkeypatch, "--help") == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: python -m rdrepro") and "python -m rdrepro.study list" in said


@pytest.mark.parametrize("argument", ["--hlep", "wood"])
def test_an_unknown_argument_is_refused(monkeypatch, capsys, argument):
    assert call(monkeypatch, argument) == 2
    assert f"unrecognized arguments: {argument}" in capsys.readouterr().err
