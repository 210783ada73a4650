"""A node of the test's cluster: `node.py COMMAND ...` runs a slurmd, SIGTERM is a power cut.

Everything that the daemon starts, also what detaches itself, stays below this process and dies
with it, so that nothing outside the node is touched.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # prctl(2): orphaned descendants become children of this process


def children() -> list[int]:
    """The process ids of this process's own children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # the name may hold blanks
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def power_cut(*_) -> None:
    """Kill every child until no orphan comes up any more, then exit."""
    while alive := children():
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    os._exit(0)


def main(command: list[str]) -> None:
    """Run the command and collect its orphans until SIGTERM or until the last child has ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, power_cut)
    subprocess.Popen(command)
    while children():
        os.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
