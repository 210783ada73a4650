"""RESULTS.md: every table of the study with its caption, made from result rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from rdrepro.study import fast, medical_text, rotation, speed, speed_gpu
from rdrepro.study.fast_choice import FOUR
from rdrepro.study.formats import DECIMALS, OWN_DECIMALS, dashed, flattened, markdown, rounded
from rdrepro.study.glossary import GLOSSARY, TABLES
from rdrepro.study.report.medical import below_in_words
from rdrepro.study.report.register import coverage_in_words, coverage_table
from rdrepro.study.report.results import seeds_in_words
from rdrepro.study.speed_files import folder_of, read_parts
from rdrepro.study.tables import LAYOUTS, all_tables, filled_cells, table_name
from rdrepro.study.wording import network

MOST_COLUMNS, MOST_LINES = 8, 16  # of a table that is not folded
PRINTED = {table_name(*key): key for key in LAYOUTS}


class Section(NamedTuple):
    """A heading of RESULTS.md with what stands below it."""

    title: str
    intro: str
    tables: tuple[str, ...]


SECTIONS = (
    Section(
        "At a glance",
        "One line for each printed table. Terms are explained in the [glossary](#glossary).",
        ("at_a_glance",),
    ),
    Section(
        "Verdicts and misses",
        "Only runs with the printed protocol get a verdict. All misses are listed. Results on the "
        "extension's medical images are compared by overlap of wide intervals, which is weak "
        "evidence.",
        ("misses", "medical_misses", "verdicts", "tiers"),
    ),
    Section(
        "MVTec AD: Tables 1 and 2",
        "Smaller teachers on one category show how near the method comes. A difference mixes the "
        "teacher with everything else, so it has no verdict. Where two studies have the same "
        "settings, other tables use the later one.",
        ("table1", "table2", "small_backbones"),
    ),
    Section(
        "Embedded images",
        "They show that the package runs, and that it finds drawn defects. They say nothing about "
        "the papers' numbers.",
        ("embedded",),
    ),
    Section(
        "Time and memory: Table 3",
        "Seconds depend on the machine, so they get no verdict.",
        ("table3", "complexity", "memory"),
    ),
    Section(
        "Speed",
        "`make bench` and `make bench-peers` compare our code with the authors' code and with "
        "anomalib, at 256 px unless a line says otherwise.",
        (
            *("speed", "speed_growth", "speed_parts", "speed_ratios", "speed_times"),
            *("speed_memory", "speed_size"),
        ),
    ),
    Section(
        "Speed on a GPU",
        "`make gpu` measures it on one card.",
        ("gpu", "gpu_protocol", "gpu_steps", "gpu_inference", "gpu_first"),
    ),
    Section(
        "A tenth of the steps",
        "The settings of the preset `fast` were chosen on development data alone, without any test "
        "image of the rows that are compared here.",
        (
            *("fast", "fast_spread", "fast_collapses", "fast_steps", "fast_2000", "fast_seconds"),
            "fast_log",
        ),
    ),
    Section(
        "One-class novelty detection: Table 4",
        "The authors published their loaders and scoring, but no training code. "
        "`novelty_official` follows what they published. `novelty_tuned` uses settings that we "
        "chose on training images, so it gets no verdict.",
        ("table4", "novelty", "novelty_classes", "novelty_grid"),
    ),
    Section(
        "Ablations: Tables 5, 6 and 7",
        "The printed averages need all fifteen categories and the paper's teacher. We compare the "
        "direction of each step instead.",
        (
            *("table5", "table5_order", "table5_shape", "table6", "table6_order", "table6_shape"),
            *("table7", "table7_order", "table7_shape"),
        ),
    ),
    Section(
        "The extension: defects, Tables 1, 2 and 4",
        "These tables need all categories and the extension's teacher.",
        ("medical1", "medical2", "medical4"),
    ),
    Section(
        "The extension: medical images, Table 3",
        "The extension tested ten normal images once. We test every normal image once, in five "
        "folds, with smaller teachers and fewer epochs.",
        (
            *("medical3", "medical_columns", "medical_steps", "medical_again", "medical_habits"),
            *("medical_long", "medical_earlier"),
        ),
    ),
    Section(
        "Rotated test images",
        'The extension calls the method "rotational independent". Here, a student that was '
        "trained on upright images tests rotated ones.",
        ("rotation_effects", "rotation"),
    ),
    Section(
        "Claims",
        "Every claim of both papers, with the printed cells that bear on it.",
        ("claims",),
    ),
    Section(
        "How far to trust the intervals",
        "Each kind of interval was simulated.",
        ("coverage",),
    ),
    Section(
        "Other runs",
        "No printed value has the settings of these runs.",
        ("others",),
    ),
    Section(
        "Rows left out",
        "These rows have the settings of a printed value, but do not count for it.",
        ("left_out",),
    ),
)
# Sections of measurements. A sentence there says what was not measured, so that an empty table of
# theirs is left out.
MEASURED = ("Speed", "Speed on a GPU", "A tenth of the steps")
# The columns that are shown of a wide table. All of its columns follow, folded.
NARROW = {
    "small_backbones": (
        *("study", "backbone", "epochs", "metric", "printed", "ours", "interval", "delta"),
        "seeds",
    ),
    "novelty": (
        *("data", "preset", "printed", "ours", "over seeds", "over images, newest seed", "delta"),
        "seeds",
    ),
    "medical_columns": (
        *("data", "reading", "teacher", "batch norms", "printed", "printed, 95 %", "ours"),
        *("over images", "delta", "overlap"),
    ),
    "complexity": (
        *("method", "backbone", "px", "precision", "on", "measurement", "seconds", "bank MiB"),
    ),
    "fast": (
        *("data", "teacher", "metric", "pairs", "difference", "lower bound", "margin", "answer"),
    ),
    "fast_collapses": (
        *("data", "teacher", "arm", "seeds", "median", "median of paper", "collapsed"),
        "far below paper",
    ),
    "fast_steps": (
        *("data", "teacher", "metric", "arm", "steps", "value", "difference", "answer"),
    ),
    "fast_2000": (
        *("data", "teacher", "metric", "seeds", "2,000 steps"),
        *("ReContrast, printed at 256 px", "RD4AD, printed at 256 px"),
    ),
    "fast_seconds": (
        *("data", "teacher", "arm", "runs", "steps", "seconds", "times fewer than paper"),
    ),
    "fast_log": (
        *("trial", ", ".join(FOUR), "embedded", "pasted", "score", "beyond the margin"),
        "worst value",
    ),
    "gpu_protocol": (
        *("network", "weights", "images", "epochs", "training, s", "test, s", "metrics, s"),
        "whole run, s",
    ),
    "gpu_inference": (
        *("network", "precision", "deterministic", "batch", "images/s", "TFLOP/s"),
        "share of limit",
    ),
}
TEACHERS = ("backbone", "teacher")
VARIED = "differs in"
NOTHING = "-"
INTRODUCTION = """\
# Results

This page is made by `make tables` from the result rows and, for speed, from `results/benchmarks/`.
Every table is also a CSV, Markdown and LaTeX file in `results/tables/`. Values are in percent and
differences in points, unless a caption says otherwise. [README.md](README.md) says how to make the
rows, and [DEVIATIONS.md](DEVIATIONS.md) lists where paper and code differ, with the measured
effects."""


def results_page(
    runs: pd.DataFrame, runs_dir: Path, tables: Mapping[str, pd.DataFrame] | None = None
) -> str:
    """The text of RESULTS.md.

    tables: the result of `all_tables`, which is otherwise made here.
    """
    tables = all_tables(runs, runs_dir) if tables is None else tables
    said = sentences(runs, runs_dir, tables)
    parts = [INTRODUCTION, contents()]
    for section in SECTIONS:
        parts += [f"## {section.title}", section.intro]
        parts += [said[section.title]] if said.get(section.title) else []
        for name in section.tables:
            own = filled_cells(*PRINTED[name], runs) if name in PRINTED else tables[name]
            if len(own) or section.title not in MEASURED:
                parts += table_parts(name, own)
    return "\n\n".join([*parts, "## Glossary", glossary(), ""]).rstrip("\n") + "\n"


def contents() -> str:
    """Links to the sections."""
    titles = [*(section.title for section in SECTIONS), "Glossary"]
    return "\n".join(f"- [{title}](#{anchor(title)})" for title in titles)


def anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    kept = "".join(sign for sign in title.lower() if sign.isalnum() or sign in " -_")
    return kept.replace(" ", "-")


def sentences(
    runs: pd.DataFrame, runs_dir: Path, tables: Mapping[str, pd.DataFrame]
) -> dict[str, str]:
    """What the rows say in words, as Markdown, by the title of a section."""
    medical = [
        below_in_words(tables["medical_columns"]),
        medical_text.steps_verdict(tables["medical_steps"]),
        medical_text.again_verdict(tables["medical_again"]),
        medical_text.earlier_split_verdict(tables["medical_earlier"]),
    ]
    rotated = rotation.rotation_in_words(rotation.measured_changes(runs, runs_dir))
    measured = folder_of(runs_dir)
    return {
        "Embedded images": seeds_in_words(runs),
        "Speed": "\n\n".join(speed.in_words(read_parts(measured))),
        "Speed on a GPU": "\n\n".join(speed_gpu.in_words(speed_gpu.read_record(measured))),
        "A tenth of the steps": " ".join(fast.in_words(runs)),
        "The extension: medical images, Table 3": "\n\n".join(filter(None, medical)),
        "Rotated test images": "\n\n".join(rotated),
        "How far to trust the intervals": coverage_in_words(coverage_table()).data,
    }


def table_parts(name: str, table: pd.DataFrame) -> list[str]:
    """A table as parts of a page: its caption, and its lines, folded if it is wide or long.

    Of a table with columns in NARROW, these come first, and all of its columns are folded.
    """
    title, _, rest = TABLES[name].partition(". ") if name in PRINTED else ("", "", TABLES[name])
    caption = f"**{title}.** {rest}" if title else f"**{rest}**"
    if table.empty:
        return [f"{caption} {'No run of the printed protocol.' if name in PRINTED else 'None.'}"]
    flat = text_table(name, table)
    narrow = [column for column in NARROW.get(name, ()) if column in flat]
    if narrow:
        short = flat[flat[VARIED] == NOTHING] if VARIED in flat else flat
        return [caption, folded(short[narrow], len(narrow)), details(flat, "All columns")]
    return [caption, folded(flat)]


def text_table(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table as text, with its index as a column if it has names, and dashes in empty cells."""
    digits, own = DECIMALS.get(name, 1), OWN_DECIMALS.get(name)
    flat = flattened(dashed(rounded(table, digits, own)))
    flat = flat if isinstance(table.index, pd.RangeIndex) else flat.reset_index()
    teachers = [column for column in TEACHERS if column in flat]
    return flat.assign(**{column: flat[column].map(network) for column in teachers})


def folded(table: pd.DataFrame, most_columns: int = MOST_COLUMNS) -> str:
    """A table as Markdown, behind a click if it has more columns, or more than MOST_LINES lines."""
    if table.shape[1] > most_columns or len(table) > MOST_LINES:
        return details(table, "Show")
    return markdown(table)


def details(table: pd.DataFrame, summary: str) -> str:
    """A table as Markdown behind a click."""
    size = f"{len(table)} line{'s' * (len(table) > 1)}, {table.shape[1]} columns"
    head = f"<details><summary>{summary}: {size}</summary>"
    return f"{head}\n\n{markdown(table)}\n\n</details>"


def glossary() -> str:
    """The terms and their meaning as a Markdown table."""
    return markdown(pd.DataFrame(GLOSSARY.items(), columns=["term", "meaning"]))
