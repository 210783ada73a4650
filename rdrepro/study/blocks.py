"""The blocks of README.md and DEVIATIONS.md that are generated from result rows.

Each block lies between two marks.
"""

import re
from pathlib import Path

import pandas as pd

from rdrepro.runs.rows import load_runs
from rdrepro.study.deviations import REGISTER_PARTS, effects_table, measured_effects, register
from rdrepro.study.formats import markdown, markdown_text, rounded
from rdrepro.study.medical_tables import (
    again_table,
    again_verdict,
    columns_table,
    earlier_split_table,
    earlier_split_verdict,
    readable_columns,
    steps_table,
    steps_verdict,
)
from rdrepro.study.novelty import averages_table
from rdrepro.study.tables import beside_table, embedded_table, row_table


def generated_blocks(runs_dir: Path) -> dict[str, str]:
    """The generated text of each block of README.md and DEVIATIONS.md, by the block's name."""
    runs = load_runs(runs_dir)
    demo = runs[runs["study"] == "readme"].iloc[-1]
    measured = measured_effects(runs)
    blocks = {
        "demo": fenced(str(row_table(demo))),
        "embedded": markdown(embedded_table(runs[runs["study"] == "embedded"])),
        "results": markdown(rounded(usual_protocol(beside_table(runs, "small-backbones")))),
        "novelty": markdown(
            rounded(averages_table(runs, runs_dir).drop(columns="remark", errors="ignore"))
        ),
        "medical": medical_block(runs),
        "effects": markdown(effects_table(measured)),
    }
    return blocks | {part: markdown(register(measured, part)) for part in REGISTER_PARTS}


def medical_block(runs: pd.DataFrame) -> str:
    """The extension's Table 3 in short, and sentences below it.

    They say which steps between its columns exceed noise, what repetitions gave, and what the
    earlier split of Head CT gave.
    """
    wide = ["five folds anew", "folds"]
    table = readable_columns(columns_table(runs)).drop(columns=wide, errors="ignore")
    sentences = [
        steps_verdict(steps_table(runs)),
        again_verdict(again_table(runs)),
        earlier_split_verdict(earlier_split_table(runs)),
    ]
    text = " ".join(sentence for sentence in sentences if sentence)
    return f"{markdown(rounded(table))}\n\n{markdown_text(text)}"


def fenced(text: str) -> str:
    """Text as a code block of Markdown, which no backticks and no mark of `fill_block` end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.replace('<!--', '<! --')}\n{fence}"


def usual_protocol(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of `beside_table` that are not variants of an ablation."""
    if "differs in" not in table:
        return table
    return table[table["differs in"] == ""].drop(columns="differs in")


def fill_block(text: str, name: str, content: str) -> str:
    """The text with the content between the marks of a block replaced.

    A text without these marks is returned unchanged.
    """
    marks = f"<!-- {name}: made by `make tables` -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return f"{before}{marks[0]}{content}{marks[1]}{after}" if rest else text
