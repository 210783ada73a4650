"""Anomaly maps of the embedded runs: `make maps` (about 15 minutes on an idle core)."""

import argparse
import sys
from collections.abc import Sequence

from rdrepro.study.maps_of_rows import draw_rows, files_named, maps_dir


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the maps of all committed embedded rows; return 1 where one could not be drawn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="also draw figures that exist")
    parser.add_argument("names", nargs="*", help="only rows whose file name begins so")
    given = parser.parse_args(arguments)
    try:
        files = files_named(given.names)
    except ValueError as error:
        parser.error(str(error))
    lacking = draw_rows(files, given.again)
    for name, why in lacking.items():
        sys.stderr.write(f"{name} was not drawn: {why}\n")
    sys.stdout.write(f"The figures are in {maps_dir()}\n")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
