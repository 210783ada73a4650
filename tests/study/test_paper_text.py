"""The papers' numbers and claims: nothing missing, nothing twice, each claim on printed cells."""

import csv
import re
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import product

import pytest

from rdrepro import registry
from rdrepro.paths import PAPER
from rdrepro.registry import MVTEC_CATEGORIES
from rdrepro.study.relations import FIGURE, UNTESTED, comparisons

PAPERS = ("rd4ad", "rkd_medical")
KEY = ("paper", "table", "dataset", "category", "method", "image_size", "metric")
TEXT = ("paper", "section", *KEY[2:], "kind", "value", "printed", "statement")
CLAIM = ("paper", "id", "section", "claim", "evidence", "relation", "test")
AVERAGES = {
    "average_textures": registry.TEXTURES,
    "average_objects": registry.OBJECTS,
    "average": MVTEC_CATEGORIES,
}
ALL = (*MVTEC_CATEGORIES, *AVERAGES)
TEXTURES = (*registry.TEXTURES, "average_textures")
OBJECTS = (*registry.OBJECTS, "average_objects")
TRIPLE = ("image_auroc", "pixel_auroc", "pro")
BLANK = {"-", "_", "\u2013"}
WORDS = {"half": 0.5, "single": 1, "two": 2, "three": 3, "four": 4}
# Printed averages that are not the rounded means of their rows; README.md lists each.
ODD_AVERAGES = {
    ("1", "average", "CutPaste", "image_auroc"): ("96.1", "96.16"),
    ("1", "average", "GN", "image_auroc"): ("76.2", "76.15"),
    ("1", "average", "PaDiM", "image_auroc"): ("95.5", "95.42"),
    ("2", "average_textures", "PaDiM", "pro"): ("93.2", "93.14"),
    ("2", "average", "SPADE", "pixel_auroc"): ("96.5", "96.03"),
}


def read(name, columns):
    with (PAPER / name).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
    assert tuple(reader.fieldnames) == columns
    assert all(None not in line and None not in line.values() for line in lines)
    return lines


CELLS = [line for paper in PAPERS for line in read(f"{paper}.csv", (*KEY, "value", "printed"))]
NUMBERS = read("text.csv", TEXT)
CLAIMS = read("claims.csv", CLAIM)
README = (PAPER / "README.md").read_text(encoding="utf-8")
VALUES = {tuple(cell[k] for k in KEY): cell["value"] for cell in CELLS}


def select(**wanted):
    """The printed cells that have these values, as numbers by category."""
    found = [c for c in CELLS if all(c[name] == value for name, value in wanted.items())]
    return {c["category"]: Decimal(c["printed"]) for c in found if c["value"]}


def value(paper, table, category, method, size, metric, dataset="mvtec"):
    return float(VALUES[paper, table, dataset, category, method, size, metric])


def expected_keys():
    """The key of every cell that the papers' tables have."""
    of_256 = ("GT", "GN", "US", "PSVDD", "DAAD", "MF", "PaDiM", "CutPaste", "Ours")
    columns = [("MKD", "128"), ("Ours", "128"), *((m, "256") for m in of_256)]
    for category, (method, size) in product(ALL, columns):
        yield "rd4ad", "1", "mvtec", category, method, size, "image_auroc"
    of_256 = ("US", "MF", "SPADE", "PaDiM", "RIAD", "CutPaste", "Ours")
    columns = [("MKD", "128"), ("Ours", "128"), *((m, "256") for m in of_256)]
    for category, (method, size), metric in product(ALL, columns, TRIPLE[1:]):
        yield "rd4ad", "2", "mvtec", category, method, size, metric
    sized = [("", "seconds_per_image"), ("", "memory_mb"), *(("256", m) for m in TRIPLE)]
    for method, (size, metric) in product(("SPADE", "PaDiM", "Ours"), sized):
        yield "rd4ad", "3", "mvtec", "average", method, size, metric
    methods = ("LSA", "OCGAN", "HRN", "DAAD", "MKD", "G2D", "OiG", "Ours")
    for data, method in product(("mnist", "fashion_mnist", "cifar10", "caltech256"), methods):
        yield "rd4ad", "4", data, "average", method, "", "image_auroc"
    for table, methods in (
        ("5", ("Pre", "Pre+OCE", "Pre+OCE+MFM")),
        ("6", ("ResNet18", "ResNet50", "WResNet50")),
        ("7", ("M1", "M2", "M3", "M2,3", "M1,2,3")),
    ):
        for method, metric in product(methods, TRIPLE):
            yield "rd4ad", table, "mvtec", "average", method, "256", metric
    quoted, own = ("MKD", "128"), ("Ours", "224")
    for table, rows, columns in (
        ("1", TEXTURES, (quoted, ("RKD", "256"), own)),
        ("2", OBJECTS, (quoted, ("RKD", "256"), own)),
        ("4", TEXTURES, (("RKD", "256"), own, ("Ours+L_MKD", "224"))),
    ):
        for category, (method, size), metric in product(rows, columns, TRIPLE[1:]):
            yield "rkd_medical", table, "mvtec", category, method, size, metric
    own = ("Ours", "Ours+ES", "Ours+L_KD AS", "Ours+L_MKD", "Ours+L_MKD AS")
    columns = [("MKD", ""), *((method, "224") for method in own)]
    for data, (method, size) in product(("retinal_oct", "brain_mri", "head_ct"), columns):
        yield "rkd_medical", "3", data, "", method, size, "image_auroc"


def test_every_cell_of_every_table_is_there_once():
    keys = [tuple(cell[k] for k in KEY) for cell in CELLS]
    assert len(keys) == len(set(keys)) == 758
    assert set(keys) == set(expected_keys())
    assert sum(not cell["value"] for cell in CELLS) == 124


def test_a_cell_is_the_number_that_is_printed():
    for cell in CELLS:
        if cell["printed"] in BLANK:
            assert cell["value"] == "", cell
        else:
            assert re.fullmatch(r"\d+(\.\d+)?", cell["printed"]), cell
            assert float(cell["value"]) == float(cell["printed"]), cell
            costs = cell["metric"] in ("seconds_per_image", "memory_mb")
            assert costs or 0 < float(cell["value"]) <= 100, cell


def printed_number(text):
    """The number that a paper prints in words or digits: 'over 26000', '60K', '0-9'."""
    text = text.removeprefix("over ").removesuffix("-D")
    if text in WORDS:
        return WORDS[text]
    if span := re.fullmatch(r"(\d+)-(\d+)", text):
        return int(span[2]) - int(span[1]) + 1
    digits, unit = re.fullmatch(r"([\d.]+)(k|K|%|th|)", text.replace(",", "")).groups()
    return float(digits) * (1000 if unit in ("k", "K") else 1)


def test_a_number_of_the_text_is_the_number_that_is_printed():
    for line in NUMBERS:
        number = printed_number(line["printed"])
        if line["metric"].endswith("_share") and line["printed"].endswith("%"):
            number /= 100
        assert float(line["value"]) == number, line
        assert line["paper"] in PAPERS and line["kind"] in ("result", "count", "setting"), line
        assert re.fullmatch(r"[\w.-]+", line["section"]) and line["statement"], line
        assert line["category"] in ("", *ALL), line
    keys = [(*(line[k] for k in TEXT[:7]), line["value"]) for line in NUMBERS]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("section", "metric", "number"),
    [
        ("4.1-dataset", "train_images", "3,629"),
        ("4.1-dataset", "test_images", "1,725"),
        ("4.1-results", "image_auroc_margin", "2.5%"),
        ("4.1-limitations", "pixel_auroc", "94.5%"),
        ("4.1-limitations", "pixel_auroc", "97.3%"),
        ("4.1-limitations", "pixel_auroc", "97.6%"),
        ("4.1-settings", "beta2", "0.999"),
        ("4.1-setup", "beta2", "0.99"),
        ("4.1-datasets", "images", "over 5k"),
        ("4.1-datasets", "train_normal", "over 26000"),
        ("4.1-datasets", "train_share", "half"),
        ("4.2-medical", "image_auroc", "over 94%"),
        ("4.3-validation", "patience", "15"),
        ("4.3-validation", "validation_share", "25%"),
    ],
)
def test_the_text_has_its_best_known_numbers(section, metric, number):
    assert [
        line
        for line in NUMBERS
        if (line["section"], line["metric"], line["printed"]) == (section, metric, number)
    ]


def test_results_of_the_text_equal_their_cells():
    """All but a bound, the margin and the two maps of transistor, which no table has."""
    free = []
    for line in (line for line in NUMBERS if line["kind"] == "result"):
        found = {
            cell["value"]
            for cell in CELLS
            if cell["value"] and all(cell[k] == line[k] for k in ("paper", *KEY[2:]))
        }
        if line["printed"].startswith("over"):
            assert len(found) == 1 and float(found.pop()) > float(line["value"])
        elif found:
            assert {float(v) for v in found} == {float(line["value"])}, line
        else:
            free.append(line["value"])
    assert free == ["2.5", "94.5", "97.3"]


def test_claims_are_numbered_in_order():
    for paper, letter in zip(PAPERS, "CM", strict=True):
        ids = [claim["id"] for claim in CLAIMS if claim["paper"] == paper]
        assert ids == [f"{letter}{i}" for i in range(1, len(ids) + 1)]
    assert {claim["paper"] for claim in CLAIMS} == set(PAPERS)
    assert all(claim["section"] and claim["claim"] for claim in CLAIMS)
    assert len({claim["claim"] for claim in CLAIMS}) == len(CLAIMS)


def evidence(claim):
    """The patterns, sections and figures of a claim's evidence."""
    if claim["evidence"] == "untested by the paper":
        return [], [], []
    items = re.findall(r"figure \d+|\S+", claim["evidence"])
    assert items
    figures = [item for item in items if re.fullmatch(r"figure \d+", item)]
    sections = [item.removeprefix("text:") for item in items if item.startswith("text:")]
    patterns = [i for i in items if i not in figures and not i.startswith("text:")]
    return patterns, sections, figures


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c["id"])
def test_evidence_matches_printed_cells(claim):
    patterns, sections, _ = evidence(claim)
    for pattern in patterns:
        parts = pattern.split("/")
        assert len(parts) == len(KEY) and parts[0] == claim["paper"], pattern
        assert any(
            number and all(map(fnmatchcase, key, parts)) for key, number in VALUES.items()
        ), pattern
    sections_of = {(line["paper"], line["section"]) for line in NUMBERS}
    assert {(claim["paper"], section) for section in sections} <= sections_of


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c["id"])
def test_a_claims_test_is_the_table_of_its_evidence(claim):
    names = claim["test"].split("; ")
    assert all(names)
    patterns, _, _ = evidence(claim)
    tables = {p.split("/")[1] for p in patterns}
    prefix = "table" if claim["paper"] == "rd4ad" else "medical"
    named = {m[1] for n in names if (m := re.fullmatch(rf"{prefix}(\d)", n))}
    others = [n for n in names if re.fullmatch(r"(table|medical)\d+", n)]
    assert len(others) == len(named)
    assert named <= {c["table"] for c in CELLS if c["paper"] == claim["paper"]}
    assert not patterns or (named and named & tables)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c["id"])
def test_a_claim_has_a_relation_between_cells_of_its_tables(claim):
    patterns, _, figures = evidence(claim)
    if claim["relation"] in (FIGURE, UNTESTED):
        assert bool(figures) == (claim["relation"] == FIGURE)
        assert (claim["evidence"] == "untested by the paper") == (claim["relation"] == UNTESTED)
        return
    assert patterns and comparisons(claim["relation"])  # an error for one without cells
    named = {p.split("/")[1] for p in re.findall(r"\w+/\S+", claim["relation"])}
    tests = {name[-1] for name in claim["test"].split("; ") if re.fullmatch(r"[a-z]+\d", name)}
    of_claim = {p.split("/")[1] for p in patterns} | tests | {"[12]"}
    assert named <= of_claim, named - of_claim


def test_quoted_columns_equal_the_first_papers():
    source = {"MKD": "MKD", "RKD": "Ours"}
    quoted = [
        c
        for c in CELLS
        if (c["paper"], c["dataset"]) == ("rkd_medical", "mvtec") and c["method"] in source
    ]
    assert len(quoted) == 80
    for cell in quoted:
        size = {"MKD": "128", "RKD": "256"}[cell["method"]]
        method = source[cell["method"]]
        of = ("rd4ad", "2", "mvtec", cell["category"], method, size, cell["metric"])
        assert (cell["image_size"], cell["value"]) == (size, VALUES[of]), cell


def test_inferred_resolutions_are_those_of_equal_averages():
    own = [
        value("rd4ad", "1" if m == TRIPLE[0] else "2", "average", "Ours", "256", m) for m in TRIPLE
    ]
    for table, method in (("3", "Ours"), ("5", "Pre+OCE+MFM"), ("6", "WResNet50"), ("7", "M1,2,3")):
        assert own == [value("rd4ad", table, "average", method, "256", m) for m in TRIPLE]
    for metric, table in zip(TRIPLE, "122", strict=True):
        of = ("average", "PaDiM", "256", metric)
        assert value("rd4ad", "3", *of) == value("rd4ad", table, *of)


def test_averages_equal_their_rows_but_for_the_listed():
    found, checked = {}, 0
    columns = {
        tuple(c[k] for k in ("paper", "table", "method", "image_size", "metric")) for c in CELLS
    }
    for paper, table, method, size, metric in sorted(columns):
        column = select(paper=paper, table=table, method=method, image_size=size, metric=metric)
        for average, categories in AVERAGES.items():
            rows = [column[c] for c in categories if c in column]
            if average not in column or not rows:
                continue
            checked += 1
            mean, printed = sum(rows) / len(rows), column[average]
            half_a_digit = Decimal(5).scaleb(printed.as_tuple().exponent - 1)
            if abs(mean - printed) > half_a_digit:
                assert paper == "rd4ad"
                found[table, average, method, metric] = str(printed), f"{mean:.2f}"
    assert checked == 3 * (11 + 13) + 5 + 5 + 6
    assert found == ODD_AVERAGES


def test_the_average_of_four_textures_is_over_the_four():
    for metric in TRIPLE[1:]:
        column = select(paper="rkd_medical", table="4", method="Ours+L_MKD", metric=metric)
        assert set(column) == {*TEXTURES} - {"grid"}


@pytest.mark.parametrize("key", ODD_AVERAGES, ids="-".join)
def test_readme_lists_the_odd_averages(key):
    table, average, method, metric = key
    printed, mean = ODD_AVERAGES[key]
    difference = f"{Decimal(printed) - Decimal(mean):+.2f}"
    line = (
        f"| rd4ad | {table} | {average} | {method} | {metric} | {printed} | {mean} | {difference} |"
    )
    assert line in README


def test_readme_lists_no_other_average_as_odd():
    rows = re.findall(r"^\| (?:rd4ad|rkd_medical) \| \d \| average.*$", README, flags=re.M)
    assert len(rows) == len(ODD_AVERAGES)


def test_readme_counts_the_lines():
    counts = {p: sum(c["paper"] == p for c in CELLS) for p in PAPERS}
    counts |= {"text": len(NUMBERS), "claims": len(CLAIMS)}
    for name, number in counts.items():
        assert re.search(rf"^\| `{name}\.csv` \|.*\| {number} \|$", README, flags=re.M), name
    blanks = [cell["printed"] for cell in CELLS if not cell["value"]]
    assert {b: blanks.count(b) for b in BLANK} == {"-": 108, "_": 11, "\u2013": 5}
    assert "758 cells" in README and "124 of them are blank" in README


def test_readme_lists_where_128_pixels_beat_256():
    for table, metric in (("1", "image_auroc"), ("2", "pixel_auroc"), ("2", "pro")):
        of = {"paper": "rd4ad", "table": table, "method": "Ours", "metric": metric}
        small, large = select(image_size="128", **of), select(image_size="256", **of)
        name = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "pro": "PRO"}[metric]
        better = sorted((large[c] - small[c], c) for c in MVTEC_CATEGORIES if small[c] > large[c])
        text = ", ".join(f"{c} ({small[c]}, {large[c]})" for _, c in better)
        assert f"| {table} | {name} | {text} |" in README
