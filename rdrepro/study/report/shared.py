"""What several notebooks of the report share: printed tables with footnotes, and figures."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from rdrepro.study import figures, tables
from rdrepro.study.compare import compare, left_out
from rdrepro.study.formats import save_table
from rdrepro.study.html_tables import html_table
from rdrepro.study.printed import paper_cells
from rdrepro.study.tables import title_of

if TYPE_CHECKING:
    pass


CAPTIONS = {
    ("rd4ad", "1"): "image AUROC (%) on MVTec AD, by category and input resolution",
    ("rd4ad", "2"): "pixel AUROC / PRO (%) on MVTec AD; PRO by the authors' formula",
    ("rd4ad", "3"): "seconds per image, memory (printed as MB, held in MiB) and averages (%)",
    ("rd4ad", "4"): "image AUROC (%) of one-class novelty detection, averaged over classes",
    ("rd4ad", "5"): "ablation of the bottleneck, averages over fifteen categories (%)",
    ("rd4ad", "6"): "teacher backbones, averages over fifteen categories (%)",
    ("rd4ad", "7"): "layers whose maps are summed, averages over fifteen categories (%)",
    ("rkd_medical", "1"): 'pixel AUROC / "PRO" (%) on textures; its "PRO" is recall at Youden\'s J',
    ("rkd_medical", "2"): 'pixel AUROC / "PRO" (%) on objects; its "PRO" is recall at Youden\'s J',
    ("rkd_medical", "3"): "image AUROC (%) on medical images",
    ("rkd_medical", "4"): 'pixel AUROC / "PRO" (%) on textures, with its loss L_MKD',
}


WIDE = 16  # columns


READABLE = {"image_size": "px", "n_seeds": "seeds"}


def printed_tables(
    runs: pd.DataFrame, folder: Path, paper: str = "rd4ad", numbers: str = "123"
) -> Iterator[HTML]:
    """Save and yield printed tables, each followed by its footnotes and the rows left out of it.

    numbers: those of the tables, one digit each.
    """
    for number in numbers:
        caption = CAPTIONS[paper, number]
        table = tables.printed_table(paper, number, runs)
        save_table(table, tables.table_name(paper, number), folder)
        whose = "" if paper == "rd4ad" else " of the extension"
        digits = 2 if number == "3" and paper == "rd4ad" else 1
        shown, title = compact(table), f"<b>Table {number}{whose}</b>"
        ours = shown.drop(columns="printed", level=0)
        wide = shown.shape[1] > WIDE
        first = shown[["printed"]] if wide else shown
        yield html_table(first, f"{title}: {caption}.", digits=digits)
        if wide:
            yield html_table(ours, f"{title}, our runs.", digits=digits)
        below = {"Footnotes to": footnotes(runs, paper, number)}
        below["Rows left out of"] = left_out(runs, paper_cells(paper, number))
        for what, table in below.items():
            if len(table):
                yield html_table(table, f"{what} Table {number}{whose}", prose=True, fold=True)


def footnotes(runs: pd.DataFrame, paper: str, number: str) -> pd.DataFrame:
    """The settings of a table's runs that affect no verdict, and how many repetitions collapsed."""
    results = compare(paper_cells(paper, number), runs)
    notes = results[results["footnotes"] != ""].groupby("footnotes", sort=False)
    names = {"collapsed": "collapsed repetitions", "footnotes": "what ran"}
    return (
        notes.agg(cells=("ours", "size"), collapsed=("collapsed", "sum"))
        .reset_index()
        .rename(columns=names)
    )


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """A printed table for display.

    Of columns for which nothing was run, only the verdict and the tier remain.
    """
    columns = {}
    for head in dict.fromkeys(table.columns.get_level_values(0)):
        block = table[head]
        if head != "printed" and "verdict" in block and block["ours"].isna().all():
            block = block[["verdict", "tier"]]
        said = block.notna() & (block.astype(object) != "")
        for name in block.loc[:, said.any()]:
            columns[head, READABLE.get(name, name)] = block[name]
    shown = pd.DataFrame(columns, index=table.index)
    return shown.rename(index=lambda key: title_of(key).replace("_", " "))


def show(figure: Figure | str, name: str, folder: Path) -> Figure | Markdown:
    """Save a figure under a name and return it for display.

    figure: a sentence in place of a figure is returned as Markdown, and nothing is saved.
    """
    if isinstance(figure, str):
        return Markdown(f"*{figure}*")
    figures.save_figure(figure, name, folder)
    plt.close(figure)  # shown by the cell that returns it, not twice
    return figure
