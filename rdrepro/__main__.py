"""`python -m rdrepro` prints the newest row on embedded data."""

import sys

from rdrepro.registry import DATASETS
from rdrepro.study.tables import latest_row

sys.stdout.write(f"{DATASETS['synthetic'].banner}\n{latest_row()}\n")
