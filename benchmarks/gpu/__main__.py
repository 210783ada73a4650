"""Measure what one GPU computes and how fast, within a time limit: `make gpu`."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .needs import missing_packages

LIMIT = 480  # seconds


def main() -> int:
    """Check what the run needs, then run every step; return 0 unless something failed."""
    started, given = time.monotonic(), arguments()
    if refusal := why_not(given):
        print(refusal, file=sys.stderr)  # noqa: T201 - the command's output
        return 2
    # Only now, since these need packages that may be missing.
    from .command import run_all
    from .settings import Settings

    work = tempfile.mkdtemp(prefix="rdrepro-gpu-")
    named = {"out": given.out, "data": given.data, "weights": given.weights}
    folders = {name: str(Path(f).absolute()) for name, f in named.items() if f}
    settings = Settings(**folders, work=work, category=given.category, small=given.small)
    try:
        return run_all(settings, started, given.limit)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def arguments() -> argparse.Namespace:
    """The command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--data", help="folder that holds mvtec/CATEGORY")
    parser.add_argument("--weights", help="folder of state dicts, such as resnet50_quantised.pth")
    parser.add_argument("--category", default="bottle", help="of MVTec AD; default: bottle")
    parser.add_argument("--out", default="results/gpu", help="folder of the results")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds in all; default: 480")
    parser.add_argument("--small", action="store_true", help="a trial in a tiny size on the CPU")
    return parser.parse_args()


def why_not(given: argparse.Namespace) -> str:
    """Why the run cannot start and what to do, as one sentence; empty if it can."""
    if missing := missing_packages():
        return f"This interpreter lacks {', '.join(missing)}; install them, or name another PYTHON."
    if given.small:
        return ""
    if not given.data:
        return "Name the folder that holds mvtec/ as DATA, or try the command with SMALL=1."
    folder = Path(given.data) / "mvtec" / given.category
    return "" if folder.is_dir() else f"{folder} does not exist; name another DATA or CATEGORY."


if __name__ == "__main__":
    sys.exit(main())
