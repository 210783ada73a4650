"""Memory and disk as a test needs them for the teacher's features."""

import shutil

import pytest

from rdrepro import memory


def make_room(patch: pytest.MonkeyPatch, source: str, spare: int | None = None) -> None:
    """Leave the memory and disk with which features have this source, and no better one.

    spare: the bytes of disk beside those left to students; by default as many as the source needs.
    """
    patch.setenv("RDREPRO_CACHE_GB", "1" if source == "memory" else "0")
    if spare is None:
        spare = 0 if source == "recomputed" else memory.DISK_LEFT
    usage = shutil.disk_usage("/")._replace(free=memory.DISK_LEFT + spare)
    patch.setattr(memory, "disk_usage", lambda _: usage)
