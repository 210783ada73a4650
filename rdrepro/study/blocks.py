"""The blocks of README.md and DEVIATIONS.md that are generated from result rows.

Each block lies between two marks.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from rdrepro import registry
from rdrepro.config import RunConfig
from rdrepro.runs.rows import load_runs
from rdrepro.study.catalogue import TABLES, configuration, studies_of
from rdrepro.study.deviations import (
    REGISTER_PARTS,
    effects_block,
    measured_effects,
    register_block,
)
from rdrepro.study.formats import markdown, markdown_text, rounded
from rdrepro.study.in_short import where_it_stands
from rdrepro.study.jobs import jobs_of
from rdrepro.study.printed import load_printed
from rdrepro.study.summary import headline_rows
from rdrepro.study.tables import row_table


def generated_blocks(runs_dir: Path) -> dict[str, str]:
    """The generated text of each block of README.md and DEVIATIONS.md, by the block's name."""
    runs = load_runs(runs_dir)
    demo = runs[runs["study"] == "readme"].iloc[-1]
    measured = measured_effects(runs)
    blocks = {
        "demo": fenced(str(row_table(demo))),
        "stands": bullets(where_it_stands(runs)),
        "headlines": markdown(rounded(headline_rows(runs), 1)),
        "reproduce": f"{markdown(reproduction_table())}\n\n{pace_in_words(runs_dir)}",
        "effects": effects_block(measured),
    }
    return blocks | {part: register_block(measured, part) for part in REGISTER_PARTS}


def bullets(sentences: Iterable[str]) -> str:
    """Sentences as a list in Markdown."""
    return "\n".join(f"- {markdown_text(sentence)}" for sentence in sentences)


def reproduction_table() -> pd.DataFrame:
    """What makes each printed table: studies, command, number of runs, data and hours.

    Tables with the same studies share a line. Hours are those behind the committed rows.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for table, studies in TABLES.items():
        groups.setdefault(studies, []).append(table)
    lines = []
    for tables in groups.values():
        studies = studies_of(tables[0])
        data = dict.fromkeys(configuration(run).dataset for s in studies for run in s.runs())
        hours = sum(study.hours or 0 for study in studies)
        lines.append(
            {
                "table": " and ".join(table_title(table) for table in tables),
                "studies": ", ".join(study.name for study in studies),
                "command": f"`make study TABLE={tables[0]}`",
                "runs": len(jobs_of(tables[0])),
                "data": ", ".join(map(registry.title_of, data)),
                "hours so far": f"{hours:.1f}" if hours else "none",
            }
        )
    return pd.DataFrame(lines).astype(str)


def table_title(name: str) -> str:
    """A printed table in few words, such as "2" for "table2" and "extension's 3" for "medical3"."""
    return name.replace("table", "").replace("medical", "extension's ")


def pace_in_words(runs_dir: Path) -> str:
    """How long study `paper` trains on one GPU, from the speed that was measured there."""
    measured = json.loads((runs_dir.parent / "benchmarks" / "gpu-first.json").read_text())
    pace = measured["training in the steady state"]["wide_resnet50_2 bfloat16"]["images/s"]
    text = load_printed("text")
    whole = (text["metric"] == "train_images") & (text["category"] == "average")
    images = float(text.loc[whole, "value"].iloc[0])
    repetitions = len({configuration(run).seed for run in studies_of("paper")[0].runs()})
    hours = repetitions * images * RunConfig.epochs / pace / 3600
    return (
        "*Hours so far* are those of the committed rows, mostly on two CPU cores with small "
        f"teachers. The full protocol needs a GPU. One H100 trained {pace:.0f} images a second "
        f"with WideResNet-50-2. At that speed, Tables 1 and 2 at 256 px with {repetitions} seeds "
        f"need about {hours:.1f} hours of training."
    )


def fenced(text: str) -> str:
    """Text as a code block of Markdown, which no backticks and no mark of `fill_block` end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.replace('<!--', '<! --')}\n{fence}"


def fill_block(text: str, name: str, content: str) -> str:
    """The text with the content between the marks of a block replaced.

    A text without these marks is returned unchanged.
    """
    marks = f"<!-- {name}: made by `make tables` -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return f"{before}{marks[0]}{content}{marks[1]}{after}" if rest else text
