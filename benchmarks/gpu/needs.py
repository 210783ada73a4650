"""The packages that `make gpu` needs, looked for before anything starts."""

from importlib.util import find_spec

# A module of each package, by the name under which the package is installed.
PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "safetensors": "safetensors",
    "numpy": "numpy",
    "scipy": "scipy",
    "scikit-learn": "sklearn",
    "scikit-image": "skimage",
    "pandas": "pandas",
    "pillow": "PIL",
    "tqdm": "tqdm",
    "psutil": "psutil",
    "filelock": "filelock",
    "pooch": "pooch",
    "huggingface-hub": "huggingface_hub",
    "jsonschema": "jsonschema",
    "fastjsonschema": "fastjsonschema",
    "pytest": "pytest",
}


def missing_packages() -> list[str]:
    """The packages that this interpreter lacks, by the names under which they are installed."""
    return [package for package, module in PACKAGES.items() if find_spec(module) is None]
