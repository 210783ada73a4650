"""Tables and figures of the study in a LaTeX document: it compiles."""

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from builders import ROOT, load, make_row
from study_rows import SEEDS

from rdrepro.study import tables
from rdrepro.study.formats import LONGEST_FLOAT, save_table

COMPILERS = {
    "latexmk": ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-quiet"],
    "tectonic": ["tectonic"],
}
COMPILER = next((name for name in COMPILERS if shutil.which(name)), None)
DOCUMENT = r"""\documentclass[10pt]{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx,longtable}
\begin{document}
\section{Tables}
%s
\section{Figures}
%s
\end{document}
"""


@pytest.fixture
def three_tables(tmp_path):
    """A printed table with our runs, a table of one level and a long one with hostile text."""
    runs = load([make_row(category="cable", seed=s) for s in SEEDS], tmp_path / "rows")
    hostile = pd.DataFrame({"a_b": ["[1] 5 % & $x$ \\input{y} ~^#"] * (LONGEST_FLOAT + 1)})
    made = {
        "table1": tables.table1(runs),
        "misses": tables.filled_cells("rd4ad", "1", runs),
        "others": hostile,
    }
    for name, table in made.items():
        save_table(table, name, tmp_path / "tables")
    return [tmp_path / "tables" / f"{name}.tex" for name in made]


def three_figures():
    """Committed pictures, as many as there are, of at most three."""
    return sorted((ROOT / "results" / "figures").rglob("*.png"))[:3]


@pytest.mark.skipif(COMPILER is None, reason="needs latexmk or tectonic")
def test_a_paper_with_three_tables_and_figures_compiles(three_tables, tmp_path):
    inputs = "\n".join(f"\\input{{{file.as_posix()}}}" for file in three_tables)
    shown = "\n\n".join(
        f"\\includegraphics[width=.6\\linewidth,height=.25\\textheight,keepaspectratio]"
        f"{{{file.as_posix()}}}"
        for file in three_figures()
    )
    (tmp_path / "paper.tex").write_text(DOCUMENT % (inputs, shown))
    done = subprocess.run(
        [*COMPILERS[COMPILER], "paper.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    if COMPILER == "latexmk":
        log = Path(tmp_path / "paper.log").read_text(errors="replace")
        assert "Overfull \\hbox" not in log


def test_each_table_has_one_caption_and_one_label(three_tables):
    for file in three_tables:
        text = file.read_text()
        assert text.count("\\caption{") == 1
        assert text.count(f"\\label{{tab:{file.stem}}}") == 1
