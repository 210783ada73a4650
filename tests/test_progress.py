"""Progress bars: tqdm's own in a terminal, one line per cell in a notebook."""

import sys
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from rdrepro import progress as module
from rdrepro.progress import PROGRESS, SENTENCE, progress, say


class Publisher:
    """Keeps what a kernel would send, and the cell's outputs as a notebook would show them."""

    def __init__(self):
        self.sent, self.outputs = [], {}

    def publish(self, data, metadata, *, transient, update=False):
        display_id = transient.get("display_id", len(self.sent))
        assert update == (display_id in self.outputs)
        self.outputs[display_id] = data["text/plain"]
        self.sent.append((data["text/plain"], transient))


@pytest.fixture
def shell(monkeypatch):
    """IPython's shell in a notebook's kernel, as far as bars need it; every update is shown."""
    made = SimpleNamespace(kernel=object(), execution_count=1, display_pub=Publisher())
    ipython = SimpleNamespace(get_ipython=lambda: made)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(module, "NOTEBOOK_PAUSE", 0)
    return made


def shown(shell):
    return list(shell.display_pub.outputs.values())


@pytest.mark.parametrize(("seconds", "pause"), [(0, 2), (1000, 20), (10**6, 60)])
def test_in_a_terminal_it_is_tqdm_with_about_fifty_updates(seconds, pause, capsys):
    bar = progress(range(3), "testing", seconds)
    assert type(bar) is tqdm and bar.mininterval == bar.maxinterval == pause
    assert list(bar) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert not out and "testing: 100%" in err


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch):
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(execution_count=1))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert type(progress(range(3), leave=False)) is tqdm


def test_a_cell_keeps_one_line_that_ends_at_100_percent(shell, capsys):
    with progress(None, "training", 10, total=4, unit=" images") as bar:
        for epoch in (1, 2):
            bar.set_postfix_str(f"epoch {epoch} of 2, loss 0.5000", refresh=False)
            bar.update(2)
    end = "training 100 %, epoch 2 of 2, loss 0.5000, in 00:00"
    assert shown(shell) == [f"|{'█' * 20}| {end}"]
    texts = [transient[PROGRESS]["text"] for _, transient in shell.display_pub.sent]
    assert texts[0] == "training 0 %, ? left" and texts[-1] == end
    assert texts[1] == "training 50 %, epoch 1 of 2, loss 0.5000, 00:00 left"
    assert capsys.readouterr() == ("", "")


def test_the_time_left_fits_a_terminal_too(shell):
    with progress(None, "training", total=10**6) as bar:
        bar.set_postfix_str("epoch 20 of 200, loss 0.1234", refresh=False)
        bar.start_t = bar.last_print_t = bar.start_t - 36_000  # ten hours ago
        bar.update(10**5)
    texts = [transient[PROGRESS]["text"] for _, transient in shell.display_pub.sent]
    left = "training 10 %, epoch 20 of 200, loss 0.1234, 90:00:00 left"
    assert left in texts and len(left) < 80


def test_a_bar_inside_another_gives_its_place_back(shell):
    with progress(None, "training", total=2) as bar:
        bar.update()
        assert list(progress(range(3), "testing", leave=False)) == [0, 1, 2]
        assert "training 50 %" in shown(shell)[0]
        bar.update()
    list(progress(range(3), "testing", leave=False))
    (line,) = shown(shell)
    assert "training 100 %" in line
    assert any("testing 67 %" in text for text, _ in shell.display_pub.sent)


def test_where_no_bar_is_to_be_left_the_last_one_is(shell):
    for name in ("decoding", "teacher"):
        list(progress(range(2), name, leave=False))
    assert [line.partition("| ")[2] for line in shown(shell)] == ["teacher 100 %, in 00:00"]


def test_each_cell_has_its_own_line(shell):
    list(progress(range(2), "first"))
    shell.execution_count += 1
    list(progress(range(2), "second"))
    assert ["first" in line for line in shown(shell)] == [True, False]


def test_an_error_leaves_where_it_stopped(shell):
    with pytest.raises(KeyboardInterrupt), progress(None, "training", total=4) as bar:
        bar.update(1)
        raise KeyboardInterrupt
    assert "training 25 %, stopped after 00:00" in shown(shell)[0]


def test_only_a_lasting_bar_that_has_begun_is_a_main_one(shell):
    list(progress(range(2), "testing", leave=False))
    with progress(None, "training", total=1) as bar:
        bar.update()
    main = [t[PROGRESS]["main"] for text, t in shell.display_pub.sent if "training" in text]
    assert main[0] is False and main[-1] is True
    assert not any(t[PROGRESS]["main"] for text, t in shell.display_pub.sent if "testing" in text)


def test_a_sentence_stands_beside_the_bar(shell, capsys):
    with progress(None, "training", total=1) as bar:
        say("It takes about a minute.")
        tqdm.write("something else")  # makes tqdm clear all its bars
        bar.update()
    assert shown(shell)[1] == "It takes about a minute." and "training 100 %" in shown(shell)[0]
    marks = [t[SENTENCE] for _, t in shell.display_pub.sent if SENTENCE in t]
    assert marks == [{"text": "It takes about a minute."}]
    assert capsys.readouterr().out == "something else\n"


def test_in_a_terminal_a_sentence_goes_to_stdout(capsys):
    say("It takes about a minute.")
    assert capsys.readouterr().out == "It takes about a minute.\n"


def test_a_bar_that_is_switched_off_shows_nothing(shell):
    assert list(progress(range(2), disable=True)) == [0, 1] and not shown(shell)
