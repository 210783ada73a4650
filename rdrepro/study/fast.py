"""The preset `fast`, with a tenth of the gradient steps, beside `paper` with the same seeds.

Three arms are compared: `paper`, `fast`, and "2,000 steps", which is `fast` with as many epochs as
give about 2,000 gradient steps. `fast` with any other number of epochs is an arm of its own, such
as "fast, 40 epochs", and only `more_steps` shows it. An arm is recognised by its settings. Values
are in percent; differences, standard deviations and margins are in points.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rdrepro.config import OURS, RunConfig
from rdrepro.metric_names import ROW_METRIC, title_of
from rdrepro.presets import PRESETS
from rdrepro.study import printed, stats
from rdrepro.study.matching import follows
from rdrepro.study.selection import clean, complete, newest
from rdrepro.study.stats import LEVEL, ROUNDING, collapsed, non_inferior, summary
from rdrepro.study.titles import EMBEDDED, data_title, dataset_title
from rdrepro.study.wording import device, network

TIMED = ("fast", "fast-more")
# The last has `paper` on bottle with ResNet-18. Its seconds do not count: older code trained it.
STUDIES = (*TIMED, "small-backbones")
PAPER, FAST, LONGER = ARMS = ("paper", "fast", "2,000 steps")
STEPS = 2000  # of the third arm, as many as ReContrast's
LAST = 10  # epochs at the end whose spread is measured
METRICS = tuple(ROW_METRIC.values())
MARGINS = {row: printed.MARGINS["category"][name] for name, row in ROW_METRIC.items()}
# The settings in which rows of one arm may differ. Rows that agree in them can be pairs.
SET = ["dataset", "category", "image_size", "data_seed", "backbone", "weights"]
SET += ["oce_width", "precision"]
IMAGES = SET[:3]
NAMED = ["data", "teacher"]
# What is added to a teacher's title where rows have the same title but differ in these.
REMARKS = {"oce_width": "OCE width {}", "precision": "{}"}
WORSE, OPEN, GOOD = ANSWERS = ("worse", "not shown", "non-inferior")
RECONTRAST = "recontrast"  # the file of its printed values
PRINTED_DATA, PRINTED_SIZE = "mvtec", RunConfig.image_size  # of both papers' printed values
MOST = 3  # comparisons that a sentence names
TENTH = "The preset `fast` trains for a tenth of the gradient steps of `paper`."
MARGIN = "the margin"
MARGIN_EXPLAINED = f"{MARGIN} (the loss that this study tolerates for one category)"
NOT_RUN = "`fast` was not run beside `paper` yet, so nothing can be said."


def arms(runs: pd.DataFrame) -> pd.DataFrame:
    """The newest clean row of each training that belongs to an arm.

    runs: lines of `load_runs`. New columns: `arm`, `steps` (gradient steps), `seconds` (of
    training, see `_seconds`), `data` (the title of the data set and category) and `teacher`.
    """
    rows = clean(runs)
    rows = rows[rows["study"].isin(STUDIES)] if len(rows) else rows
    if rows.empty:
        return pd.DataFrame()
    each = np.ceil(rows["counts.train"] / rows["batch_size"]).astype(int)
    rows = rows.assign(
        arm=[_arm(row, n) for row, n in zip(rows.to_dict("records"), each, strict=True)],
        steps=rows["epochs"] * each,
        seconds=[_seconds(row) for row in rows.to_dict("records")],
        data=[_title(name, [c], px) for name, c, px in rows[IMAGES].to_numpy()],
        teacher=rows["backbone"].map(network),
    )
    rows = newest(rows[rows["arm"] != ""], "arm", *SET, "seed")
    rows = rows.assign(
        teacher=_distinguished(rows),
        order=[ARMS.index(arm) if arm in ARMS else len(ARMS) for arm in rows["arm"]],
    )
    keys = rows[[*SET, "order", "steps", "seed"]]
    keys = keys.sort_values(list(keys))
    return rows.loc[keys.index].drop(columns="order").reset_index(drop=True)


def _seconds(row: dict[str, Any]) -> float:
    """The seconds of training of a row: its epochs times the median of their seconds.

    The median hides a while in which the machine was busy with something else. Looks at the test
    set are not counted. NaN for a row of a study that is not in TIMED.
    """
    each = row["history"].get("seconds", ())
    return row["epochs"] * np.median(each) if row["study"] in TIMED and len(each) else np.nan


def _distinguished(rows: pd.DataFrame) -> pd.Series:
    """The title of each row's teacher, with those of REMARKS in which rows of one title differ."""
    titles = rows["teacher"]
    for name, text in REMARKS.items():
        several = rows.groupby(NAMED)[name].transform("nunique") > 1
        titles = titles.where(~several, titles + ", " + rows[name].map(text.format))
    return titles


def _title(dataset: str, categories: Sequence[str], image_size: int) -> str:
    return f"{data_title(dataset, categories)}, {image_size} px"


def _arm(row: dict[str, Any], steps_of_an_epoch: int) -> str:
    """The arm of a row; empty if it belongs to none."""
    if follows(row, _protocol({})):
        return PAPER
    settings = PRESETS[FAST]
    if follows(row, _protocol(settings)):
        return FAST
    if not follows(row, _protocol(settings | {"epochs": printed.ANY})):
        return ""
    epochs = max(1, round(STEPS / steps_of_an_epoch))
    return LONGER if row["epochs"] == epochs else f"{FAST}, {row['epochs']:.0f} epochs"


def _protocol(changes: dict[str, Any]) -> dict[str, Any]:
    """The settings of an arm, which is the paper's protocol with changes."""
    usual = printed.protocol_defaults()
    return {name: changes.get(name, usual[name]) for name in usual if name not in SET}


def _sets(rows: pd.DataFrame, *also: str) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each data set and teacher, and how tables name them. also: further columns."""
    for _, group in rows.groupby([*SET, *also], sort=False) if len(rows) else ():
        yield dict(group.iloc[0][[*NAMED, *also]]), group


def _beside(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of ARMS on those data sets and teachers of which not only `paper` ran."""
    rows = arms(runs)
    if rows.empty:
        return rows
    rows = rows[rows["arm"].isin(ARMS)]
    return rows[(rows["arm"] != PAPER).groupby([rows[name] for name in SET]).transform("any")]


def comparison(runs: pd.DataFrame) -> pd.DataFrame:
    """Whether `fast` is as good as `paper`, up to the margin, for each data set and metric.

    Both trained with the same seed, bottleneck's width and precision are a pair. `lower bound` is
    that of the one-sided 95 % t-interval of the difference, `fast` minus `paper`. The answer is
    "non-inferior" if this bound is above -margin, "worse" if the upper one-sided bound is below it,
    and "not shown" otherwise. Misses come first.
    """
    lines = []
    for named, rows in _sets(arms(runs)):
        for metric in METRICS:
            values = 100 * rows.pivot(index="seed", columns="arm", values=metric).astype(float)
            pairs = values.reindex(columns=[PAPER, FAST]).dropna()
            if len(pairs):
                means = {"pairs": len(pairs), **pairs.mean().to_dict()}
                judged = _judged(pairs[FAST] - pairs[PAPER], MARGINS[metric])
                lines.append(named | {"metric": title_of(metric)} | means | judged)
    order = ANSWERS.index
    return pd.DataFrame(sorted(lines, key=lambda x: (order(x["answer"]), x["difference"])))


def _judged(differences: pd.Series, margin: float) -> dict[str, Any]:
    """The columns of `comparison` that judge the differences of pairs."""
    mean, bound, good = non_inferior(differences, margin)
    upper = summary(differences, 2 * LEVEL - 1).high
    bad = not np.isnan(bound) and upper < -margin - ROUNDING
    return {
        "difference": mean,
        "SD": summary(differences).sd,
        "lower bound": bound,
        "margin": margin,
        "answer": GOOD if good else WORSE if bad else OPEN,
    }


def spread(runs: pd.DataFrame) -> pd.DataFrame:
    """How far results scatter: over seeds, and within a training over its last LAST epochs.

    A line for each data set, teacher, arm and metric. `over seeds` is the standard deviation.
    `last epochs` is the mean of the standard deviations over the last epochs, of those `seeds with
    looks` at the test set after each of these epochs. These looks select nothing.
    """
    lines = []
    for named, rows in _sets(_beside(runs), "arm"):
        for metric in METRICS:
            last = pd.Series([_last_sd(history, metric) for history in rows["history"]])
            over = {"over seeds": summary(100 * rows[metric].astype(float)).sd}
            over |= {"last epochs": last.mean(), "seeds with looks": int(last.count())}
            lines.append({**named, "metric": title_of(metric), "seeds": len(rows), **over})
    return pd.DataFrame(lines)


def _last_sd(history: dict[str, list], metric: str) -> float:
    """The standard deviation of a metric over the last LAST epochs, in points."""
    looks = pd.Series(history.get(metric, [])[-LAST:], dtype=float).dropna()
    return 100 * looks.std() if len(looks) == LAST else np.nan


def collapses(runs: pd.DataFrame) -> pd.DataFrame:
    """How many trainings collapsed, with the lowest and the median image AUROC.

    A line for each data set, teacher and arm, the most collapses first. A training has collapsed if
    its scores have no spread, or if it lies more than ten points below the median of its
    repetitions. It is `far below paper` if it lies more than ten points below the median of `paper`
    on the same data, so that an arm shows here in which all trainings fell.
    """
    lines = []
    for named, rows in _sets(_beside(runs)):
        aurocs = (100 * rows["image_auroc"].astype(float)).groupby(rows["arm"], sort=False)
        usual = aurocs.median().get(PAPER, np.nan)
        for arm, values in aurocs:
            fell = collapsed(values) | rows.loc[values.index, "status"].eq("collapsed")
            below = (values < usual - stats.COLLAPSE).sum()
            found = {
                "lowest": values.min(),
                "median": values.median(),
                "median of paper": usual,
                "collapsed": int(fell.sum()),
                "far below paper": pd.NA if arm == PAPER or np.isnan(usual) else int(below),
            }
            lines.append(named | {"arm": arm, "seeds": len(values)} | found)
    if not lines:
        return pd.DataFrame()
    table = pd.DataFrame(lines).astype({"far below paper": "Int64"})
    worst = table[["collapsed", "far below paper"]].fillna(0).sum(axis=1)
    return table.loc[(-worst).sort_values(kind="stable").index].reset_index(drop=True)


def two_thousand(runs: pd.DataFrame) -> pd.DataFrame:
    """What `fast` reaches after 2,000 steps, and the values that ReContrast and RD4AD print.

    Only lines of MVTec AD have printed values. The last lines are the printed averages over fifteen
    categories; we did not run all of these. There is no verdict, because the teachers differ, and
    mostly the image sizes too.
    """
    lines = []
    for named, rows in _sets(arms(runs)):
        own = rows[rows["arm"] == LONGER]
        for metric in METRICS if len(own) else ():
            means = (100 * rows.groupby("arm")[metric].mean()).reindex(ARMS).to_dict()
            shown = {"metric": title_of(metric), "seeds": len(own)} | means
            real = rows["dataset"].iloc[0] == PRINTED_DATA
            beside = _printed(rows["category"].iloc[0], metric) if real else {}
            lines.append(named | shown | beside)
    average = f"average of 15 (MVTec AD), {PRINTED_SIZE} px"
    averages = [{"data": average, "metric": title_of(m)} for m in METRICS]
    for line, metric in zip(averages, METRICS, strict=True):
        lines += [line | _printed("average", metric)] if lines else []
    return pd.DataFrame(lines).astype({"seeds": "Int64"}) if lines else pd.DataFrame()


def _printed(category: str, metric: str) -> dict[str, float]:
    """What ReContrast and RD4AD print for a category, in percent."""
    name = next(name for name, row in ROW_METRIC.items() if row == metric)
    table = printed.load_printed(RECONTRAST).set_index(["category", "metric"])["value"]
    of = {"category": category, "method": printed.METHOD_NAMES[OURS]}
    of |= {"image_size": PRINTED_SIZE}
    ours = [printed.printed_values("rd4ad", number, "metric", **of) for number in "12"]
    return {
        f"ReContrast, printed at {PRINTED_SIZE} px": table.get((category, name), np.nan),
        f"RD4AD, printed at {PRINTED_SIZE} px": (ours[0] | ours[1]).get(name, np.nan),
    }


def _panels(rows: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The rows of each data set and teacher, with all embedded categories as one data set.

    Only those categories and seeds are kept that both `paper` and `fast` have, if both ran there.
    """
    if rows.empty:
        return
    drawn = rows["dataset"].map(dataset_title) == EMBEDDED
    for named, group in _sets(rows[~drawn]):
        group = _shared(group)
        if len(group):
            yield named, group
    for _, group in rows[drawn].groupby([n for n in SET if n != "category"], sort=False):
        group = _shared(group)
        categories = list(group["category"].unique())
        if not categories:
            continue
        title = _title(group["dataset"].iloc[0], categories, group["image_size"].iloc[0])
        yield {"data": title, "teacher": group["teacher"].iloc[0]}, group


def _shared(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the categories and seeds that both arms have; all rows if only one arm ran."""
    both = rows[rows["arm"].isin((PAPER, FAST))]
    if both["arm"].nunique() < 2:
        return rows
    counts = both.groupby(["category", "seed"])["arm"].nunique()
    keys = pd.MultiIndex.from_frame(rows[["category", "seed"]])
    return rows[keys.isin(counts[counts == 2].index)]


def seconds(runs: pd.DataFrame) -> pd.DataFrame:
    """The seconds of training of one category: the least over seeds and embedded categories.

    Other work on the machine only adds to them. A line for each data set, teacher, arm, device and
    number of threads, of the categories and seeds that both `paper` and `fast` have. A training's
    seconds are its epochs times the median over its epochs (see `_seconds`). `times fewer than
    paper` compares with `paper` on the same device with as many threads.
    """
    lines = []
    machine = ["arm", "provenance.device", "provenance.threads"]
    for named, rows in _panels(_beside(runs)):
        least = rows.groupby(machine, sort=False)["seconds"].min()
        for (arm, place, threads), own in rows.groupby(machine, sort=False):
            ran = {"arm": arm, "runs": len(own), "steps": round(own["steps"].mean())}
            where = {"device": device(place), "threads": threads}
            taken = least[arm, place, threads]
            fewer = least.get((PAPER, place, threads), np.nan) / taken
            times = {"seconds": taken, "times fewer than paper": fewer}
            lines.append(named | ran | where | times)
    return pd.DataFrame(lines)


def more_steps(runs: pd.DataFrame) -> pd.DataFrame:
    """`fast` with more epochs beside `fast` and `paper`: which number of steps is enough?

    A line for each arm and metric, on the data sets and teachers with which another number of
    epochs ran than that of `fast`. `value` is the mean over the arm's seeds. The difference to
    `paper` and the answer are those of `comparison`, over the pairs of this arm.
    """
    lines = []
    for named, rows in _sets(arms(runs)):
        ran = rows.drop_duplicates("arm").set_index("arm")["steps"]
        if set(ran.index) <= {PAPER, FAST}:
            continue
        ran = ran.loc[sorted(ran.index, key=lambda arm: (arm != PAPER, ran[arm]))]
        for metric in METRICS:
            values = 100 * rows.pivot(index="seed", columns="arm", values=metric).astype(float)
            for arm, taken in ran.items():
                own = values[arm].dropna()
                line = {"metric": title_of(metric), "arm": arm, "steps": taken}
                line |= {"seeds": len(own), "value": own.mean()}
                if arm != PAPER and PAPER in values:
                    differences = (own - values[PAPER]).dropna()
                    line |= {"pairs": len(differences), **_judged(differences, MARGINS[metric])}
                lines.append(named | line)
    table = pd.DataFrame(lines)
    return table.astype({"pairs": "Int64"}) if "pairs" in table else table


def efforts(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What each seed of each arm reached and took, for `figures.plot_steps`.

    Columns: data, teacher, arm, seed, steps, seconds (the least of the arm's trainings, see
    `_seconds`), value (percent) and last (the standard deviation over the last epochs, in points).
    Of the seeds and categories that both
    `paper` and `fast` have, embedded categories are averaged for each seed that has all of them.
    """
    lines = []
    for named, rows in _panels(_beside(runs)):
        rows = rows.assign(
            value=100 * rows[metric].astype(float),
            last=[_last_sd(history, metric) for history in rows["history"]],
        )
        whole = rows["category"].nunique()
        for arm, own in rows.groupby("arm", sort=False):
            own = complete(own, "seed", "category", whole)
            means = own.groupby("seed", as_index=False)[["steps", "value", "last"]].mean()
            shared = named | {"arm": arm, "seconds": own["seconds"].min()}
            lines += [shared | line for line in means.to_dict("records")]
    return pd.DataFrame(lines)


def in_words(runs: pd.DataFrame) -> list[str]:
    """What the comparison of `fast` with `paper` found, in at most five sentences, misses first."""
    lines = comparison(runs)
    if lines.empty:
        return [NOT_RUN]
    by_answer = {answer: lines[lines["answer"] == answer] for answer in ANSWERS}
    said = []
    if len(by_answer[WORSE]):
        said.append(
            f"It loses more than {MARGIN} against `paper` in {_of(by_answer[WORSE], lines)}: "
            f"{_names(by_answer[WORSE])}."
        )
    if len(by_answer[OPEN]):
        said.append(
            f"Whether it loses more than {MARGIN} is open in {_of(by_answer[OPEN], lines)}: "
            f"{_names(by_answer[OPEN])}."
        )
    full = np.isclose(by_answer[GOOD][[PAPER, FAST]], 100).all(axis=1).sum()
    ceiling = f", but in {full} of them all trainings are at the ceiling of 100 %" if full else ""
    said.append(
        f"A loss as large as {MARGIN} is excluded in {_of(by_answer[GOOD], lines)} of a category "
        f"and a metric{ceiling}."
    )
    said[0] = said[0].replace(MARGIN, MARGIN_EXPLAINED, 1)
    return [TENTH, *said, _collapses_in_words(collapses(runs))]


def _collapses_in_words(table: pd.DataFrame) -> str:
    own = table[table["arm"] == FAST]
    fell, ran, below = (own[name].sum() for name in ("collapsed", "seeds", "far below paper"))
    return (
        f"{fell or 'None'} of {ran} trainings with `fast` collapsed, and {below or 'none'} lie "
        f"more than {stats.COLLAPSE:.0f} points of image AUROC below the median of `paper`."
    )


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
    """What README.md says in one bullet, in at most five sentences; none if `fast` was not run."""
    said = in_words(runs)
    return [] if said == [NOT_RUN] else [f"**A tenth of the steps**: {' '.join(said)}"]


def spread_table(runs: pd.DataFrame) -> pd.DataFrame:
    """The result of `spread` with a line for each data set and metric, and columns for each arm."""
    lines = spread(runs)
    if lines.empty:
        return lines
    columns = ["seeds", "over seeds", "last epochs", "seeds with looks"]
    wide = lines.pivot(index=[*NAMED, "metric"], columns="arm", values=columns)
    shown = {
        f"{arm}: {column}": wide[column, arm]
        for arm in ARMS
        if arm in wide["seeds"]
        for column in columns
    }
    table = pd.DataFrame(shown).reindex(pd.MultiIndex.from_frame(_first(lines)))
    counts = {name: "Int64" for name in table if name.endswith((": seeds", ": seeds with looks"))}
    return table.astype(counts).reset_index()


def _first(lines: pd.DataFrame) -> pd.DataFrame:
    """The data sets, teachers and metrics of `spread`, each once and in its order."""
    return lines[[*NAMED, "metric"]].drop_duplicates()
