"""The tests that need a GPU, each recorded as soon as it has run."""

import os

import pytest

from . import outcomes
from .settings import Settings


def run(settings: Settings) -> None:
    """Run the tests marked `gpu`; a trial runs them on the CPU, as far as that goes.

    Raises RuntimeError where one fails.
    """
    os.environ[outcomes.VARIABLE] = str(settings.record.path)
    os.environ["RDREPRO_TEST_DEVICE"] = settings.device
    options = ("-m", "gpu", "--tb=short", "-p", "no:cacheprovider")
    code = pytest.main(["tests/gpu", *options], plugins=[outcomes])
    if code:
        tests = settings.record.read().get("tests", [])
        failed = [t["test"] for t in tests if t["outcome"] == "failed"]
        raise RuntimeError(f"pytest ended with {int(code)}; failed: {', '.join(failed) or 'none'}")
