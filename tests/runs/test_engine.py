"""papermill's engine: what a terminal shows, and the sentence of a command that fails."""

import io
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import papermill
import pytest
from jupyter_client.kernelspec import NoSuchKernel
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillException, PapermillExecutionError

from rdrepro.runs import engine
from rdrepro.runs.client import interrupts_passed_on
from rdrepro.runs.explain import LONGEST, dead_kernel, explain
from rdrepro.runs.terminal import Terminal

KERNEL = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
TRAINING = """
import time
from rdrepro import progress
progress.NOTEBOOK_PAUSE = 0
progress.say("Training takes about 1 s.")
with progress.progress(None, "training", total=2) as bar:
    for epoch in (1, 2):
        time.sleep(0.01)
        bar.set_postfix_str(f"epoch {epoch} of 2, loss 0.5", refresh=False)
        bar.update()
"""
KILLED = "import os, rdrepro; os.kill(os.getpid(), 9)"


def notebook(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)


@pytest.fixture
def hook(monkeypatch):
    """Python's own hook for errors, which the test may replace."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)


@pytest.fixture
def command(monkeypatch, hook):
    """The process looks like the command `papermill`."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/papermill", "in.ipynb", "out.ipynb"])


# --- which notebooks


@pytest.mark.parametrize(
    ("source", "ours"),
    [
        ("import rdrepro as rd", True),
        ("x = 1\nfrom rdrepro.study import novelty", True),
        ("if x:\n    import rdrepro", True),
        ("import os, rdrepro", True),
        ("import rdrepro_other", False),
        ("# import rdrepro", False),
    ],
)
def test_the_engine_serves_notebooks_that_import_rdrepro(source, ours):
    assert engine.serves(notebook("1", source)) is ours
    nb = notebook("1")
    nb.cells.append(nbformat.v4.new_markdown_cell(source))
    assert not engine.serves(nb)


def test_other_notebooks_go_through_unchanged(monkeypatch, command):
    calls = []
    monkeypatch.setattr(
        NBClientEngine, "execute_notebook", lambda *args, **options: calls.append((args, options))
    )
    nb = notebook("1")
    engine.Engine.execute_notebook(nb, "python3", output_path="nowhere/out.ipynb", log_output=True)
    options = {"output_path": "nowhere/out.ipynb", "log_output": True}
    assert calls == [((nb, "python3"), options)] and sys.excepthook is sys.__excepthook__


def test_it_is_papermills_default_whichever_is_imported_first():
    assert papermill_engines.get_engine(None) is engine.Engine
    code = (
        "import rdrepro.runs.engine as e, sys; from papermill.engines import papermill_engines as p"
        "; assert p.get_engine(None) is e.Engine; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- a run


def test_a_run_shows_the_estimate_and_the_epoch_and_keeps_one_bar(capfd, tmp_path, hook):
    nb = notebook(TRAINING, "1 / 0")
    with pytest.raises(PapermillExecutionError) as error:
        papermill.execute_notebook(nb, tmp_path / "out.ipynb")
    shown = capfd.readouterr().err
    assert "Training takes about 1 s." in shown
    assert "training 50 %, epoch 1 of 2, loss 0.5, 00:00 left" in shown
    assert "eavesdropping" not in shown
    cell = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[1]  # after papermill's mark
    assert [o.output_type for o in cell.outputs] == ["display_data", "display_data"]
    assert cell.outputs[0].data["text/plain"] == "Training takes about 1 s."
    assert "training 100 %, epoch 2 of 2" in cell.outputs[1].data["text/plain"]
    assert not any(o.metadata for o in cell.outputs)
    # From Python the error is papermill's own, and Python's hook stays.
    assert error.value.ename == "ZeroDivisionError" and sys.excepthook is sys.__excepthook__


def test_a_killed_kernel_is_one_sentence(command, capfd, tmp_path):
    with pytest.raises(SystemExit) as ending:
        papermill.execute_notebook(notebook(KILLED), tmp_path / "out.ipynb", progress_bar=False)
    assert ending.value.code == engine.DEAD_KERNEL_EXIT
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("Error: the notebook's kernel was killed, most likely because memory")


def test_an_unknown_kernel_is_named_without_a_traceback_in_the_log(tmp_path, caplog, hook):
    nb = notebook("import rdrepro")
    with pytest.raises(NoSuchKernel):
        papermill.execute_notebook(
            nb, tmp_path / "out.ipynb", kernel_name="pyhton3", progress_bar=False
        )
    assert "Traceback" not in caplog.text


def test_a_missing_output_folder_is_named_before_the_kernel_starts(tmp_path, hook):
    out = tmp_path / "nowhere" / "out.ipynb"
    with pytest.raises(FileNotFoundError, match="does not exist; make it first: mkdir -p") as error:
        papermill.execute_notebook(notebook("import rdrepro"), out, progress_bar=False)
    assert str(out.parent) in explain(error.value, str(out))


# --- sentences


def failed(name, message):
    return PapermillExecutionError(3, 2, "source", name, message, ["Traceback ..."])


def test_an_error_of_a_cell_is_its_sentence_and_the_place_of_the_traceback():
    error = failed("ValueError", "lr=0 must be\n positive")
    assert explain(error, "o.ipynb") == "lr=0 must be positive\nThe traceback is in o.ipynb."
    assert explain(error, "-").endswith("in the notebook on stdout.")


@pytest.mark.parametrize(
    ("name", "message", "said"),
    [
        ("KeyError", "'x'", "KeyError: 'x'"),
        ("AssertionError", "", "AssertionError"),
        ("ValueError", "", "ValueError"),
        ("FileNotFoundError", "no wood", "no wood"),
    ],
)
def test_an_error_without_a_sentence_has_its_name(name, message, said):
    assert explain(failed(name, message), "o.ipynb").splitlines()[0] == said


def test_an_interrupted_cell_is_no_error_of_the_notebook():
    said = explain(failed("KeyboardInterrupt", ""), "o.ipynb")
    assert said == "interrupted; o.ipynb says where."


@pytest.fixture
def ctrl_c_raises():
    """Python's own reaction to Ctrl-C, which a shell takes from the jobs in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_raises")
def test_ctrl_c_interrupts_the_kernel_and_a_second_one_papermill():
    sent = []
    kernel = SimpleNamespace(send_signal=sent.append)
    with interrupts_passed_on(kernel):
        signal.raise_signal(signal.SIGINT)
        assert sent == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler and len(sent) == 1


def test_a_very_long_message_is_cut():
    first = explain(failed("ValueError", "a " * 5000), "o.ipynb").splitlines()[0]
    assert len(first) < LONGEST + 10 and first.endswith(" ...")


def test_a_missing_notebook_is_named_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_mvtec.ipynb").touch()
    for name in ("01_mvtec.ipynb", "notebooks/01_mvtek.ipynb"):
        with pytest.raises(FileNotFoundError) as error:
            papermill.execute_notebook(name, "out.ipynb")
        said = f"{name} does not exist. Did you mean 'notebooks/01_mvtec.ipynb'?"
        assert explain(error.value, None) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoSuchKernel("pyhton3"), "no kernel has the name 'pyhton3'; there is .*python3"),
        (PermissionError(13, "Permission denied", "/x/out.ipynb"), "/x/out.ipynb: Permission"),
        (PapermillException("No engine named 'x' found"), "No engine named 'x' found"),
        (
            CellTimeoutError.error_from_timeout_and_cell("late", 3, notebook("x").cells[0]),
            r"A cell timed out .* 3 seconds \(--execution-timeout\)\.$",
        ),
    ],
)
def test_errors_of_papermill_are_sentences(error, said):
    sentence = explain(error, "out.ipynb")
    assert re.match(said, sentence) and "\n" not in sentence


def test_a_dead_kernels_sentence_follows_its_return_code():
    error = DeadKernelError("Kernel died")
    assert dead_kernel(error) == (
        "the notebook's kernel died; what it printed before stands above."
    )
    error.returncode = -signal.SIGSEGV
    assert "died with exit code -11" in dead_kernel(error)
    error.returncode = -signal.SIGKILL
    assert "memory ran out; lower batch_size" in dead_kernel(error)


def test_the_hook_writes_the_sentence_and_leaves_bugs_their_traceback(capsys):
    error = failed("ValueError", "lr=0 must be positive")
    engine.show_error("o.ipynb", type(error), error, None)
    assert capsys.readouterr().err == (
        "Error: lr=0 must be positive\nThe traceback is in o.ipynb.\n"
    )
    engine.show_error("o.ipynb", TypeError, TypeError("a bug"), None)
    assert "TypeError: a bug" in capsys.readouterr().err


def test_the_hook_is_set_in_the_command_alone_and_replaces_no_other(monkeypatch, command):
    engine._report_by_sentence("o.ipynb")
    assert sys.excepthook.func is engine.show_error and sys.excepthook.args == ("o.ipynb",)
    engine._report_by_traceback()
    assert sys.excepthook is sys.__excepthook__
    other = lambda *details: None  # noqa: E731
    monkeypatch.setattr(sys, "excepthook", other)
    engine._report_by_sentence("o.ipynb")
    engine._report_by_traceback()
    assert sys.excepthook is other
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/pytest"])
    engine._report_by_sentence("o.ipynb")
    assert sys.excepthook is sys.__excepthook__


def test_the_command_is_known_by_its_name_or_as_a_module(monkeypatch):
    for argv, orig, yes in (
        (["/bin/papermill"], ["python", "/bin/papermill"], True),
        (["-m"], ["python", "-m", "papermill"], True),
        (["-c"], ["python", "-c", "papermill"], False),
    ):
        monkeypatch.setattr(sys, "argv", argv)
        monkeypatch.setattr(sys, "orig_argv", orig)
        assert engine.is_command() is yes


# --- the terminal


class Tty(io.StringIO):
    def isatty(self):
        return True


def test_a_log_file_has_at_most_a_line_every_thirty_seconds():
    stream, now = io.StringIO(), [100.0]
    terminal = Terminal(stream, beside_bar=True, clock=lambda: now[0])
    terminal.show("decoding 50 %", main=False)  # not worth the first line
    for second in range(100):
        now[0] = 100.0 + second
        terminal.show(f"training {second} %", main=second > 0)
        if second == 45:
            terminal.say("A sentence is written at once.")
    shown = [f"training {second} %" for second in (1, 31)]
    expected = [*shown, "A sentence is written at once.", "training 61 %", "training 91 %"]
    assert stream.getvalue().splitlines() == expected


def test_without_papermills_bar_a_terminal_has_lines_too():
    stream = Tty()
    Terminal(stream, beside_bar=False).show("training 5 %", main=True)
    assert stream.getvalue() == "training 5 %\n"


def test_a_terminal_has_one_line_that_is_replaced_and_taken_away():
    stream = Tty()
    terminal = Terminal(stream, beside_bar=True)
    for percent in (5, 10):
        terminal.show(f"training {percent} %", main=True)
    text = stream.getvalue()
    assert text.index("training 5 %") < text.index("training 10 %")
    assert "training 10 %\n" not in text
    terminal.clear()
    assert stream.getvalue().rstrip("\r\x1b[A").endswith(" " * len("training 10 %"))
    terminal.clear()
