"""Every table of the study, made from result rows, by the name of its files.

`make tables` and `make report` save them in results/tables. The module `glossary` holds their
captions.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from rdrepro.study import (
    ablation,
    claims,
    compare,
    complexity,
    deviations,
    fast,
    fast_choice,
    medical_tables,
    novelty,
    novelty_choice,
    rotation,
    speed,
    speed_files,
    speed_gpu,
    summary,
    tables,
)
from rdrepro.study.glossary import TABLES
from rdrepro.study.report import medical, register, results
from rdrepro.study.report import novelty as report_novelty

Maker = Callable[[pd.DataFrame, Path], pd.DataFrame]
PAPERS = {"rd4ad": "the paper", "rkd_medical": "the extension"}


def all_tables(runs: pd.DataFrame, runs_dir: Path) -> dict[str, pd.DataFrame]:
    """Every table by name, in the order of the captions. A table without lines is empty.

    runs: lines of `load_runs`. runs_dir: the folder of their files, where long lists of scores lie.
    """
    return {name: MAKERS[name](runs, runs_dir) for name in TABLES}


def _of_runs(make: Callable[[pd.DataFrame], pd.DataFrame]) -> Maker:
    return lambda runs, runs_dir: make(runs)


def _fixed(make: Callable[[], pd.DataFrame]) -> Maker:
    return lambda runs, runs_dir: make()


def _of_table(
    make: Callable[[pd.DataFrame, str], pd.DataFrame], number: str, runs: pd.DataFrame
) -> pd.DataFrame:
    return make(runs, number)


def _embedded(runs: pd.DataFrame) -> pd.DataFrame:
    own = runs[runs["study"] == "embedded"] if len(runs) else runs
    return tables.embedded_table(own)


def _rotation_effects(runs: pd.DataFrame, runs_dir: Path) -> pd.DataFrame:
    return rotation.beside_each_other(rotation.measured_changes(runs, runs_dir))


def _effects(runs: pd.DataFrame) -> pd.DataFrame:
    return deviations.effects_table(deviations.measured_effects(runs))


def _parts(make: Callable[[speed_files.Parts], pd.DataFrame]) -> Maker:
    """A maker that reads the benchmark's files, which lie beside the folder of rows."""

    def made(runs: pd.DataFrame, runs_dir: Path) -> pd.DataFrame:
        return make(speed.published(speed_files.read_parts(speed_files.folder_of(runs_dir))))

    return made


def _record(make: Callable[[speed_gpu.Record], pd.DataFrame]) -> Maker:
    """A maker that reads the record of `make gpu`."""

    def made(runs: pd.DataFrame, runs_dir: Path) -> pd.DataFrame:
        return make(speed_gpu.published(speed_gpu.read_record(speed_files.folder_of(runs_dir))))

    return made


def _claims(runs: pd.DataFrame) -> pd.DataFrame:
    return claims.claims_table(runs).replace({"paper": PAPERS})


MAKERS: dict[str, Maker] = {
    **{
        tables.table_name(paper, number): _of_runs(partial(tables.printed_table, paper, number))
        for paper, number in tables.LAYOUTS
    },
    **{
        f"table{number}_{what}": _of_runs(partial(_of_table, make, number))
        for number in "567"
        for what, make in (("shape", ablation.ablation_table), ("order", ablation.orders))
    },
    "at_a_glance": _of_runs(summary.at_a_glance),
    "headlines": _of_runs(summary.headline_rows),
    "verdicts": _of_runs(results.verdicts),
    "tiers": _of_runs(results.tier_counts),
    "misses": _of_runs(results.misses),
    "medical_misses": _of_runs(medical.medical_misses),
    "embedded": _of_runs(_embedded),
    "small_backbones": _of_runs(tables.smaller_teachers),
    "others": _of_runs(tables.other_runs),
    "left_out": _of_runs(compare.left_out),
    "complexity": _of_runs(complexity.complexity_table),
    "memory": _fixed(complexity.printed_memory),
    "speed": _parts(speed.targets_table),
    "speed_ratios": _parts(speed.ratios_table),
    "speed_times": _parts(speed.times_table),
    "speed_memory": _parts(speed.memory_table),
    "speed_growth": _parts(speed.growth_table),
    "speed_size": _parts(speed.size_table),
    "speed_parts": _parts(speed.parts_table),
    "gpu": _record(speed_gpu.targets_table),
    "gpu_protocol": _record(speed_gpu.protocol_table),
    "gpu_steps": _record(speed_gpu.steps_table),
    "gpu_inference": _record(speed_gpu.inference_table),
    "gpu_first": lambda runs, runs_dir: speed_gpu.first_table(speed_files.folder_of(runs_dir)),
    "fast": _of_runs(fast.comparison),
    "fast_spread": _of_runs(fast.spread_table),
    "fast_collapses": _of_runs(fast.collapses),
    "fast_steps": _of_runs(fast.more_steps),
    "fast_2000": _of_runs(fast.two_thousand),
    "fast_seconds": _of_runs(fast.seconds),
    "fast_log": lambda runs, runs_dir: fast_choice.selection_log(fast_choice.log_of(runs_dir)),
    "novelty": lambda runs, runs_dir: report_novelty.readable(novelty.averages(runs, runs_dir)),
    "novelty_classes": _of_runs(partial(novelty.predictions_table, digits=1)),
    "novelty_grid": _of_runs(novelty_choice.grid_table),
    "medical_columns": _of_runs(
        lambda runs: medical.full_columns(medical_tables.columns_table(runs))
    ),
    "medical_again": _of_runs(medical_tables.again_table),
    "medical_steps": _of_runs(medical_tables.steps_table),
    "medical_habits": _of_runs(
        lambda runs: medical.readable_habits(medical_tables.habits_table(runs))
    ),
    "medical_long": _of_runs(medical_tables.long_table),
    "medical_earlier": _of_runs(medical_tables.earlier_split_table),
    "rotation": _of_runs(rotation.rotation_table),
    "rotation_effects": _rotation_effects,
    "coverage": _fixed(lambda: register.readable_coverage(register.coverage_table())),
    "effects": _of_runs(_effects),
    "claims": _of_runs(_claims),
}
