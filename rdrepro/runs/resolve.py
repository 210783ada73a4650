"""From parameters to a Run: everything that was typed is checked before torch is loaded."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdrepro import paths, registry
from rdrepro.config import RunConfig
from rdrepro.presets import AUTO, preset_settings
from rdrepro.runs.configure import configure, separate, set_aside

if TYPE_CHECKING:
    from rdrepro.runs.run import Run


def resolve(**parameters: Any) -> "Run":
    """Resolve parameters to a Run; None means what the preset says.

    Parameters are RunConfig's fields and `study, preset, data_root, results_dir, device, keep_maps,
    overrides`. Settings that have no meaning for the run are refused where they were chosen, and
    normalised where they come from the preset (see `meaning.py`). What the run needs is checked
    before weights are fetched. Raises ValueError or OSError, with a message of one sentence, for a
    parameter that is wrong or a need that is not met.
    """
    places, chosen = separate(parameters)
    preset, settings = check_parameters(places, chosen)
    # Loaded only now, so that a mistake in a parameter is reported at once.
    from rdrepro.methods import DETECTORS
    from rdrepro.models.teacher import check_teacher
    from rdrepro.runs.device import fast_precision
    from rdrepro.runs.needs import check_needs
    from rdrepro.runs.run import Run
    from rdrepro.runs.weights import find_weights

    results = results_folder(places.get("results_dir"))
    config = configure(settings, chosen, RunConfig.precision)
    root = places.get("data_root")
    needs = check_needs(
        config, places.get("device"), lambda: find_data(config, root, results), results
    )
    needs.raise_if_lacking()
    config = configure(settings, chosen, fast_precision(needs.device))
    check_teacher(config)
    weights = find_weights(config.backbone, config.weights)
    config = replace(config, weights=weights.name)
    config = DETECTORS[config.method].settle(config, weights, chosen)
    where = (places["study"], needs.data, weights, results, needs.device, places["keep_maps"])
    return Run(config, preset, *where, (*needs.notes, *set_aside(chosen, config)))


def results_folder(named: str | None) -> Path:
    """The absolute path of the results folder: the one that was named, or the usual one."""
    return Path(named).expanduser().absolute() if named else paths.results_dir()


def check_parameters(places: dict[str, Any], chosen: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The preset's name and its settings; ValueError where a parameter is wrong."""
    preset = places.get("preset", AUTO)
    if preset == AUTO:
        preset = _usual_preset(chosen.get("dataset"), places.get("data_root"))
    settings = preset_settings(preset)
    configure(settings, chosen, RunConfig.precision)
    return preset, settings


def _usual_preset(dataset: str | None, data_root: str | None) -> str:
    entry = registry.DATASETS.get(dataset)
    if entry and entry.family == registry.ONE_CLASS:
        return "novelty_demo" if entry.embedded else "novelty_official"
    if entry and entry.family == registry.MEDICAL:
        return "medical_demo" if entry.embedded else "medical"
    if entry and not entry.drawn and dataset != RunConfig.dataset:
        return "paper"  # the demo never replaces a data set that somebody named
    return "paper" if _has_data(data_root) else "demo"


def _has_data(data_root: str | None) -> bool:
    """Whether a data root was given, right or wrong, or MVTec AD is found without one."""
    if data_root or os.environ.get("RDREPRO_DATA"):
        return True
    root = paths.data_dir()
    if root is None:
        return False
    folders = (*(root / name for name in registry.DATASETS["mvtec"].folders), root)
    return any((f / category).is_dir() for f in folders for category in registry.MVTEC_CATEGORIES)


def find_data(config: RunConfig, data_root: str | None = None, results: Path | None = None) -> Path:
    """The folder from which the images are opened, or in which embedded ones will be drawn.

    Raises FileNotFoundError, saying where to get them, where real images are missing. Raises
    ValueError where a folder is given for embedded data.
    """
    from rdrepro.data.medical import find_medical
    from rdrepro.data.mvtec_files import find_mvtec
    from rdrepro.synthetic.drawing_up import drawings_root

    entry = registry.DATASETS[config.dataset]
    if entry.embedded and data_root:
        raise ValueError(
            f"data_root={data_root!r} is given, but embedded data need none; leave it out"
        )
    if entry.drawn:
        return drawings_root(config, results or paths.results_dir())
    root = (paths.existing(data_root) or Path(data_root)) if data_root else paths.data_dir()
    root = root or paths.ROOT / "data"
    if root.is_file():
        raise ValueError(
            f"RDREPRO_DATA={str(root)!r} is a file; name the folder that holds the data sets"
        )
    if entry.family == registry.MVTEC:
        return find_mvtec(root, config.dataset)
    if entry.family == registry.MEDICAL:
        find_medical(root, config.dataset)
    return root
