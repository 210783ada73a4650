"""What README.md and DEVIATIONS.md generate from rows, between their marks."""

import json
from functools import cache

import pytest

from rdrepro.study.blocks import (
    bullets,
    fill_block,
    hours_explained,
    measured_paces,
    reproduction_table,
    seconds_on_gpu,
    tables_in_words,
)
from rdrepro.study.catalogue import BY_NAME, TABLES
from rdrepro.study.jobs import jobs_of

TEXT = """before
<!-- demo: made by `make tables` -->
old
lines
<!-- end of demo -->
after
"""


def test_only_what_lies_between_the_marks_of_a_block_is_replaced():
    filled = fill_block(TEXT, "demo", "new")
    assert filled == TEXT.replace("old\nlines", "new")
    assert fill_block(filled, "demo", "new") == filled
    assert fill_block(TEXT, "another", "new") == TEXT


def test_sentences_become_a_list_in_which_nothing_is_html():
    assert bullets(["One.", "a <b>|c</b>"]) == "- One.\n- a &lt;b>\\|c&lt;/b>"


# 3,629 training images a second: an epoch of all fifteen categories takes a second.
PACES = {("wide_resnet50_2", "bfloat16"): 3629.0, ("wide_resnet50_2", "float32"): 1.0}


@cache
def lines_of_all_tables():
    return reproduction_table(PACES)


def line_of(table):
    """The line of the reproduction table whose command makes a printed table."""
    lines = lines_of_all_tables()
    return lines[lines["command"] == f"`make study TABLE={table}`"].iloc[0]


def test_every_printed_table_has_one_line_in_the_reproduction_table():
    named = []
    for title in reproduction_table(PACES)["table"]:
        paper = "medical" if "extension" in title else "table"
        named += [paper + number for number in title.split(" of ")[0].split(" and ")]
    assert sorted(named) == sorted(TABLES)
    line = line_of("table4")
    assert int(line["runs"]) == sum(len(BY_NAME[study].runs()) for study in TABLES["table4"])
    assert line["data"] == "MNIST, Fashion-MNIST, CIFAR-10"


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (["table1", "table2"], "1 and 2"),
        (["table4"], "4"),
        (["medical1", "medical2"], "1 and 2 of the extension"),
    ],
)
def test_tables_are_named_in_few_words(names, title):
    assert tables_in_words(names) == title


def test_the_hours_on_a_gpu_are_images_times_epochs_over_the_speed():
    # 3 seeds of 200 epochs of a second each, at two resolutions
    assert line_of("table1")["GPU hours"] == f"{2 * 600 / 3600:.1f} (90 runs)"
    # three bottlenecks
    assert line_of("table5")["GPU hours"] == f"{3 * 600 / 3600:.1f} (135 runs)"
    # of the three teachers, one has a speed
    assert line_of("table6")["GPU hours"] == f"{600 / 3600:.1f} (45 runs)"
    # no speed of ResNet-18 is given here, and MKD has none; the extension's teacher is not frozen
    assert line_of("table4")["GPU hours"] == line_of("medical1")["GPU hours"] == "-"


def test_a_run_takes_as_long_as_its_images_epochs_and_precision_say():
    novelty = jobs_of("novelty", only={"dataset": ["mnist"], "epochs": ["5"]})[0]
    # a tenth of 60,000 images, five epochs
    assert seconds_on_gpu(novelty, {("resnet18", "bfloat16"): 1000.0}) == pytest.approx(30)
    timed = jobs_of("complexity", only={"method": ["reverse_distillation"], "epochs": ["1"]})[0]
    assert timed.given["precision"] == "float32"
    assert seconds_on_gpu(timed, PACES) == pytest.approx(3629 / 15)


def test_the_speeds_of_a_gpu_are_read_by_teacher_and_precision(tmp_path):
    run = {"backbone": "wide_resnet50_2", "precision": "bfloat16", "images": 200, "epochs": 19}
    run["seconds of training"] = 10
    record = {"machine": {"device": "Some Card 80GB"}, "protocol": [run]}
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "gpu.json").write_text(json.dumps(record))
    gpu, paces = measured_paces(tmp_path / "runs")
    assert paces == {("wide_resnet50_2", "bfloat16"): 380}
    said = hours_explained(gpu, paces)
    assert "one Some Card:" in said and "380 images a second" in said


def test_every_generated_block_has_its_place(committed_blocks):
    assert set(committed_blocks) >= {"demo", "stands", "headlines", "reproduce", "effects"}
    assert "image_auroc" in committed_blocks["demo"] and "```" in committed_blocks["demo"]
    assert all(committed_blocks.values())
