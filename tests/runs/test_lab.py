"""`make lab` opens copies: what somebody edited stays, and newer originals are announced."""

import json
import os

import nbformat
import pytest

from rdrepro.runs import lab


def write(path, *sources, outputs=()):
    cells = [nbformat.v4.new_code_cell(source, outputs=list(outputs)) for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def sources(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


@pytest.fixture
def folders(tmp_path):
    """A folder with an original, and that of its copies after a first start."""
    originals, copies = tmp_path / "notebooks", tmp_path / "results" / "lab"
    write(originals / "01_a.ipynb", "first")
    assert lab.update_copies(originals, copies) == []
    return originals, copies


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != lab.RECORD)


def test_each_notebook_is_copied_byte_for_byte(folders):
    originals, copies = folders
    assert names(copies) == ["01_a.ipynb"]
    assert (copies / "01_a.ipynb").read_bytes() == (originals / "01_a.ipynb").read_bytes()


def test_outputs_are_no_edits_and_stay_while_the_original_is_the_same(folders):
    originals, copies = folders
    output = nbformat.v4.new_output("stream", text="hello")
    write(copies / "01_a.ipynb", "first", outputs=[output])
    before = (copies / "01_a.ipynb").read_bytes()
    assert lab.update_copies(originals, copies) == []
    assert (copies / "01_a.ipynb").read_bytes() == before
    write(originals / "01_a.ipynb", "second")
    assert lab.update_copies(originals, copies) == []
    assert sources(copies / "01_a.ipynb") == ["second"]


def test_an_edited_copy_stays_and_a_newer_original_is_put_beside_it_once(folders):
    originals, copies = folders
    write(copies / "01_a.ipynb", "mine")
    assert lab.update_copies(originals, copies) == []
    write(originals / "01_a.ipynb", "second")
    (sentence,) = lab.update_copies(originals, copies)
    assert sentence.startswith("01_a.ipynb has a newer original") and "01_a.new.ipynb" in sentence
    assert sources(copies / "01_a.ipynb") == ["mine"]
    assert sources(copies / "01_a.new.ipynb") == ["second"]
    assert lab.update_copies(originals, copies) == []


def test_a_new_original_that_somebody_edited_stays_as_well(folders):
    originals, copies = folders
    write(copies / "01_a.ipynb", "mine")
    write(originals / "01_a.ipynb", "second")
    lab.update_copies(originals, copies)
    write(copies / "01_a.new.ipynb", "mine, too")
    write(originals / "01_a.ipynb", "third")
    (sentence,) = lab.update_copies(originals, copies)
    assert "01_a.new2.ipynb" in sentence
    assert names(copies) == ["01_a.ipynb", "01_a.new.ipynb", "01_a.new2.ipynb"]
    found = [sources(copies / name) for name in names(copies)]
    assert found == [["mine"], ["mine, too"], ["third"]]


def test_a_copy_that_is_no_notebook_is_not_overwritten(folders):
    originals, copies = folders
    (copies / "01_a.ipynb").write_text("half a noteb")
    write(originals / "01_a.ipynb", "second")
    assert len(lab.update_copies(originals, copies)) == 1
    assert (copies / "01_a.ipynb").read_text() == "half a noteb"


def test_a_copy_without_a_record_counts_as_edited(folders):
    originals, copies = folders
    (copies / lab.RECORD).write_text("{")
    write(originals / "01_a.ipynb", "second")
    assert len(lab.update_copies(originals, copies)) == 1
    assert sources(copies / "01_a.ipynb") == ["first"]


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("broken", range(4))
def test_a_start_that_is_broken_off_is_made_good_by_the_next(folders, monkeypatch, broken, edited):
    originals, copies = folders
    if edited:
        write(copies / "01_a.ipynb", "mine")
    write(originals / "01_a.ipynb", "second")
    renamed, calls = os.replace, iter(range(4))

    def breaks(source, target):
        """The start ends before or after one of its two renamings."""
        call = next(calls)
        if broken == 2 * call:
            raise KeyboardInterrupt
        renamed(source, target)
        if broken == 2 * call + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(lab.os, "replace", breaks)
    with pytest.raises(KeyboardInterrupt):
        lab.update_copies(originals, copies)
    monkeypatch.undo()
    lab.update_copies(originals, copies)
    assert sources(copies / "01_a.ipynb") == ["mine" if edited else "second"]
    assert names(copies) == ["01_a.ipynb", *(["01_a.new.ipynb"] if edited else [])]
    record = json.loads((copies / lab.RECORD).read_text())
    assert record["01_a.ipynb"] == lab.content_hash(originals / "01_a.ipynb")


def test_jupyterlab_gets_absolute_places_of_those_that_were_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RDREPRO_RESULTS", "mine")
    assert lab.environment()["RDREPRO_RESULTS"] == str(tmp_path / "mine")
    assert "RDREPRO_DATA" not in lab.environment()


def test_jupyterlab_opens_the_copies(monkeypatch, tmp_path, capsys):
    write(tmp_path / "project" / "notebooks" / "01_a.ipynb", "first")  # where the project is
    started = []
    monkeypatch.setattr(lab.os, "execve", lambda *call: started.append(call))
    monkeypatch.setattr(lab.sys, "argv", ["lab.py", "--no-browser"])
    lab.main()
    folder = tmp_path / "results" / "lab"
    ((_, command, environment),) = started
    assert command[1:4] == ["-m", "jupyterlab", str(folder)] and command[-1] == "--no-browser"
    assert environment["RDREPRO_RESULTS"] == str(tmp_path / "results")
    assert names(folder) == ["01_a.ipynb"]
    assert f"copies of the notebooks, in {folder}" in capsys.readouterr().out
