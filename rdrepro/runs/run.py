"""A run: its resolved configuration, the places of its data and results, and its images."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from rdrepro import registry
from rdrepro.config import RunConfig
from rdrepro.data.splits import ImageData, open_split, open_validation, open_whole
from rdrepro.models.weights import Weights
from rdrepro.runs import settings
from rdrepro.synthetic.drawing_up import draw_if_embedded

LEAKY = (
    "early_stopping=leaky: tested normal images choose the epoch, as in the extension's code. "
    "What is tested below is not independent of its training."
)


@dataclass(frozen=True)
class Run:
    """A resolved run: its configuration, and where things are (which no result depends on)."""

    config: RunConfig
    preset: str
    study: str | None
    data_root: Path
    weights: Weights
    results_dir: Path
    device: torch.device
    keep_maps: bool
    notes: tuple[str, ...] = ()  # what is unusual about the data, and what is done about it

    @property
    def banner(self) -> str:
        """A warning where the data are embedded, else an empty text."""
        return registry.DATASETS[self.config.dataset].banner

    @property
    def caution(self) -> str:
        """A warning where tested images choose the student, else an empty text."""
        return LEAKY if self.config.early_stopping == "leaky" else ""

    @property
    def rows_dir(self) -> Path:
        """The folder of the run's row.

        A run without a named study is a trial. Its row enters no table.
        """
        if self.study is None:
            return self.results_dir / "scratch"
        return self.results_dir / "runs" / self.study

    def settings(self) -> pd.DataFrame:
        """Every setting that has a meaning for the run, with its value."""
        return settings.settings_table(self)

    def dataset(self, split: str) -> ImageData:
        """The run's images of a split, "train" or "test". Embedded ones are drawn if need be."""
        self._draw()
        return open_split(self.config, self.data_root, split)

    def validation(self) -> ImageData | None:
        """The normal images that early stopping validates on; None without early stopping."""
        self._draw()
        return open_validation(self.config, self.data_root)

    def whole(self, split: str) -> ImageData:
        """All images of a split, "train" or "test".

        Test images are not rotated, and training images include those to validate on.
        """
        self._draw()
        return open_whole(self.config, self.data_root, split)

    def _draw(self) -> None:
        draw_if_embedded(self.config, self.data_root)

    def _repr_html_(self) -> str:
        return settings.as_html(self)

    def __repr__(self) -> str:
        return settings.as_text(self)
