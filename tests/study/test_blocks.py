"""What README.md and DEVIATIONS.md generate from rows, between their marks."""

from builders import load, make_row
from study_rows import SEEDS

from rdrepro.study import tables
from rdrepro.study.blocks import fill_block, medical_block, usual_protocol

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


def test_the_readmes_results_have_no_variant_of_an_ablation(tmp_path):
    made = [make_row(seed=s, epochs=40) for s in SEEDS]
    made += [make_row(seed=s, epochs=40, bottleneck="oce") for s in SEEDS]
    table = tables.beside_table(load(made, tmp_path), "made-up")
    assert set(table["differs in"]) == {"", "bottleneck=oce"}
    shown = usual_protocol(table)
    assert len(shown) == 3 and "differs in" not in shown
    assert usual_protocol(shown) is shown


def test_without_medical_rows_their_block_is_empty(tmp_path):
    assert medical_block(load([make_row()], tmp_path)).split() == ["|", "|", "|", "|"]


def test_every_generated_block_has_its_place(committed_blocks):
    assert set(committed_blocks) >= {"demo", "embedded", "results", "novelty", "medical", "effects"}
    assert "image_auroc" in committed_blocks["demo"] and "```" in committed_blocks["demo"]
    assert all(committed_blocks.values())
