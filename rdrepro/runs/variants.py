"""Several runs one after the other, as the notebooks of the ablations make them."""

from collections.abc import Mapping

from rdrepro.progress import say
from rdrepro.runs.execute import Outcome, carry_out
from rdrepro.runs.maps import save_maps
from rdrepro.runs.rows import save_row
from rdrepro.runs.run import Run


def run_variants(runs: Mapping[str, Run], timed: bool = False) -> dict[str, Outcome]:
    """Train or find, test and save the row of each variant, one after the other."""
    outcomes = {}
    for number, (name, run) in enumerate(runs.items(), 1):
        say(f"{name} ({number} of {len(runs)})")  # a bar around the runs' own would garble them
        outcomes[name] = outcome = carry_out(run, timed)
        file = save_row(outcome.row, run.rows_dir)
        if run.keep_maps:
            save_maps(outcome.predictions, file)
    return outcomes
