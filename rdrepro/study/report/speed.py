"""Notebook 13: how fast the code is, from the benchmark's files."""

from collections.abc import Iterator
from pathlib import Path

from IPython.display import HTML, Markdown

from rdrepro.study import speed, speed_gpu
from rdrepro.study.glossary import TABLES
from rdrepro.study.html_tables import html_table
from rdrepro.study.speed_files import read_parts


def on_processors(folder: Path) -> Iterator[HTML | Markdown]:
    """What was measured on processors, in words and as tables.

    folder: that of the benchmark's files.
    """
    parts = read_parts(folder)
    yield Markdown("\n\n".join(speed.in_words(parts)))
    shown = speed.published(parts)
    tables = {"speed": speed.targets_table, "speed_growth": speed.growth_table}
    tables |= {"speed_parts": speed.parts_table, "speed_ratios": speed.ratios_table}
    tables |= {"speed_times": speed.times_table, "speed_memory": speed.memory_table}
    for name, make in (tables | {"speed_size": speed.size_table}).items():
        table = make(shown)
        if len(table):
            yield html_table(table, TABLES[name], fold=name != "speed")


def on_a_gpu(folder: Path) -> Iterator[HTML | Markdown]:
    """What was measured on a GPU, in words and as tables.

    folder: that of the benchmark's files.
    """
    record = speed_gpu.read_record(folder)
    yield Markdown("\n\n".join(speed_gpu.in_words(record)))
    shown = speed_gpu.published(record)
    tables = {"gpu": speed_gpu.targets_table, "gpu_protocol": speed_gpu.protocol_table}
    tables |= {"gpu_steps": speed_gpu.steps_table, "gpu_inference": speed_gpu.inference_table}
    for name, make in tables.items():
        table = make(shown)
        if len(table):
            yield html_table(table, TABLES[name], fold=name == "gpu_steps")
