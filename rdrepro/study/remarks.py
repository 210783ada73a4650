"""Sentences of the run notebooks: what a figure or a table shows, worked out from its numbers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from IPython.display import Markdown

from rdrepro.metric_names import PRINTED_TITLES
from rdrepro.text import duration

if TYPE_CHECKING:
    from rdrepro.evaluation import Predictions

END = 0.1  # the share of epochs that counts as the end of a training


def training(history: pd.DataFrame, method: str) -> Markdown:
    """How the training loss changed, and by how much at the end; or that nothing is trained."""
    if not len(history):
        return Markdown(
            f"`method={method}` is not trained by gradient descent, so there is no loss to draw."
        )
    loss = history["loss"].to_numpy(float)
    last = max(1, round(END * len(loss)))
    said = f"The loss was {loss[0]:.3g} in the first epoch and is {loss[-1]:.3g} in the last."
    if len(loss) == 1:
        return Markdown(f"One epoch was trained, with a loss of {loss[0]:.3g}.")
    change = 100 * (loss[-1] / loss[-1 - last] - 1)
    over = "epoch" if last == 1 else f"{last} epochs"
    return Markdown(f"{said} Over the last {over} it changed by {change:+.1f} %.")


def loss_figure(history: pd.DataFrame, method: str, number: int) -> Markdown:
    """The caption of a loss curve and what it shows, or why there is none.

    number: the figure's in its notebook.
    """
    said = training(history, method)
    if not len(history):
        return Markdown(f"{said.data} This notebook then has no Figure {number}.")
    caption = f"**Figure {number}.** The training loss of each epoch, on a logarithmic axis."
    if "validation_loss" in history:
        caption += " The dotted curve is the validation loss, and its lowest point counts."
    return Markdown(f"{caption} {said.data}")


def trainings(histories: Mapping[str, pd.DataFrame]) -> Markdown:
    """The loss in the last epoch of several trainings, the lowest first."""
    last = {name: h["loss"].iloc[-1] for name, h in histories.items() if len(h)}
    ordered = sorted(last.items(), key=lambda item: item[1])
    named = ", ".join(f"{value:.3g} ({name})" for name, value in ordered)
    return Markdown(f"Loss in the last epoch: {named}.")


def scores(predictions: "Predictions", where: str = "") -> Markdown:
    """How far the scores of normal and of anomalous images overlap, in counts of images.

    where: what the images belong to, such as "fold 0".
    """
    values, labels = np.asarray(predictions.scores), np.asarray(predictions.gt_labels)
    normal, anomalous = values[labels == 0], values[labels == 1]
    above, below = int((anomalous > normal.max()).sum()), int((normal < anomalous.min()).sum())
    start = f"{where.capitalize()}: " if where else ""
    return Markdown(
        f"{start}{above} of {len(anomalous)} anomalous images score above every normal image. "
        f"{below} of {len(normal)} normal images score below every anomalous image."
    )


def variants(table: pd.DataFrame) -> Markdown:
    """Which variant has the highest value of each printed metric.

    table: the variants' metrics in percent, as from `ablation.variants_table`.
    """
    if len(table) == 1:
        return Markdown(f"Only {table.index[0]} ran, so there is nothing to compare it with.")
    titles = [t for t in PRINTED_TITLES if t in table and table[t].notna().any()]
    best = (f"Highest {t}: {table[t].idxmax()} ({table[t].max():.1f} %)." for t in titles)
    return Markdown(" ".join(best))


def costs(seconds: pd.Series) -> Markdown:
    """The fastest and the slowest method. seconds: per image, by the method's name."""
    fast, slow = seconds.idxmin(), seconds.idxmax()
    said = f"{fast} is the fastest, with {seconds[fast]:.3g} s per image."
    if fast == slow:
        return Markdown(f"{fast} takes {seconds[fast]:.3g} s per image.")
    ratio = seconds[slow] / seconds[fast]
    return Markdown(
        f"{said} {slow} is the slowest, with {seconds[slow]:.3g} s, {ratio:.1f} times as long."
    )


def range_of(values: pd.Series, what: str) -> Markdown:
    """The lowest and the highest of some values in percent, with their names."""
    low, high = values.idxmin(), values.idxmax()
    if len(values) == 1:
        return Markdown(f"The {what} is {values[low]:.1f} % ({low}).")
    return Markdown(
        f"The {what} lies between {values[low]:.1f} % ({low}) and {values[high]:.1f} % ({high})."
    )


def stopping(histories: Mapping[str, pd.DataFrame]) -> Markdown:
    """How many epochs each training ran, and which of them counts."""
    lines = []
    for name, history in histories.items():
        if not len(history):
            lines.append(f"{name} is not trained by gradient descent, so it has no loss curve.")
            continue
        losses = history.get("validation_loss")
        epochs = history["epoch"].to_numpy()
        counts = epochs[-1 if losses is None else int(np.argmin(losses))]
        lines.append(f"{name}: {len(history)} epochs were trained, and epoch {counts} counts.")
    return Markdown("\n".join(f"- {line}" for line in lines))


def stopping_figure(histories: Mapping[str, pd.DataFrame], number: int) -> Markdown | None:
    """The caption of the loss curves with and without early stopping; None if there are none.

    histories: those of the trainings that are drawn. number: the figure's in its notebook.
    """
    if not histories:
        return None
    said = f"**Figure {number}.** The training loss of each epoch, on a logarithmic axis."
    if any("validation_loss" in history for history in histories.values()):
        said += (
            " The dotted curve is the loss of normal images that are not trained on, and the dot "
            "marks the epoch that counts. First validation losses may be far higher, so the axis "
            "ends at twice the highest training loss. If the validation loss rises while the "
            "training loss falls, the student overfits."
        )
    return Markdown(said)


def elapsed(started: str) -> Markdown:
    """How long ago a moment was. started: as from `rdrepro.now`."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds()
    return Markdown(f"This notebook took {duration(seconds)}.")
