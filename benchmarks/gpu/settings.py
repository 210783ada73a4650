"""What a run of `make gpu` measures and where: the same for the command and its workers."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from .record import Record

# The files of a network's weights that are looked for, the best first. Without a file of its own,
# WideResNet-50-2 is timed with random weights, since speed does not depend on weights.
WEIGHTS = {
    "wide_resnet50_2": ("wide_resnet50_2*.pth",),
    "resnet50": ("resnet50_quantised.pth", "resnet50*.pth"),
    "resnet18": ("resnet18_imagenet_stem_to_layer3.pth", "resnet18*.pth"),
}
NETWORKS = tuple(WEIGHTS)
SMALL_NETWORK = "resnet18"


@dataclass(frozen=True)
class Settings:
    """The folders, the category and the size of a run of `make gpu`.

    work: a temporary folder for students and caches. small: a trial in a tiny size on the CPU, with
    embedded data, which proves the command and measures nothing.
    """

    out: str
    work: str
    data: str | None = None
    weights: str | None = None
    category: str = "bottle"
    small: bool = False

    @property
    def device(self) -> str:
        """The name of the device on which everything is computed."""
        return "cpu" if self.small else "cuda"

    @property
    def networks(self) -> tuple[str, ...]:
        """The teachers' backbones, the most important first."""
        return (SMALL_NETWORK,) if self.small else NETWORKS

    @property
    def image_size(self) -> int:
        """Pixels per side: those of Sec. 4.1, or few."""
        return 64 if self.small else 256

    @cached_property
    def record(self) -> Record:
        """The file of the results. A trial has another one, lest it be taken for a measurement."""
        return Record(Path(self.out) / ("gpu-small.json" if self.small else "gpu.json"))

    @property
    def archive(self) -> Path:
        """The archive of the rows; unpacked in results/, it adds to results/runs."""
        return Path(self.out) / ("rows-small.tar.gz" if self.small else "rows.tar.gz")

    def weights_file(self, backbone: str) -> Path | None:
        """The file of a network's weights; None where there is none."""
        if self.weights is None or self.small:
            return None
        found = (sorted(Path(self.weights).glob(pattern)) for pattern in WEIGHTS[backbone])
        return next((files[0] for files in found if files), None)

    def to_json(self) -> str:
        """The settings as text, for a worker's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """The settings that `to_json` wrote."""
        return cls(**json.loads(text))
