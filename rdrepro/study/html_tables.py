"""Tables as HTML for notebooks and the report."""

import re
from collections.abc import Sequence
from html import escape

import pandas as pd
from IPython.display import HTML

from rdrepro.study.formats import dashed, rounded

FOLDED = 10  # lines; where asked for, a longer table is hidden until a click
MIDDLE, LONG = 15, 40  # characters; columns with longer text get room for a readable line
CSS = (
    "<style>.rd{overflow-x:auto;margin:1em 0}.rd table{font-size:12px;border-collapse:collapse}"
    ".rd td,.rd th{padding:3px 8px;border-bottom:1px solid #8886}"
    ".rd td,.rd th{vertical-align:top}"
    ".rd.rd td,.rd.rd th{text-align:left}"  # the class twice: JupyterLab's own rule is as strong
    ".rd td.mid{min-width:9em}.rd td.long{min-width:16em}"
    ".rd.rd td.num,.rd.rd th.num{text-align:right}"
    ".rd td.num,.rd th.num{white-space:nowrap;font-variant-numeric:tabular-nums}"
    ".rd.rd th.group{text-align:center}"
    ".rd th.group{border-left:1px solid #8886}"
    ".rd caption{text-align:left;font-size:13px;padding:4px 0;caption-side:top}</style>"
)
# A number, or two with a slash between them, then a unit and an interval; or an interval alone.
_BARE = r"[-+\u2212]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
_INTERVAL = rf"\[{_BARE},\s{_BARE}\]"
_VALUE = rf"(?:under |about )?(?:{_BARE}|-)(?:/(?:{_BARE}|-))?(?:\s?(?:%|h|s|min|MiB|MB|px))?"
_NUMBER = re.compile(rf"{_VALUE}(?:\s{_INTERVAL})?|{_INTERVAL}")
_FIRST = re.compile(_BARE)
_SPACES = re.compile(rf"(\[{_BARE},) ({_BARE}\])|(\d) (%)")


def html_table(
    table: pd.DataFrame,
    caption: str,
    prose: bool = False,
    digits: int = 1,
    empty: str = "No rows.",
    fold: bool | str = False,
    title: str = "",
) -> HTML:
    """A table with a caption as HTML; for an empty table, the caption and the sentence `empty`.

    Columns of numbers and intervals are aligned to the right, and all others to the left. A dash
    stands where a value is missing. All texts may come from rows: none of them is markup.

    title: stands in bold before the caption.
    prose: the cells are sentences, so that code in backticks and *emphasis* are shown as such.
    digits: decimals of numbers. fold: hide a table of more than FOLDED lines until a click; a text
    hides any table behind that one line.
    """
    if table.empty:
        return HTML(f"<p>{_titled(title, _said(caption, empty))}</p>")
    head, body = _parts(dashed(rounded(table, digits)), prose)
    hidden = isinstance(fold, str) or (fold and len(table) > FOLDED)
    above = "" if hidden and fold is True else f"<caption>{_titled(title, caption)}</caption>"
    # The class keeps JupyterLab from reading "$...$" in a cell as a formula.
    html = (
        f'<div class="rd tex2jax_ignore"><table>{above}'
        f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )
    if hidden:
        counted = _titled(title, _said(caption, f"{len(table)} lines"))
        line = _text(fold) if isinstance(fold, str) else counted
        html = f"<details><summary>{line}</summary>{html}</details>"
    return HTML(CSS + html)


def _said(caption: str, what: str) -> str:
    return f"{caption.rstrip('.')}: {what}" if caption else what


def _titled(title: str, caption: str) -> str:
    """A caption as HTML, after its title in bold."""
    parts = [f"<b>{_text(title)}</b>"] if title else []
    return ": ".join([*parts, _text(caption)] if caption else parts)


def sort_key(text: str) -> float | None:
    """The number by which a cell is sorted; None if it is not a number or an interval."""
    found = _FIRST.search(text) if _NUMBER.fullmatch(text) else None
    return float(found[0].replace(",", "").replace("\u2212", "-")) if found else None


def is_numeric(texts: Sequence[str]) -> bool:
    """Whether a column's cells are all numbers, intervals or dashes, but for empty ones."""
    said = [text for text in texts if text]
    return bool(said) and all(_NUMBER.fullmatch(text) for text in said)


def unbroken(text: str) -> str:
    """Text in which no line breaks inside an interval or between a number and its percent sign."""
    return _SPACES.sub(lambda m: "\u00a0".join(part for part in m.groups() if part), text)


def _parts(table: pd.DataFrame, prose: bool) -> tuple[str, str]:
    """The head and the body of a table of text as HTML."""
    labels = [] if isinstance(table.index, pd.RangeIndex) else table.index.to_frame().to_numpy()
    index = [[str(value) for value in label] for label in labels] or [[]] * len(table)
    cells = [[str(value) for value in line] for line in table.to_numpy()]
    columns = list(zip(*cells, strict=True)) if cells else []
    kinds = ["num" if is_numeric(column) else _width(column) for column in columns]
    lines = []
    for label, line in zip(index, cells, strict=True):
        heads = "".join(f'<th scope="row">{_text(text, prose)}</th>' for text in label)
        lines.append(f"<tr>{heads}{_cells(line, kinds, prose)}</tr>")
    names = [str(name or "") for name in table.index.names] if len(labels) else []
    return _head(table.columns, names, kinds), "".join(lines)


def _width(texts: Sequence[str]) -> str:
    """The class of a column of text, by its longest cell."""
    longest = max(map(len, texts))
    return "long" if longest > LONG else "mid" if longest > MIDDLE else ""


def _cells(line: list[str], kinds: list[str], prose: bool) -> str:
    cells = []
    for text, kind in zip(line, kinds, strict=True):
        key = sort_key(text)  # also in a column that holds a word, which sorts after numbers
        named = f' class="{kind}"' if kind else ""
        sort = f' data-sort="{key:.12g}"' if key is not None else ""
        cells.append(f"<td{named}{sort}>{_text(text, prose)}</td>")
    return "".join(cells)


def _head(columns: pd.Index, names: list[str], kinds: list[str]) -> str:
    """The lines of a table's head; the upper one of two joins equal neighbours."""
    own = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    last = [key[-1] if isinstance(key, tuple) else key for key in columns]
    for name, kind in zip(last, kinds, strict=True):
        named = ' class="num"' if kind == "num" else ""
        own += f'<th scope="col"{named}>{unbroken(escape(str(name)))}</th>'
    if columns.nlevels == 1:
        return f"<tr>{own}</tr>"
    groups: list[list] = []
    for key in columns:
        if groups and groups[-1][0] == key[0]:
            groups[-1][1] += 1
        else:
            groups.append([key[0], 1])
    above = "<td></td>" * len(names)
    for name, width in groups:
        above += f'<th scope="colgroup" class="group" colspan="{width}">{escape(str(name))}</th>'
    return f"<tr>{above}</tr><tr>{own}</tr>"


def _text(text: str, prose: bool = False) -> str:
    """Text as HTML in which only code in backticks and, in prose, emphasis is markup."""
    html = _code(unbroken(escape(text)))
    return re.sub(r"(?<![\w*])\*(\w[^*<>]*)\*(?![\w*])", r"<em>\1</em>", html) if prose else html


def _code(html: str) -> str:
    return re.sub("`([^`<>]+)`", r"<code>\1</code>", html)
