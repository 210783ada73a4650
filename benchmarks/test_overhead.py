"""The seconds of a study's job beside its training and testing: `make bench-tests`."""

import json
import subprocess
import sys
import time

from rdrepro import paths
from rdrepro.study.job import specification
from rdrepro.study.jobs import jobs_of, parameters, parse_changes, parse_only
from rdrepro.study.making import ANY

CHANGES = parse_changes("image_size=64 epochs=1")
RUN = """import json, pathlib, sys
from rdrepro.study.job import run
sys.exit(run(json.loads(sys.argv[1]), pathlib.Path(sys.argv[2])) or 0)"""


def seconds_of(code, *arguments):
    """The wall-clock seconds of a fresh interpreter."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=paths.ROOT, check=True)
    return time.perf_counter() - started


def test_a_job_costs_less_beside_its_work_than_four_imports_of_torch(tmp_path, capsys):
    (job,) = jobs_of("embedded", changes=CHANGES, only=parse_only("category=bottle"))
    given = parameters(job, {}, {"results_dir": str(tmp_path)})
    specified = json.dumps(specification(job, given, tmp_path, ANY))
    marker = tmp_path / "jobs" / "bottle.done"
    imports = "import torch, torchvision"
    seconds_of(imports)  # so that the system has read the files
    before = seconds_of(imports)
    whole = seconds_of(RUN, specified, str(marker))
    imported = (before + seconds_of(imports)) / 2
    said = json.loads(marker.read_text(encoding="utf-8"))
    # The marker does not count the start of the job's own interpreter.
    beside = whole - (said["seconds"] - said["overhead_seconds"])
    with capsys.disabled():
        sys.stdout.write(
            f"\na job takes {beside:.1f} s beside training and testing, "
            f"{beside / imported:.1f} times as long as to import torch ({imported:.1f} s)\n"
        )
    assert beside < 4 * imported
