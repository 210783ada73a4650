"""The settings of a run as tables: first what differs from the paper's protocol, then the rest."""

import html
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from rdrepro.backbones import SHIPPED_LITE0
from rdrepro.config import RunConfig, protocol_differences
from rdrepro.meaning import meaningless

if TYPE_CHECKING:
    from rdrepro.runs.run import Run

SHIPPED = "EfficientNet-Lite0 weights that install with the package"
BANNER = "<p style='background:#fe6;color:#000;padding:.5em'><b>{}</b></p>"


def protocol_table(run: "Run") -> pd.DataFrame:
    """The settings in which a run departs from the paper's protocol, with both values.

    It is empty if there are none. Settings without a meaning for the run are left out, and so are
    those that the protocol leaves open, such as the category and the seed.
    """
    known = meaningful(run.config)
    rows = [
        (name, str(_shown(run, name, ours)), str(plain(paper)))
        for name, (ours, paper) in protocol_differences(run.config).items()
        if name in known
    ]
    return pd.DataFrame(rows, columns=["setting", "this run", "paper"]).set_index("setting")


def settings_table(run: "Run") -> pd.DataFrame:
    """Every setting that has a meaning for the run, with its value."""
    known = meaningful(run.config).items()
    rows = [(name, _shown(run, name, value)) for name, value in known]
    return pd.DataFrame(rows, columns=["setting", "value"]).set_index("setting")


def as_html(run: "Run") -> str:
    """A run as a notebook shows it: warnings, what differs from the paper, and the rest folded."""
    differing, known = protocol_table(run), settings_table(run)
    rest = known.drop(differing.index)
    banners = [BANNER.format(html.escape(text, quote=False)) for text in _warnings(run)]
    return "".join(
        [
            *banners,
            f"<p>{html.escape(_heading(run), quote=False)}</p>",
            _table(differing) if len(differing) else "",
            f"<details><summary>The other {len(rest)} settings</summary>",
            f"{_table(rest)}</details>",
        ]
    )


def as_text(run: "Run") -> str:
    """The same as plain text, for a terminal."""
    differing = protocol_table(run)
    table = [differing.to_string()] if len(differing) else []
    rest = settings_table(run).drop(differing.index)
    return "\n".join([*_warnings(run), _heading(run), *table, "", rest.to_string()])


def meaningful(config: RunConfig) -> dict[str, Any]:
    """The settings that have a meaning for a configuration, with their values."""
    without = meaningless(vars(config))
    return {name: value for name, value in asdict(config).items() if name not in without}


def plain(value: Any) -> Any:
    """A value as a table shows it: layers as in "1,2,3", and a dash for None."""
    if value is None:
        return "-"
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _shown(run: "Run", name: str, value: Any) -> Any:
    """A setting of the run as a table shows it. Weights without a published name get their file's.

    The digest stays in result rows. A reader knows the file, and not its digest.
    """
    if name != "weights" or not str(value).startswith("sha256:"):
        return plain(value)
    if value == SHIPPED_LITE0:
        return SHIPPED
    return f"{run.weights.path.name} ({value})" if run.weights.path else value


def _table(table: pd.DataFrame) -> str:
    with pd.option_context("display.max_colwidth", None):  # no value is cut off
        return table.rename_axis(None).to_html(border=0)


def _warnings(run: "Run") -> list[str]:
    return [text for text in (run.banner, run.caution, *run.notes) if text]


def _heading(run: "Run") -> str:
    start = f"Preset {run.preset} on {run.device}."
    number = len(protocol_table(run))
    if not number:
        return f"{start} Every setting is that of the paper's protocol."
    differ = "1 setting differs" if number == 1 else f"{number} settings differ"
    return f"{start} {differ} from the paper's protocol:"
