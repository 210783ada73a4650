"""The blocks of README.md and DEVIATIONS.md that are generated from result rows.

Each block lies between two marks.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from rdrepro import registry
from rdrepro.config import OURS, RunConfig
from rdrepro.runs.rows import load_runs
from rdrepro.study import fast, speed, speed_gpu
from rdrepro.study.catalogue import TABLES, studies_of
from rdrepro.study.deviations import (
    REGISTER_PARTS,
    effects_block,
    measured_effects,
    register_block,
)
from rdrepro.study.formats import markdown, markdown_text, rounded
from rdrepro.study.in_short import where_it_stands
from rdrepro.study.jobs import Job, jobs_of
from rdrepro.study.printed import load_printed
from rdrepro.study.speed_files import folder_of, read_parts
from rdrepro.study.summary import headline_rows
from rdrepro.study.tables import row_table
from rdrepro.study.wording import device, network

Paces = Mapping[tuple[str, str], float]
ON_GPU = "bfloat16"  # the precision of a run that names none


def generated_blocks(runs_dir: Path) -> dict[str, str]:
    """The generated text of each block of README.md and DEVIATIONS.md, by the block's name."""
    runs = load_runs(runs_dir)
    demo = runs[runs["study"] == "readme"].iloc[-1]
    measured = measured_effects(runs)
    gpu, paces = measured_paces(runs_dir)
    blocks = {
        "demo": fenced(str(row_table(demo))),
        "stands": bullets([*where_it_stands(runs), *fast.readme_sentences(runs)]),
        "headlines": markdown(rounded(headline_rows(runs), 1)),
        "speed": speed_block(folder_of(runs_dir)),
        "reproduce": f"{markdown(reproduction_table(paces))}\n\n{hours_explained(gpu, paces)}",
        "effects": effects_block(measured),
    }
    return blocks | {part: register_block(measured, part) for part in REGISTER_PARTS}


def speed_block(folder: Path) -> str:
    """What the benchmark's files in a folder say in short, as a list in Markdown."""
    sentences = speed.readme_sentences(read_parts(folder))
    return bullets([*sentences, *speed_gpu.readme_sentences(speed_gpu.read_record(folder))])


def bullets(sentences: Iterable[str]) -> str:
    """Sentences as a list in Markdown."""
    return "\n".join(f"- {markdown_text(sentence)}" for sentence in sentences)


def reproduction_table(paces: Paces) -> pd.DataFrame:
    """What makes each printed table: studies, command, number of runs, data and hours of a GPU.

    Tables with the same studies share a line. paces: as of `measured_paces`.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for table, studies in TABLES.items():
        groups.setdefault(studies, []).append(table)
    lines = []
    for tables in groups.values():
        jobs = jobs_of(tables[0])
        lines.append(
            {
                "table": tables_in_words(tables),
                "studies": ", ".join(study.name for study in studies_of(tables[0])),
                "command": f"`make study TABLE={tables[0]}`",
                "runs": len(jobs),
                "data": ", ".join(map(registry.title_of, data_of(jobs))),
                "GPU hours": hours_in_words(jobs, paces),
            }
        )
    return pd.DataFrame(lines).astype(str)


def data_of(jobs: Iterable[Job]) -> list[str]:
    """The data sets of jobs, each once."""
    return list(dict.fromkeys(job.config.dataset for job in jobs))


def tables_in_words(names: Sequence[str]) -> str:
    """Printed tables of one paper in few words, such as "1 and 2" or "3 of the extension"."""
    numbers = " and ".join(re.findall(r"\d+", " ".join(names)))
    return f"{numbers} of the extension" if names[0].startswith("medical") else numbers


def measured_paces(runs_dir: Path) -> tuple[str, dict[tuple[str, str], float]]:
    """The GPU that was timed, and its training images a second by (backbone, precision).

    They are those of whole trainings of the paper's protocol, with all that training takes.
    """
    measured = speed_gpu.read_record(folder_of(runs_dir))
    paces = {}
    for run in measured["protocol"]:
        seen = run["images"] * run["epochs"]
        paces[run["backbone"], run["precision"]] = seen / run["seconds of training"]
    return device(measured["machine"]["device"]), paces


def seconds_on_gpu(job: Job, paces: Paces) -> float | None:
    """The expected seconds of training of a run on that GPU; None where no speed is known.

    Only Reverse Distillation with a frozen teacher was timed, at 256 px. A smaller image counts
    as much as one of 256 px.
    """
    config = job.config
    pace = paces.get((config.backbone, job.given.get("precision", ON_GPU)))
    images = images_of_an_epoch().get(config.dataset)
    timed = config.method == OURS and config.teacher_bn == "frozen"
    return images * config.epochs / pace if timed and pace and images else None


def hours_in_words(jobs: Sequence[Job], paces: Paces) -> str:
    """The expected hours on that GPU and the runs that they cover; a dash where no speed is known.

    For example "3.2 (90 runs)".
    """
    known = [each for job in jobs if (each := seconds_on_gpu(job, paces)) is not None]
    if not known:
        return "-"
    return f"{sum(known) / 3600:.1f} ({len(known)} runs)"


@cache
def images_of_an_epoch() -> dict[str, float]:
    """Training images of a category or class, by data set: the printed number over their count."""
    text = load_printed("text")
    whole = text[(text["metric"] == "train_images") & text["category"].isin(["", "average"])]
    return {
        name: value / len(registry.DATASETS[name].categories)
        for name, value in zip(whole["dataset"], whole["value"], strict=True)
    }


def hours_explained(gpu: str, paces: Paces) -> str:
    """What the hours of `reproduction_table` count, in words."""
    teacher = RunConfig.backbone
    return (
        f"*GPU hours* are the expected hours of training on one {gpu}: the training images of all "
        "epochs, divided by the speed of a training at 256 px. They are extrapolated. With "
        f"{network(teacher)}, {paces[teacher, ON_GPU]:.0f} images a second were measured, at "
        "random weights. Testing is not counted. The brackets say how many runs are covered. No "
        "speed was measured for the other methods, nor for the extension (-)."
    )


def fenced(text: str) -> str:
    """Text as a code block of Markdown, which no backticks and no mark of `fill_block` end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.replace('<!--', '<! --')}\n{fence}"


def fill_block(text: str, name: str, content: str) -> str:
    """The text with the content between the marks of a block replaced.

    A text without these marks is returned unchanged.
    """
    marks = f"<!-- {name}: made by `make tables` -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return f"{before}{marks[0]}{content}{marks[1]}{after}" if rest else text
