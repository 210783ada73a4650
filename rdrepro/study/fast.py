"""The preset `fast`, with a tenth of the gradient steps, beside `paper` with the same seeds.

Three arms are compared: `paper`, `fast`, and "2,000 steps", which is `fast` with as many epochs as
give about 2,000 gradient steps. An arm is recognised by its settings. Values are in percent;
differences, standard deviations and margins are in points.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.config import OURS, RunConfig
from rdrepro.metric_names import ROW_METRIC, title_of
from rdrepro.presets import PRESETS
from rdrepro.study import printed
from rdrepro.study.matching import follows
from rdrepro.study.selection import clean, complete, newest
from rdrepro.study.stats import LEVEL, ROUNDING, collapsed, non_inferior, summary
from rdrepro.study.titles import EMBEDDED, data_title, dataset_title
from rdrepro.study.wording import device, network

# The second study has `paper` on bottle with ResNet-18.
STUDIES = ("fast", "small-backbones")
PAPER, FAST, LONGER = ARMS = ("paper", "fast", "2,000 steps")
STEPS = 2000  # of the third arm, as many as ReContrast's
LAST = 10  # epochs at the end whose spread is measured
METRICS = tuple(ROW_METRIC.values())
MARGINS = {row: printed.MARGINS["category"][name] for name, row in ROW_METRIC.items()}
# The settings in which rows of one arm may differ, and those that identify a data set and teacher.
VARIED = ("dataset", "category", "image_size", "data_seed", "backbone", "weights", "oce_width")
SET = ["dataset", "category", "image_size", "data_seed", "backbone", "weights"]
IMAGES = SET[:3]
NAMED = ["data", "teacher"]
WORSE, OPEN, GOOD = ANSWERS = ("worse", "not shown", "non-inferior")
RECONTRAST = "recontrast"  # the file of its printed values
MOST = 3  # comparisons that a sentence names
NOT_RUN = "`fast` was not run beside `paper` yet, so nothing can be said."


def arms(runs: pd.DataFrame) -> pd.DataFrame:
    """The newest clean row of each training that belongs to an arm.

    runs: lines of `load_runs`. New columns: `arm`, `steps` (gradient steps), `data` (the title of
    the data set and category) and `teacher`.
    """
    rows = clean(runs)
    rows = rows[rows["study"].isin(STUDIES)] if len(rows) else rows
    if rows.empty:
        return pd.DataFrame()
    each = np.ceil(rows["counts.train"] / rows["batch_size"]).astype(int)
    rows = rows.assign(
        arm=[_arm(row, n) for row, n in zip(rows.to_dict("records"), each, strict=True)],
        steps=rows["epochs"] * each,
        data=[_title(name, [c], px) for name, c, px in rows[IMAGES].to_numpy()],
        teacher=rows["backbone"].map(network),
    )
    rows = newest(rows[rows["arm"] != ""], "arm", *SET, "seed")
    order = rows["arm"].map(ARMS.index).rename("order")
    keys = pd.concat([rows[[*SET, "seed"]], order], axis=1).sort_values([*SET, "order", "seed"])
    return rows.loc[keys.index].reset_index(drop=True)


def _title(dataset: str, categories: Sequence[str], image_size: int) -> str:
    return f"{data_title(dataset, categories)}, {image_size} px"


def _arm(row: dict[str, Any], steps_of_an_epoch: int) -> str:
    """The arm of a row; empty if it belongs to none."""
    if follows(row, _protocol({})):
        return PAPER
    settings = PRESETS.get(FAST)
    if settings is None:
        return ""
    if follows(row, _protocol(settings)):
        return FAST
    epochs = max(1, round(STEPS / steps_of_an_epoch))
    return LONGER if follows(row, _protocol(settings | {"epochs": epochs})) else ""


def _protocol(changes: dict[str, Any]) -> dict[str, Any]:
    """The settings of an arm, which is the paper's protocol with changes."""
    usual = printed.protocol_defaults()
    return {name: changes.get(name, usual[name]) for name in usual if name not in VARIED}


def _sets(rows: pd.DataFrame, *also: str) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each data set and teacher, and how tables name them. also: further columns."""
    for _, group in rows.groupby([*SET, *also], sort=False) if len(rows) else ():
        yield dict(group.iloc[0][[*NAMED, *also]]), group


def _beside(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of `arms` on those data sets and teachers of which not only `paper` ran."""
    rows = arms(runs)
    if rows.empty:
        return rows
    return rows[(rows["arm"] != PAPER).groupby([rows[name] for name in SET]).transform("any")]


def comparison(runs: pd.DataFrame) -> pd.DataFrame:
    """Whether `fast` is as good as `paper`, up to the margin, for each data set and metric.

    Both trained with the same seed are a pair. `lower bound` is that of the one-sided 95 %
    t-interval of the difference, `fast` minus `paper`. The answer is "non-inferior" if this bound
    is above -margin, "worse" if the upper one-sided bound is below it, and "not shown" otherwise.
    Misses come first.
    """
    lines = []
    for named, rows in _sets(arms(runs)):
        for metric in METRICS:
            values = 100 * rows.pivot(index="seed", columns="arm", values=metric).astype(float)
            pairs = values.reindex(columns=[PAPER, FAST]).dropna()
            if len(pairs):
                line = _compared(pairs, MARGINS[metric])
                lines.append(named | {"metric": title_of(metric)} | line)
    order = ANSWERS.index
    return pd.DataFrame(sorted(lines, key=lambda x: (order(x["answer"]), x["difference"])))


def _compared(pairs: pd.DataFrame, margin: float) -> dict[str, Any]:
    """The columns of `comparison` from the values of both arms by seed."""
    differences = pairs[FAST] - pairs[PAPER]
    mean, bound, good = non_inferior(differences, margin)
    upper = summary(differences, 2 * LEVEL - 1).high
    bad = not np.isnan(bound) and upper < -margin - ROUNDING
    return {
        "pairs": len(pairs),
        **pairs.mean().to_dict(),
        "difference": mean,
        "SD": summary(differences).sd,
        "lower bound": bound,
        "margin": margin,
        "answer": GOOD if good else WORSE if bad else OPEN,
    }


def spread(runs: pd.DataFrame) -> pd.DataFrame:
    """How far results scatter: over seeds, and within a training over its last LAST epochs.

    A line for each data set, teacher, arm and metric. `over seeds` is the standard deviation.
    `last epochs` is the mean over seeds of the standard deviation over the last epochs, NaN where
    the test set was not looked at after each of them. These looks select nothing.
    """
    return pd.DataFrame(
        {
            **named,
            "metric": title_of(metric),
            "seeds": len(rows),
            "over seeds": summary(100 * rows[metric].astype(float)).sd,
            "last epochs": np.mean([_last_sd(row, metric) for row in rows["history"]]),
        }
        for named, rows in _sets(_beside(runs), "arm")
        for metric in METRICS
    )


def _last_sd(history: dict[str, list], metric: str) -> float:
    """The standard deviation of a metric over the last LAST epochs, in points."""
    looks = pd.Series(history.get(metric, [])[-LAST:], dtype=float).dropna()
    return 100 * looks.std() if len(looks) == LAST else np.nan


def collapses(runs: pd.DataFrame) -> pd.DataFrame:
    """How many trainings collapsed, with the lowest and the median image AUROC.

    A line for each data set, teacher and arm, the most collapses first. A training has collapsed if
    its scores have no spread, or if it lies more than ten points below the median of its
    repetitions.
    """
    lines = []
    for named, rows in _sets(_beside(runs), "arm"):
        values = 100 * rows["image_auroc"].astype(float)
        fell = collapsed(values) | rows["status"].eq("collapsed")
        found = {"lowest": values.min(), "median": values.median(), "collapsed": int(fell.sum())}
        lines.append(named | {"seeds": len(rows)} | found)
    return pd.DataFrame(sorted(lines, key=lambda line: -line["collapsed"]))


def two_thousand(runs: pd.DataFrame) -> pd.DataFrame:
    """The arm of 2,000 steps beside printed values of ReContrast and RD4AD, without a verdict.

    The last lines are the printed averages over fifteen categories, which we did not run. The
    teachers differ, so differences mean nothing by themselves.
    """
    lines = []
    for named, rows in _sets(arms(runs)):
        own = rows[rows["arm"] == LONGER]
        for metric in METRICS if len(own) else ():
            means = (100 * rows.groupby("arm")[metric].mean()).reindex(ARMS).to_dict()
            shown = {"metric": title_of(metric), "seeds": len(own)} | means
            lines.append(named | shown | _printed(rows["category"].iloc[0], metric))
    averages = [{"data": "average of 15 (MVTec AD)", "metric": title_of(m)} for m in METRICS]
    for line, metric in zip(averages, METRICS, strict=True):
        lines += [line | _printed("average", metric)] if lines else []
    return pd.DataFrame(lines).astype({"seeds": "Int64"}) if lines else pd.DataFrame()


def _printed(category: str, metric: str) -> dict[str, float]:
    """What ReContrast and RD4AD print for a category, in percent."""
    name = next(name for name, row in ROW_METRIC.items() if row == metric)
    table = printed.load_printed(RECONTRAST).set_index(["category", "metric"])["value"]
    of = {"category": category, "method": printed.METHOD_NAMES[OURS]}
    of |= {"image_size": RunConfig.image_size}
    ours = [printed.printed_values("rd4ad", number, "metric", **of) for number in "12"]
    return {
        "ReContrast, printed": table.get((category, name), np.nan),
        "RD4AD, printed": (ours[0] | ours[1]).get(name, np.nan),
    }


def _panels(rows: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The rows of each data set and teacher, with all embedded categories as one data set."""
    if rows.empty:
        return
    drawn = rows["dataset"].map(dataset_title) == EMBEDDED
    yield from _sets(rows[~drawn])
    for _, group in rows[drawn].groupby(["teacher", "image_size", "data_seed"], sort=False):
        categories = list(group["category"].unique())
        title = _title(group["dataset"].iloc[0], categories, group["image_size"].iloc[0])
        yield {"data": title, "teacher": group["teacher"].iloc[0]}, group


def seconds(runs: pd.DataFrame) -> pd.DataFrame:
    """The seconds of training of one category, as medians over seeds and embedded categories.

    A line for each data set, teacher, arm, device and number of threads. Looks at the test set are
    not counted.
    """
    lines = []
    machine = ["arm", "provenance.device", "provenance.threads"]
    for named, rows in _panels(_beside(runs)):
        for (arm, place, threads), own in rows.groupby(machine, sort=False):
            ran = {"arm": arm, "runs": len(own), "steps": round(own["steps"].mean())}
            where = {"device": device(place), "threads": threads}
            lines.append(named | ran | where | {"seconds": own["cost.train_seconds"].median()})
    return pd.DataFrame(lines)


def efforts(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What each seed of each arm reached and took, for `figures.plot_steps`.

    Columns: data, teacher, arm, seed, steps, seconds, value (percent) and last (the standard
    deviation over the last epochs, in points). For embedded categories these are means over the
    categories, of the seeds with which all of them ran.
    """
    lines = []
    for named, rows in _panels(_beside(runs)):
        rows = rows.assign(
            seconds=rows["cost.train_seconds"],
            value=100 * rows[metric].astype(float),
            last=[_last_sd(history, metric) for history in rows["history"]],
        )
        whole = rows["category"].nunique()
        for arm, own in rows.groupby("arm", sort=False):
            own = complete(own, "seed", "category", whole)
            means = own.groupby("seed", as_index=False)[["steps", "seconds", "value", "last"]]
            lines += [named | {"arm": arm} | line for line in means.mean().to_dict("records")]
    return pd.DataFrame(lines)


def in_words(runs: pd.DataFrame) -> list[str]:
    """What the comparison of `fast` with `paper` found, in a few sentences, misses first."""
    lines = comparison(runs)
    if lines.empty:
        return [NOT_RUN]
    by_answer = {answer: lines[lines["answer"] == answer] for answer in ANSWERS}
    said = []
    if len(by_answer[WORSE]):
        said.append(
            f"`fast` loses more than the margin against `paper` in {_of(by_answer[WORSE], lines)}: "
            f"{_names(by_answer[WORSE])}."
        )
    if len(by_answer[OPEN]):
        said.append(
            f"Whether `fast` loses more than the margin is open in {_of(by_answer[OPEN], lines)}: "
            f"{_names(by_answer[OPEN])}."
        )
    said.append(
        f"`fast` is non-inferior to `paper` in {_of(by_answer[GOOD], lines)} of a category and a "
        "metric."
    )
    return [*said, _collapses_in_words(collapses(runs))]


def _collapses_in_words(table: pd.DataFrame) -> str:
    own = table[table["arm"] == FAST]
    fell, ran = own["collapsed"].sum(), own["seeds"].sum()
    return f"{fell or 'None'} of {ran} trainings with `fast` collapsed."


def _of(part: pd.DataFrame, whole: pd.DataFrame) -> str:
    return f"{len(part)} of {len(whole)} comparisons"


def _names(lines: pd.DataFrame) -> str:
    """The first comparisons with their differences, and how many more there are."""
    named = [
        f"{x['data']}, {x['teacher']}, {x['metric']} ({x['difference']:+.1f} points)"
        for _, x in lines.head(MOST).iterrows()
    ]
    return "; ".join(named) + (f"; and {len(lines) - MOST} more" if len(lines) > MOST else "")


def readme_sentences(runs: pd.DataFrame) -> Sequence[str]:
    """A sentence for README.md; none where `fast` was not run."""
    said = in_words(runs)
    return [] if said == [NOT_RUN] else [f"**A tenth of the steps.** {' '.join(said)}"]


def spread_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The result of `spread` with a line for each data set and metric, and columns for each arm."""
    lines = spread(runs)
    if lines.empty:
        return lines
    columns = ["seeds", "over seeds", "last epochs"]
    wide = lines.pivot(index=[*NAMED, "metric"], columns="arm", values=columns)
    shown = {
        f"{arm}: {column}": wide[column, arm]
        for arm in ARMS
        if arm in wide["seeds"]
        for column in columns
    }
    table = pd.DataFrame(shown).reindex(pd.MultiIndex.from_frame(_first(lines)))
    counts = {name: "Int64" for name in table if name.endswith(": seeds")}
    return table.astype(counts).reset_index()


def _first(lines: pd.DataFrame) -> pd.DataFrame:
    """The data sets, teachers and metrics of `spread`, each once and in its order."""
    return lines[[*NAMED, "metric"]].drop_duplicates()
