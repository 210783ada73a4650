"""Options and fixtures shared by the tests."""

from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).parent / "golden" / "official.json"


def pytest_addoption(parser):
    parser.addoption("--golden", type=Path, default=GOLDEN, help="golden values to compare with")


@pytest.fixture(scope="session", autouse=True)
def fixed_threads():
    """Results are promised bit for bit at one thread count only."""
    torch.set_num_threads(2)
