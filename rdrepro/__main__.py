"""`python -m rdrepro` prints the newest row on embedded data."""

import sys

from rdrepro.resolve import BANNER
from rdrepro.tables import latest_row

sys.stdout.write(f"{BANNER}\n{latest_row()}\n")
