"""Anomaly maps of the embedded runs: `make maps` (about 15 minutes on an idle core)."""

import argparse
import sys

from rdrepro.study.maps_of_rows import draw_rows, maps_dir, row_files


def main() -> int:
    """Draw the maps of all committed embedded rows; return 1 where one could not be drawn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="also draw figures that exist")
    parser.add_argument("names", nargs="*", help="only rows whose file name begins so")
    given = parser.parse_args()
    files = [f for f in row_files() if f.name.startswith(tuple(given.names) or "")]
    lacking = draw_rows(files, given.again)
    for name, why in lacking.items():
        sys.stderr.write(f"{name} has no figure: {why}\n")
    sys.stdout.write(f"The figures are in {maps_dir()}\n")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
