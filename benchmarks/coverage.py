"""How often 95 % intervals of an AUROC hold the true one: `make coverage` (five minutes).

Simulates the regimes below, 2,000 draws each, and writes results/coverage.csv, which the report
shows. They are MVTec's bottle, the extension's two splits of ten normal images, and a small set.
"""

from functools import partial

import pandas as pd

from rdrepro.paths import ROOT
from rdrepro.progress import progress
from rdrepro.stats import coverage, delong_interval, score_interval, stratified_bootstrap

REGIMES = ((20, 63, 0.99), (10, 100, 0.85), (10, 155, 0.93), (20, 20, 0.7))
DRAWS = 2000
INTERVALS = {
    "score interval (ours)": score_interval,
    "DeLong, logit scale": delong_interval,
    "stratified bootstrap": partial(stratified_bootstrap, resamples=1000),
}


def main() -> None:
    lines = []
    for regime in progress(REGIMES, "coverage"):
        for name, interval in INTERVALS.items():
            named = dict(zip(("normal", "anomalous", "AUROC"), regime, strict=True))
            found = coverage(interval, *regime, draws=DRAWS)
            lines.append(named | {"interval": name, "draws": DRAWS} | found.to_dict())
    pd.DataFrame(lines).round(4).to_csv(ROOT / "results" / "coverage.csv", index=False)


if __name__ == "__main__":
    main()
