"""Tables as HTML for notebooks and the report."""

import re

import pandas as pd
from IPython.display import HTML

from rdrepro.study.formats import rounded

FOLDED = 10  # lines; where asked for, a longer table is hidden until a click
CSS = (
    "<style>.rd{overflow-x:auto;margin:1em 0}.rd table{font-size:11px;border-collapse:collapse}"
    ".rd td,.rd th{padding:2px 6px;text-align:right;border-bottom:1px solid #ddd}"
    ".rd thead tr:first-child th[colspan]{text-align:center;border-left:1px solid #999}"
    ".rd .text td,.rd .text th{text-align:left;vertical-align:top}"
    ".rd .numbers td{white-space:nowrap}"
    ".rd caption{text-align:left;font-size:13px;padding:4px 0;caption-side:top}</style>"
)


def html_table(
    table: pd.DataFrame,
    caption: str,
    prose: bool = False,
    digits: int = 1,
    empty: str = "No rows.",
    fold: bool = False,
) -> HTML:
    """A table with a caption as HTML; for an empty table, the caption and the sentence `empty`.

    prose: align the cells to the left, as text. digits: decimals of numbers. fold: hide a table of
    more than FOLDED lines until a click.
    """
    if table.empty:
        return HTML(f"<p>{caption}: {empty}</p>")
    index = not isinstance(table.index, pd.RangeIndex)
    head, long = "text" if prose else "numbers", fold and len(table) > FOLDED
    html = rounded(table, digits).to_html(index=index, classes=head, border=0, sparsify=True)
    html = re.sub("`([^`]+)`", r"<code>\1</code>", html)
    html = html.replace("<thead>", f"<caption>{caption}</caption><thead>", 1)
    # The class keeps JupyterLab from reading "$...$" in a cell as a formula.
    html = f'<div class="rd tex2jax_ignore">{html}</div>'
    if long:
        html = f"<details><summary>{caption}: {len(table)} lines</summary>{html}</details>"
    return HTML(CSS + html)
