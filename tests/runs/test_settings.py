"""The settings of a run: what differs from the paper's protocol first, the rest folded."""

from dataclasses import replace
from pathlib import Path

from rdrepro import resolve
from rdrepro.models.weights import Weights
from rdrepro.runs.settings import SHIPPED, as_html, as_text, protocol_table, settings_table


def demo(**given):
    return resolve(preset="demo", category="grid", **given)


def test_the_settings_that_leave_the_papers_protocol_are_listed():
    table = protocol_table(demo(epochs=2))
    assert table.loc["epochs"].tolist() == ["2", "200"]
    assert not {"category", "sigma", "seed"} & set(table.index)


def test_layers_are_shown_as_they_are_given_and_none_as_a_dash():
    assert protocol_table(demo(map_layers="2,3")).loc["map_layers", "this run"] == "2,3"
    assert protocol_table(demo(early_stopping="train")).loc["patience"].tolist() == ["15", "-"]


def test_weights_without_a_published_name_have_the_name_of_their_file():
    run = demo()
    assert protocol_table(run).loc["weights", "this run"] == SHIPPED
    assert SHIPPED in as_html(run) and SHIPPED in as_text(run)
    own = Weights("sha256:0123456789abcdef", Path("folder/mine.pth"))
    other = replace(run, config=replace(run.config, weights=own.name), weights=own)
    shown = settings_table(other).loc["weights", "value"]
    assert shown == "mine.pth (sha256:0123456789abcdef)"
    random = demo(weights="random", backbone="resnet18")
    assert settings_table(random).loc["weights", "value"] == "random"


def test_settings_without_a_meaning_are_in_neither_table():
    run = demo(bottleneck="pretrained", weights="random", backbone="resnet18")
    assert run.config.oce_width == 64  # the paper has 128, but this bottleneck has no OCE
    for table in (protocol_table(run), settings_table(run)):
        assert "oce_width" not in table.index and "bottleneck" in table.index
    assert "epochs" not in settings_table(demo(method="padim")).index


def test_what_differs_comes_first_and_the_rest_is_folded():
    run = demo(epochs=2)
    first, folded = as_html(run).split("<details>")
    known = settings_table(run).index
    assert all((f"<th>{name}</th>" in first) != (f"<th>{name}</th>" in folded) for name in known)
    assert "<th>epochs</th>" in first and "<th>sigma</th>" in folded
    assert folded.count("</details>") == 1 and "200" in first


def test_both_forms_count_what_differs():
    run = demo()
    number = len(protocol_table(run))
    for text in (as_html(run), as_text(run)):
        assert run.banner in text and f"{number} settings differ from the paper's protocol" in text


def test_a_run_of_the_protocol_says_so(small_mvtec):
    run = resolve(preset="paper", data_root=str(small_mvtec), category="bottle", weights="random")
    assert protocol_table(run).index.tolist() == ["weights"]
    assert "1 setting differs from" in as_text(run)
