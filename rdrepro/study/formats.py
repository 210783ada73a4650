"""Tables as text: rounding, intervals, Markdown, LaTeX and CSV."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from rdrepro import metric_names, paths, registry
from rdrepro.files import replacing
from rdrepro.study.glossary import TABLES

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
DECIMALS = {"table3": 2, "novelty_grid": 2}  # other tables have one
DECIMALS |= dict.fromkeys(("fast", "fast_spread", "fast_steps", "fast_2000", "fast_log"), 2)
# Columns that have other decimals than their table.
OWN_DECIMALS = {"complexity": dict.fromkeys(("seconds", "teacher", "student", "search", "map"), 3)}
ENDINGS = ("csv", "md", "tex")  # of a table's files
NBSP = "\u00a0"
# One or two printed numbers. The papers have two signs for what they do not print.
PRINTED = re.compile(r"(?:[\d.]+|[-\u2013_])(?:/(?:[\d.]+|[-\u2013_]))?")
DASHES = str.maketrans("\u2013_", "--")
UNBROKEN = re.compile(r"(?<=[\d.],) (?=[-+]?[\d.]+\])")  # the space inside an interval
OUR_RUNS = re.compile(r"^ours(?:: Ours(?=,|$)|(:))")  # how a block of our columns begins
READABLE = {"n_seeds": "seeds", "interval": "95 % interval"}
LONGEST_FLOAT = 45  # lines that fit on a page
# A box of a table's own width, or of the line's width if that is smaller.
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
LATEX_SIGNS = {sign: f"\\{sign}" for sign in "{}$&%#_"}
LATEX_SIGNS |= {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
FORMULA_SIGNS = ("=", "+", "-", "@")  # a spreadsheet computes a cell that begins so
# A number or two, and what tables write behind them: an interval, a remark. "-": not printed.
NUMBER = re.compile(r"(-|[+-]?[\d.,]+)(/(-|[\d.,]+))?( ?%)?( \[[-+\d., ]*\])?( \([\w ]*\))?")


def interval(low: float, high: float, digits: int = 1) -> str:
    """An interval as text, "[low, high]"; empty if its bounds are NaN."""
    return "" if np.isnan(low) else f"[{low:.{digits}f}, {high:.{digits}f}]"


def signed(value: float, digits: int = 1) -> str:
    """A difference as text with its sign, such as "-0.8"; "-" if it is NaN."""
    return "-" if np.isnan(value) else f"{round(value, digits) + 0:+.{digits}f}"


def save_table(
    table: pd.DataFrame, name: str, folder: Path | None = None, caption: str | None = None
) -> list[Path]:
    """Save a table as NAME.csv, NAME.md and NAME.tex; return the files.

    folder: by default results/tables. caption: by default that of `glossary.TABLES`, if there is
    one. The CSV holds every column. The other two leave out the blocks of columns for which
    nothing was run, and show a dash where a value is missing. The LaTeX is a float for a paper,
    with booktabs, caption and label.
    """
    folder = folder or paths.results_dir() / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    caption = TABLES.get(name, name) if caption is None else caption
    index = not isinstance(table.index, pd.RangeIndex)
    digits, own = DECIMALS.get(name, 1), OWN_DECIMALS.get(name)
    shown = dashed(rounded(for_readers(table), digits, own))
    flat = flattened(shown)
    exact = flattened(rounded(table, max(digits, 2), own))
    texts = (
        _changed(exact, csv_text).to_csv(index=index),
        f"{markdown_text(caption)}\n\n{markdown(flat.reset_index() if index else flat)}\n",
        latex_float(shown, index, name, caption),
    )
    named = zip(ENDINGS, texts, strict=True)
    return [_write(folder / f"{name}.{ending}", text) for ending, text in named]


def save_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Save tables by name. The files of an empty table are removed."""
    for name, table in tables.items():
        if len(table):
            save_table(table, name, folder)
        else:
            for ending in ENDINGS:
                (folder / f"{name}.{ending}").unlink(missing_ok=True)


def _write(file: Path, text: str) -> Path:
    with replacing(file) as aside:
        aside.write_text(text, encoding="utf-8")
    return file


def for_readers(table: pd.DataFrame) -> pd.DataFrame:
    """A table with two levels of column names in the form that papers show.

    Blocks of columns for which nothing was run are left out, and so are empty columns and the
    tier. A table with one level of column names is unchanged.
    """
    if table.columns.nlevels == 1:
        return table
    columns = {}
    for head in dict.fromkeys(table.columns.get_level_values(0)):
        block = table[head]
        if "ours" in block and block["ours"].isna().all():
            continue
        said = block.notna() & (block.astype(object) != "")
        for name in block.loc[:, said.any()].columns.drop("tier", errors="ignore"):
            columns[OUR_RUNS.sub(r"our runs\1", head), READABLE.get(name, name)] = block[name]
    return pd.DataFrame(columns, index=table.index).rename(index=_title)


def _title(name: object) -> object:
    """What names a row, for readers: the title of a metric or data set, no underscores."""
    if not isinstance(name, str):
        return name
    return registry.title_of(metric_names.title_of(name)).replace("_", " ")


def rounded(
    table: pd.DataFrame, digits: int = 2, own: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """A table with floats as text with `digits` decimals, and missing values as empty text.

    own: the decimals of columns that differ in them.
    """
    texts = table.map(_rounded, digits=digits)
    for name, places in (own or {}).items():
        if name in table:
            texts[name] = table[name].map(partial(_rounded, digits=places))
    return texts


def _rounded(value: object, digits: int) -> str:
    if pd.isna(value):
        return ""
    # Adding 0 turns -0 into 0.
    return f"{round(value, digits) + 0:.{digits}f}" if isinstance(value, float) else str(value)


def dashed(table: pd.DataFrame) -> pd.DataFrame:
    """A table of text with the same dash for every value that is missing or was not printed."""
    return table.map(_dashed)


def _dashed(text: str) -> str:
    shown = text.translate(DASHES) if PRINTED.fullmatch(text) else text
    return "-" if shown in ("", "-/-") else shown


def flattened(table: pd.DataFrame) -> pd.DataFrame:
    """A table with its two levels of column names joined into one."""
    if table.columns.nlevels == 1:
        return table
    names = [tail if head in ("printed", "") else f"{head}: {tail}" for head, tail in table.columns]
    return table.set_axis(names, axis="columns")


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown. An interval never breaks over lines."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.values.tolist()]
    cells = [[UNBROKEN.sub(NBSP, markdown_text(str(value))) for value in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def markdown_text(text: str) -> str:
    """Text in one line in which nothing is HTML, a link or the end of a cell.

    Code between backticks and emphasis keep their meaning, since tables use them.
    """
    text = _one_line(text).replace("<", "&lt;").replace("](", "]\\(")
    return re.sub(r"(\\*)\|", r"\1\1\\|", text)


def latex(table: pd.DataFrame, index: bool) -> str:
    """A table of text as LaTeX (booktabs), with all special characters escaped."""
    tex = _changed(table, _one_line).to_latex(index=index, escape=True, multicolumn_format="c")
    # After a line break, LaTeX reads "[" as the start of a length and "*" as a variant.
    return re.sub(r"^(\s*)(?=[\[*])", r"\1{}", tex, flags=re.MULTILINE)


def latex_float(table: pd.DataFrame, index: bool, name: str, caption: str) -> str:
    """A table of text as a LaTeX float with caption and label, or as a longtable if it is long.

    It needs the packages booktabs and graphicx, and longtable for a long one. A float wider than
    the line is made smaller.
    """
    body, caption = latex(table, index).rstrip("\n"), escaped(caption)
    head = f"\\caption{{{caption}}}\n\\label{{tab:{name.replace('_', '-')}}}"
    if len(table) > LONGEST_FLOAT:
        return _longtable(body, head)
    lines = ["\\begin{table}[htbp]", "\\centering", "\\small", head, FIT + "{%", body + "}"]
    return "\n".join([*lines, "\\end{table}", ""])


def _longtable(body: str, head: str) -> str:
    body = body.replace("{tabular}", "{longtable}")
    begin, rest = body.split("\n", 1)
    return f"{{\\scriptsize\n\\setlength{{\\tabcolsep}}{{3pt}}\n{begin}\n{head}\\\\\n{rest}\n}}\n"


def escaped(text: str) -> str:
    """Text in one line in which LaTeX reads no command."""
    return re.sub(r"[\\{}$&%#_~^]", lambda found: LATEX_SIGNS[found[0]], _one_line(text))


def csv_text(text: str) -> str:
    """Text that a spreadsheet does not take for a formula; numbers and intervals stay."""
    text = _one_line(text)
    if text.lstrip().startswith(FORMULA_SIGNS) and not NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _one_line(text: str) -> str:
    """Text without line breaks and other control characters."""
    return CONTROL.sub(" ", text)


def _changed(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """A table whose texts, also those of its index and columns, are changed by a function."""

    def changed(value: object) -> object:
        return change(value) if isinstance(value, str) else value

    def renamed(names: pd.Index) -> pd.Index:
        if isinstance(names, pd.MultiIndex):
            keys = [tuple(map(changed, key)) for key in names]
            return pd.MultiIndex.from_tuples(keys, names=map(changed, names.names))
        return names.map(changed).rename(changed(names.name))

    return (
        table.map(changed).set_axis(renamed(table.columns), axis=1).set_axis(renamed(table.index))
    )
