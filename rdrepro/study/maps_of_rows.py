"""Figures of the anomaly maps of committed rows: `make maps` repeats the runs and draws them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rdrepro import paths
from rdrepro.progress import progress, say
from rdrepro.runs.rows import read_row
from rdrepro.study import figures
from rdrepro.study.rerun import judge, repeat

STUDY = "embedded"
SECONDS = 60  # of one run of the study, on an idle core


def row_files(study: str = STUDY) -> list[Path]:
    """The files of a study's committed rows, by name."""
    return sorted((paths.results_dir() / "runs" / study).glob("*.json"))


def maps_dir() -> Path:
    """The folder of the figures of maps. Each figure has the name of its row."""
    return paths.results_dir() / "figures" / "maps"


def figure_file(row_file: Path) -> Path:
    """The figure of a row's maps."""
    return maps_dir() / f"{row_file.stem}.png"


def draw_rows(files: Sequence[Path], again: bool = False) -> dict[str, str]:
    """Repeat the runs of rows and draw their maps; return why some were not drawn, by file name.

    again: whether figures that exist are drawn anew. A student that was trained here before is
    loaded, so that drawing anew takes seconds.
    """
    wanted = [file for file in files if again or not figure_file(file).is_file()]
    lacking = {}
    for file in progress(wanted, "maps", expected_seconds=SECONDS * len(wanted)):
        try:
            say(f"{file.name}: {draw_row(file)}")
        except (ValueError, OSError) as error:
            lacking[file.name] = str(error)
    return lacking


def draw_row(file: Path, repeated: Callable[..., Any] = repeat) -> str:
    """Repeat the run of a row, draw its maps, and return a sentence on how close the results are.

    Raises ValueError where the result is another one than the row's.
    """
    outcome, sentence = run_again(file, repeated)
    cases = figures.choose_cases(outcome.predictions, "defect")
    figure = figures.case_figure(outcome.run.dataset("test"), outcome.predictions, cases)
    figures.save_png(figure, figure_file(file))
    return sentence


def run_again(file: Path, repeated: Callable[..., Any] = repeat) -> tuple[Any, str]:
    """Repeat the run of a row; return the finished run and a sentence on how close the results are.

    Students and embedded images are kept in results/scratch/maps. Raises ValueError where the
    result is another one than the row's, since the maps would then belong to another run.
    """
    row = read_row(file)
    outcome = repeated(row, str(paths.results_dir() / "scratch" / "maps"))
    code, sentence = judge(row, outcome.row)
    if code:
        raise ValueError(sentence)
    return outcome, sentence


def extremes(files: Iterable[Path], metric: str) -> list[tuple[Path, dict[str, Any]]]:
    """The rows of highest and of lowest metric, each with its file. Ties go by file name."""
    rows = [(file, read_row(file)) for file in sorted(files)]
    values = [row["metrics"][metric] for _, row in rows]
    return [rows[values.index(best(values))] for best in (max, min)]
