"""Figures of the anomaly maps of committed rows: `make maps` repeats the runs and draws them."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from rdrepro import paths
from rdrepro.config import LATER_FIELDS
from rdrepro.progress import progress, say
from rdrepro.runs.rows import read_row, result_of
from rdrepro.study import figures
from rdrepro.study.rerun import judge, repeat

STUDY = "embedded"
SECONDS = 60  # of one run of the study, on an idle core
RESULT = "result-sha256"  # the keyword of a text in a figure, which says whose result it shows


def row_files(study: str = STUDY) -> list[Path]:
    """The files of a study's committed rows, by name."""
    return sorted((paths.results_dir() / "runs" / study).glob("*.json"))


def files_named(names: Sequence[str]) -> list[Path]:
    """The files of rows whose name begins with one of `names`; all files if there are none.

    Raises ValueError for a name with which no file begins.
    """
    files = row_files()
    for name in names:
        if not any(file.name.startswith(name) for file in files):
            there = ", ".join(file.stem for file in files)
            raise ValueError(f"no row's name begins with {name!r}; the rows are {there}")
    return [file for file in files if file.name.startswith(tuple(names) or "")]


def maps_dir() -> Path:
    """The folder of the figures of maps. Each figure has the name of its row."""
    return paths.results_dir() / "figures" / "maps"


def figure_file(row_file: Path) -> Path:
    """The figure of a row's maps."""
    return maps_dir() / f"{row_file.stem}.png"


def is_drawn(row_file: Path) -> bool:
    """Whether the figure of a row exists and shows the result that the row has now."""
    try:
        with Image.open(figure_file(row_file)) as picture:
            return picture.info.get(RESULT) == _result_hash(row_file)
    except (FileNotFoundError, UnidentifiedImageError):
        return False


def _result_hash(row_file: Path) -> str:
    """A hash of a row's result. Later settings count only where they differ from their default."""
    result = result_of(read_row(row_file))
    config = result["config"]
    given = {k: config[k] for k in config if k not in LATER_FIELDS or config[k] != LATER_FIELDS[k]}
    text = json.dumps(result | {"config": given}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def draw_rows(files: Sequence[Path], again: bool = False) -> dict[str, str]:
    """Repeat the runs of rows and draw their maps; return why some were not drawn, by file name.

    A figure of an earlier result of its row is drawn anew, or removed if that fails.
    again: whether all other figures are drawn anew too. A student that was trained here before is
    loaded, so that drawing anew takes seconds.
    """
    wanted = [file for file in files if again or not is_drawn(file)]
    if not wanted:
        return {}
    lacking = {}
    for file in progress(wanted, "maps", expected_seconds=SECONDS * len(wanted)):
        try:
            say(f"{file.name}: {draw_row(file)}")
        except (ValueError, OSError) as error:
            lacking[file.name] = str(error)
            if not is_drawn(file):
                figure_file(file).unlink(missing_ok=True)
    return lacking


def draw_row(file: Path, repeated: Callable[..., Any] = repeat) -> str:
    """Repeat the run of a row, draw its maps, and return a sentence on how close the results are.

    Raises ValueError where the result is another one than the row's.
    """
    outcome, sentence = run_again(file, repeated)
    cases = figures.choose_cases(outcome.predictions, "defect")
    figure = figures.case_figure(outcome.run.dataset("test"), outcome.predictions, cases)
    figures.save_png(figure, figure_file(file), {RESULT: _result_hash(file)})
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
