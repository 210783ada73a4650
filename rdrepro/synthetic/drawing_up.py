"""The folders of drawn data sets. Missing ones are drawn."""

from pathlib import Path

from rdrepro.config import RunConfig
from rdrepro.synthetic.benchmark import DRAWING_VERSION, write_category
from rdrepro.synthetic.scans import SCANS_VERSION, write_scans


def drawing_name(data_seed: int, image_size: int, version: int = DRAWING_VERSION) -> str:
    """The name of the folder that holds one seed's drawings."""
    return f"v{version}-seed{data_seed}-{image_size}px"


def drawings_root(config: RunConfig, results: Path) -> Path:
    """The folder of a configuration's embedded images, whether or not they are drawn yet."""
    chosen = config.data_seed, config.image_size
    if config.dataset == "scans":
        return results / "synthetic" / "scans" / drawing_name(*chosen, SCANS_VERSION)
    return results / "synthetic" / drawing_name(*chosen)


def draw_if_embedded(config: RunConfig, root: Path) -> None:
    """Draw a configuration's images below `root`, if they are embedded and missing."""
    if config.dataset == "scans":
        write_scans(root, config.data_seed, config.image_size)
    if config.dataset == "synthetic":
        write_category(root, config.category, config.data_seed, image_size=config.image_size)
