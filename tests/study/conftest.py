"""Tables of made-up rows that several tests share."""

import pytest
from builders import load, make_row
from study_rows import SEEDS, as_printed

from rdrepro.registry import MVTEC_CATEGORIES


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory):
    """All categories, three seeds, a tenth of a point around the printed values."""
    rows = [
        make_row(category=c, seed=s, metrics=as_printed(c, 0.1 * (s - 2)))
        for c in MVTEC_CATEGORIES
        for s in SEEDS
    ]
    return load(rows, tmp_path_factory.mktemp("reproduced"))
