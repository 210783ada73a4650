"""What RESULTS.md, README.md and notebook 13 show of speed, with and without files."""

import json
import re

import pandas as pd
import pytest
from benchmark_files import make_part, make_record, write_parts

from rdrepro.study import every_table, results_page, speed, speed_gpu
from rdrepro.study.blocks import speed_block
from rdrepro.study.report import speed as report

MEASURED = {
    name: every_table.MAKERS[name]
    for section in results_page.SECTIONS
    if section.title in results_page.MEASURED
    for name in section.tables
}


@pytest.fixture
def measured(tmp_path):
    """A folder of results in which two parts and a GPU were measured."""
    folder = write_parts(
        tmp_path / "benchmarks", cpu_step=make_part(), cpu_size=make_part(ratios=[])
    )
    (folder / speed_gpu.FILE).write_text(json.dumps(make_record()))
    return tmp_path


def lines_by_table(results):
    made = {name: make(pd.DataFrame(), results / "runs") for name, make in MEASURED.items()}
    return {name: len(table) for name, table in made.items() if len(table)}


def test_tables_are_made_of_the_files_beside_the_rows(measured):
    assert lines_by_table(measured) == {
        **{"speed": 1, "speed_parts": 2, "speed_ratios": 1, "speed_times": 1, "speed_size": 1},
        **{"gpu": 2, "gpu_protocol": 1, "gpu_steps": 1, "gpu_inference": 1},
    }


def test_without_files_there_are_no_lines(tmp_path):
    assert lines_by_table(tmp_path) == {}
    assert speed_block(tmp_path / "benchmarks") == f"- {speed.NOT_MEASURED}"


def test_uncommitted_code_enters_no_table(measured):
    write_parts(measured / "benchmarks", cpu_step=make_part(dirty=True))
    dirty = make_record()["machine"] | {"dirty": True}
    file = measured / "benchmarks" / speed_gpu.FILE
    file.write_text(json.dumps(make_record(machine=dirty)))
    assert lines_by_table(measured) == {"speed_parts": 1, "speed_size": 1}


def test_the_readme_has_a_line_for_each_comparison_and_the_gpu(measured):
    processor, card = speed_block(measured / "benchmarks").splitlines()
    assert processor.startswith("- **Speed against the authors' code")
    assert card.startswith("- **Speed on one Some Card")


def test_the_report_shows_what_was_measured(measured, tmp_path):
    said, *tables = report.on_processors(measured / "benchmarks")
    assert said.data.startswith("1 of 1 targets are met.")
    assert len(tables) == 5 and ">5.25<" in re.sub(r"\s", "", tables[0].data)
    said, *tables = report.on_a_gpu(measured / "benchmarks")
    assert said.data.startswith("Measured on one Some Card") and len(tables) == 4
    [nothing] = report.on_processors(tmp_path / "nowhere")
    assert nothing.data == speed.NOT_MEASURED
    [nothing] = report.on_a_gpu(tmp_path / "nowhere")
    assert nothing.data.startswith(speed_gpu.NOT_MEASURED)
