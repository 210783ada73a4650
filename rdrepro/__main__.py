"""`python -m rdrepro` prints the newest row on embedded data."""

import argparse
import sys

from rdrepro.registry import DATASETS

EXAMPLES = """\
other commands:
  papermill notebooks/01_mvtec.ipynb out.ipynb -p category wood   make a row
  python -m rdrepro.study list                                    list the studies
  make help                                                       list what make does
"""


def main() -> None:
    """Print the row. Any argument but --help is refused."""
    argparse.ArgumentParser(
        prog="python -m rdrepro",
        description="Print the newest result row that was made on embedded data.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    from rdrepro.study.tables import latest_row  # slow to load

    sys.stdout.write(f"{DATASETS['synthetic'].banner}\n{latest_row()}\n")


if __name__ == "__main__":
    main()
