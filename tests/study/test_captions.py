"""Captions: every figure of the report has one, in plain sentences, with a computed number."""

import re
from multiprocessing import get_context
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pytest
from PIL import Image

import rdrepro as rd
from rdrepro.study import captions
from rdrepro.study.report import pictures

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("1[0-4]_*.ipynb"))
SHOWN = re.compile(r"shared\.show\([^\"]*\"(\w+)\"")
BY_FUNCTION = {"maps", "overlays", "regions"}  # shown through a variable


@pytest.fixture(autouse=True)
def closed():
    """No test opens a window, and none leaves a figure open."""
    matplotlib.use("Agg")
    yield
    plt.close("all")


def test_every_figure_of_the_report_has_a_caption_in_its_order():
    shown = [
        name
        for path in NOTEBOOKS
        for cell in nbformat.read(path, 4).cells
        if cell.cell_type == "code"
        for name in SHOWN.findall(cell.source)
    ]
    assert shown == [key for key in captions.FIGURES if key in shown]
    assert set(captions.FIGURES) == {*shown, *BY_FUNCTION}


@pytest.mark.parametrize("name", list(captions.FIGURES))
def test_a_caption_is_a_few_short_sentences(name):
    text = captions.caption_of(name)
    sentences = re.split(r"(?<=[.]) (?=[A-Z0-9])", re.sub(r"Figs?\. ", "Fig ", text))
    assert max(len(sentence.split()) for sentence in sentences) <= 30
    assert 2 <= len(sentences) <= 6 and text.endswith(".")
    assert captions.alt_of(name).endswith(".") and len(captions.alt_of(name)) <= 150


def test_numbers_have_no_gap_and_maps_kept_here_have_none():
    labels = [captions.label_of(name) for name in captions.FIGURES]
    numbered = [label for label in labels if label[-1].isdigit()]
    assert numbered == [f"Figure {n + 1}" for n in range(len(numbered))]
    assert len(labels) - len(numbered) == len(captions.KEPT_HERE) == 2
    assert {*captions.KEPT_HERE} == BY_FUNCTION - {"maps"}, "every other figure is always shown"


def test_a_part_has_the_label_of_its_whole():
    whole = captions.label_of("maps")
    assert captions.label_of("maps/bottle-net-s1-0123") == whole == "Figure 1"
    assert captions.label_of("overlays_mvtec_bottle") == captions.label_of("overlays")
    with pytest.raises(KeyError, match=r"figure 'unknown' has no caption; add one to .*captions"):
        captions.label_of("unknown")


def test_a_figure_is_saved_and_shown_with_alternative_text_and_caption(tmp_path):
    figure, ax = rd.new_figure()
    ax.plot([0, 1], [0, 1])
    page = pictures.show(figure, "rotation", tmp_path).data
    saved = {file.suffix for file in tmp_path.glob("rotation.*")}
    assert saved == {".png", ".svg", ".pdf"}
    label = captions.label_of("rotation")
    assert f"<figcaption><b>{label}.</b> {captions.caption_of('rotation')}" in page
    assert f'alt="{captions.alt_of("rotation")}"' in page and "data:image/png;base64," in page
    assert not plt.get_fignums(), "it would be shown twice"


def test_a_figure_that_is_left_out_is_a_sentence_and_no_file(tmp_path):
    shown = pictures.show("Left out: no rows.", "deltas", tmp_path)
    assert shown.data == f"*{captions.label_of('deltas')}. Left out: no rows.*"
    assert not any(tmp_path.iterdir())


def picture(folder, name):
    """Save a tiny picture under the name of a figure, then write the captions."""
    (folder / name).parent.mkdir(exist_ok=True)
    Image.new("RGB", (2, 2)).save(folder / f"{name}.png")
    captions.write_captions(folder)


def test_captions_of_all_figures_are_in_one_file_in_their_order(tmp_path):
    for name in ("rotation", "maps/metal_nut-net-s1-0123", "deltas", "of_somebody_else"):
        picture(tmp_path, name)
    text = (tmp_path / captions.LIST).read_text()
    places = [text.index(f"(`{n}`)") for n in ("maps/metal_nut-net-s1-0123", "deltas", "rotation")]
    assert places == sorted(places) and "somebody" not in text
    assert "metal nut. Anomaly maps" in text and captions.caption_of("deltas") in text


def test_notebooks_that_run_at_once_lose_no_caption(tmp_path):
    names = ["deltas", "rotation", "regions"]
    context = get_context("fork")
    workers = [context.Process(target=picture, args=(tmp_path, name)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    text = (tmp_path / captions.LIST).read_text()
    assert all(f"(`{name}`)" in text for name in names)


def test_the_gallery_names_the_row_of_every_figure_of_maps(tmp_path):
    (left_out,) = pictures.map_gallery(tmp_path)
    assert "make maps" in left_out.data
    picture(tmp_path, "maps/metal_nut-net-s1-0123")
    head, only = pictures.map_gallery(tmp_path)
    assert f"<b>{captions.label_of('maps')}.</b>" in head.data
    assert "<b>metal nut</b>, row <code>metal_nut-net-s1-0123</code>" in only.data
    assert 'alt="Anomaly maps of metal nut:' in only.data
