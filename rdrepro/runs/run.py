"""A run: its resolved configuration, the places of its data and results, and its images."""

import html
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from rdrepro import registry
from rdrepro.config import RunConfig, protocol_differences
from rdrepro.data.splits import ImageData, open_split, open_validation, open_whole
from rdrepro.meaning import meaningless
from rdrepro.models.weights import Weights
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
        """Every setting that has a meaning for the run and, where it differs, the paper's value."""
        differs, without = protocol_differences(self.config), meaningless(vars(self.config))
        rows = [
            (name, _plain(value), _plain(differs[name][1]) if name in differs else "")
            for name, value in asdict(self.config).items()
            if name not in without
        ]
        columns = ["setting", "value", "paper, where it differs"]
        return pd.DataFrame(rows, columns=columns).set_index("setting")

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
        said = [text for text in (self.banner, self.caution) if text]
        said += map(html.escape, self.notes)
        banners = (f"<p style='background:#fe6;padding:.5em'><b>{text}</b></p>" for text in said)
        return "".join(banners) + (
            f"<p>preset <b>{self.preset}</b>, device <b>{self.device}</b></p>"
            f"{self.settings().to_html()}"
        )

    def __repr__(self) -> str:
        head = [text for text in (self.banner, self.caution, *self.notes) if text]
        return "\n".join(
            [*head, f"preset {self.preset}, device {self.device}", self.settings().to_string()]
        )


def _plain(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value
