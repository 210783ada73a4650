"""Several runs, one after the other, as the notebooks of ablations need them."""

from collections.abc import Mapping

from rdrepro.progress import say
from rdrepro.runs.execute import Outcome, carry_out, keep_row
from rdrepro.runs.maps import save_maps
from rdrepro.runs.run import Run


def run_variants(runs: Mapping[str, Run], timed: bool = False) -> dict[str, Outcome]:
    """Train (or load) and test each variant and save its row; return the outcomes by name."""
    outcomes = {}
    for number, (name, run) in enumerate(runs.items(), 1):
        say(f"{name} ({number} of {len(runs)})")  # a bar of its own would disturb those of the runs
        outcomes[name] = outcome = carry_out(run, timed)
        file = keep_row(run, outcome.trained, outcome.row)
        if run.keep_maps:
            save_maps(outcome.predictions, file)
    return outcomes
