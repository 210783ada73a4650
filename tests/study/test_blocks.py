"""What README.md and DEVIATIONS.md generate from rows, between their marks."""

import json

from rdrepro.study.blocks import (
    bullets,
    fill_block,
    pace_in_words,
    reproduction_table,
    table_title,
)
from rdrepro.study.catalogue import BY_NAME, TABLES

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


def test_every_printed_table_has_one_line_in_the_reproduction_table():
    table = reproduction_table()
    named = [name for line in table["table"] for name in line.split(" and ")]
    assert sorted(named) == sorted(map(table_title, TABLES))
    line = table[table["table"] == "4"].iloc[0]
    assert line["command"] == "`make study TABLE=table4`"
    assert int(line["runs"]) == sum(len(BY_NAME[study].runs()) for study in TABLES["table4"])
    assert line["hours so far"] == f"{BY_NAME['novelty'].hours:.1f}"  # MKD has not run
    assert table[table["table"].str.startswith("1 ")]["hours so far"].tolist() == ["none"]


def test_the_hours_on_a_gpu_follow_from_the_pace_and_the_printed_number_of_images(tmp_path):
    pace = {"training in the steady state": {"wide_resnet50_2 bfloat16": {"images/s": 3629.0}}}
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "gpu-first.json").write_text(json.dumps(pace))
    # 3 seeds of 200 epochs, and one epoch of all 3,629 images takes a second
    assert f"about {600 / 3600:.1f} hours" in pace_in_words(tmp_path / "runs")


def test_every_generated_block_has_its_place(committed_blocks):
    assert set(committed_blocks) >= {"demo", "stands", "headlines", "reproduce", "effects"}
    assert "image_auroc" in committed_blocks["demo"] and "```" in committed_blocks["demo"]
    assert all(committed_blocks.values())
