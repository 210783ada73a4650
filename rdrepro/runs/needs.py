"""What a run needs, checked before anything is fetched or trained: data, weights, disk, device."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rdrepro import registry
from rdrepro.backbones import RANDOM, base_width, has_bottleneck_blocks
from rdrepro.config import RunConfig
from rdrepro.data.checking import check_images
from rdrepro.models.weights import Weights, read_file
from rdrepro.runs.checkpoints import check_writable
from rdrepro.runs.device import find_device
from rdrepro.runs.weights import find_weights, published_names

# The most space that a student and its checkpoint take, each with its successor beside it. The
# student of WideResNet-50-2 has 84 million float32 weights; a checkpoint is three times as large.
SPACE_GIB = {"basic blocks": 0.5, "bottleneck blocks": 1.5, "wide bottleneck blocks": 3.0}
USUAL_WIDTH = 64
MOST_NAMED = 12  # things that are missing, in one message


@dataclass(frozen=True)
class Needs:
    """A run's device, the place of its data, what it lacks, and what is unusual about the data."""

    device: torch.device | None
    data: Path | None
    lacking: tuple[Exception, ...]  # each with a message of one sentence
    notes: tuple[str, ...]

    def raise_if_lacking(self) -> None:
        """Raise what is lacking: one error alone, several as one ValueError that lists them."""
        if len(self.lacking) == 1:
            raise self.lacking[0]
        if self.lacking:
            shown = self.lacking[:MOST_NAMED]
            listed = "; ".join(f"({n}) {error}" for n, error in enumerate(shown, 1))
            more = f"; and {len(self.lacking) - MOST_NAMED} more" * (len(shown) < len(self.lacking))
            raise ValueError(f"{len(self.lacking)} things are missing for this run: {listed}{more}")


def check_needs(
    config: RunConfig, device: str | None, find_data: Callable[[], Path], results: Path
) -> Needs:
    """Check everything that a run needs, without fetching weights.

    device: its name, as in `resolve`. find_data: returns the folder of the data, or raises.
    """
    lacking: list[Exception] = []

    def attempt(step: Callable) -> object | None:
        try:
            return step()
        except (ValueError, OSError) as error:
            lacking.append(error)
            return None

    place = attempt(lambda: find_device(device))
    data = attempt(find_data)
    notes: Sequence[str] = ()
    if data and not registry.DATASETS[config.dataset].embedded:
        found = check_images(config, data, cache=checks_folder(results))
        lacking += [ValueError(sentence) for sentence in found.errors]
        notes = found.notes
    if config.weights not in (RANDOM, *published_names(config.backbone)):
        found_weights = attempt(lambda: find_weights(config.backbone, config.weights))
        if isinstance(found_weights, Weights) and found_weights.path:
            attempt(lambda: read_file(found_weights.path))
    attempt(lambda: check_space(config, results))
    return Needs(place, data, tuple(lacking), tuple(notes))


def checks_folder(results: Path) -> Path | None:
    """The folder in which findings are kept; None where nothing can be written."""
    folder = results / "checks"
    return folder if os.access(_existing_parent(folder), os.W_OK) else None


def check_space(config: RunConfig, results: Path) -> None:
    """Raise OSError where the disk of the results has no room for the student."""
    check_writable(results)
    needed = space_needed(config) * 2**30
    free = shutil.disk_usage(results).free
    if free < needed:
        raise OSError(
            f"the disk of {results} has {free / 2**30:.1f} GiB free, and the student and its "
            f"checkpoint take up to {needed / 2**30:.1f} GiB; free some space, or give another "
            "folder as results_dir or in RDREPRO_RESULTS"
        )


def space_needed(config: RunConfig) -> float:
    """The GiB that a run's student and checkpoint may take."""
    if not has_bottleneck_blocks(config.backbone):
        return SPACE_GIB["basic blocks"]
    wide = base_width(config.backbone) > USUAL_WIDTH
    return SPACE_GIB["wide bottleneck blocks" if wide else "bottleneck blocks"]


def _existing_parent(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
