"""One step of `make gpu` in a process of its own.

python -m benchmarks.gpu.worker SETTINGS MODULE [BACKBONE]
"""

import importlib
import sys
import traceback
from pathlib import Path

from .settings import Settings

REASON = "reason.txt"  # in the work folder: why the step failed


def main(text: str, module: str, *arguments: str) -> int:
    """Run a module of this package. Where that fails, write the reason and return 1."""
    settings = Settings.from_json(text)
    try:
        importlib.import_module(f".{module}", __package__).run(settings, *arguments)
    except Exception as error:  # whatever a step may raise, the next one follows
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        (Path(settings.work) / REASON).write_text(reason, encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
