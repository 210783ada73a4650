"""Files of benchmarks: their check, and the tables and sentences made of them."""

import json

import pytest
from benchmark_files import MACHINE, OURS, THEIRS, make_line, make_part, make_ratio, write_parts

from benchmarks.parts import Findings, Part, Session, document
from benchmarks.rounds import Measured, Method, Ratio, lines_of, ratio_of
from rdrepro.study import speed
from rdrepro.study.speed_files import PARTS, check_part, read_parts

ANOMALIB = {"method": "anomalib", "precision": "float32", "features": "computed"}


def test_parts_are_read_in_the_order_of_the_tables(tmp_path):
    write_parts(tmp_path, peers_step=make_part(), cpu_other=make_part(), cpu_step=make_part())
    (tmp_path / "gpu.json").write_text("{}")
    assert list(read_parts(tmp_path)) == ["cpu-step", "peers-step", "cpu-other"]
    assert read_parts(tmp_path / "nowhere") == {}


def without(part, key):
    return {name: value for name, value in part.items() if name != key}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (without(make_part(), "machine"), "machine"),
        (make_part(dirty="no"), "dirty"),
        (make_part(date="yesterday"), "date"),
        (make_part(lines=[without(make_line(), "unit")]), "unit"),
        (make_part(lines=[make_line(), make_line(q1=2.1)]), "lines[1] has q1, median, q3 = 2.1,"),
        (make_part(ratios=[make_ratio(met=None)]), "ratios[0] has target 5.0 and met None"),
        (make_part(machine=MACHINE | {"bfloat16": "slow"}), "bfloat16"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_name_and_the_entry(part, said, tmp_path):
    check_part(make_part(), "x.json")
    with pytest.raises(ValueError) as error:
        read_parts(write_parts(tmp_path, cpu_step=part))
    assert str(error.value).startswith("cpu-step.json: ") and said in str(error.value)


def test_half_a_file_is_refused(tmp_path):
    (tmp_path / "cpu-step.json").write_text('{"part":')
    with pytest.raises(ValueError, match=r"cpu-step.json is no JSON: .*; measure that part again"):
        read_parts(tmp_path)


def in_float32(**changes):
    """A ratio of 2 in which ours computes in float32 as well."""
    return make_ratio(2.0, None, denominator=OURS | {"precision": "float32"}) | changes


def small(median, target=4.5, **changes):
    """A ratio of the smaller teacher."""
    name = "training step, ResNet-18: official / rdrepro"
    return make_ratio(median, target, backbone="resnet18", name=name, **changes)


def test_missed_targets_come_first_and_have_the_ratio_in_float32():
    step = make_part(ratios=[make_ratio(5.25), in_float32(), small(3.456), small(9.0, None)])
    table = speed.targets_table({"cpu-step": step})
    assert table["outcome"].tolist() == ["missed", "met"]
    assert table["network"].tolist() == ["ResNet-18", "WideResNet-50-2"]
    assert table["task"].tolist() == ["training step"] * 2
    assert table["in float32"].tolist() == ["", "2.00"]
    assert table.iloc[0][["ratio", "quartiles", "target"]].tolist() == [
        *("3.46", "[3.21, 3.71]", "4.50")
    ]


def test_every_ratio_names_both_methods_and_its_source():
    step = make_part(ratios=[make_ratio(5.25), small(9.0, None)])
    table = speed.ratios_table({"cpu-step": step})
    assert table["ratio"].tolist() == ["5.25", "9.00"]
    first = table.iloc[0]
    assert first["compared"] == (
        "official (float32, features computed) / rdrepro (bfloat16, features kept)"
    )
    assert first["machine"] == "Some CPU, 2 cores" and first["date"] == "2026-01-02"
    assert first["file"] == "cpu-step.json"


def test_a_goal_stands_in_the_place_of_a_method():
    goal = {"method": "target", "precision": None, "features": None}
    name = "peak memory, WideResNet-50-2, batch 1: 900 MiB / rdrepro"
    parts = {"cpu-inference": make_part(ratios=[make_ratio(0.9, 1.0, name=name, numerator=goal)])}
    [line] = speed.targets_table(parts).to_dict("records")
    assert line["task"] == "peak memory, batch 1" and line["outcome"] == "missed"
    assert line["compared"] == "900 MiB / rdrepro (bfloat16, features kept)"
    assert speed.readme_sentences(parts) == [speed.NOT_MEASURED]


def test_seconds_memory_and_sizes_have_tables_of_their_own():
    lines = [make_line(), make_line(unit="MiB", median=812.34, q1=812.34, q3=812.34, runs=1)]
    lines += [make_line(stage="teacher", share_of_limit=None, gflop=None)]
    parts = {"cpu-step": make_part(lines=lines), "cpu-size": make_part(lines=[make_line(batch=1)])}
    times = speed.times_table(parts)
    assert times["stage"].tolist() == ["", "teacher"]
    assert times["share of limit"].tolist() == ["62 %", ""]
    assert times["median"].tolist() == ["2.00", "2.00"] and times["GFLOP"][0] == "300"
    memory = speed.memory_table(parts)
    assert memory["MiB"].tolist() == ["812"] and "unit" not in memory
    assert speed.size_table(parts)["batch"].tolist() == [1]


def test_growth_that_is_not_linear_is_a_missed_target():
    growth = {"task": "metrics", "against": "images", "of whole times": 0.95}
    growth |= {"target": [0.9, 1.1]}
    linear, square = {"exponent": 1.02, "met": True}, {"exponent": 2.0, "met": False}
    unknown = {"exponent": None, "met": False}
    part = make_part(ratios=[], growth=[growth | linear, growth | square, growth | unknown])
    check_part(part, "cpu-size.json")
    table = speed.growth_table({"cpu-size": part})
    assert table["exponent"].tolist() == ["2.00", "", "1.02"]
    assert table["outcome"].tolist() == ["missed", "missed", "met"]
    assert speed.in_words({"cpu-size": part})[0] == (
        "1 of 3 targets are met. Missed: metrics against images (exponent 2.00 for 0.9 to 1.1); "
        "metrics against images (exponent unknown for 0.9 to 1.1)."
    )
    with pytest.raises(ValueError, match="growth"):
        check_part(make_part(growth=[linear]), "cpu-size.json")


def test_every_part_says_what_it_times():
    [line] = speed.parts_table({"cpu-step": make_part()}).to_dict("records")
    assert (line["part"], line["what is timed"]) == ("training step", "A training step is timed.")


def test_without_files_tables_are_empty_and_one_sentence_says_so():
    makers = (speed.targets_table, speed.ratios_table, speed.times_table, speed.memory_table)
    assert all(make({}).empty for make in (*makers, speed.size_table, speed.growth_table))
    assert speed.in_words({}) == speed.readme_sentences({}) == [speed.NOT_MEASURED]


def test_sentences_name_the_misses_the_machine_and_what_is_missing():
    step = make_part(ratios=[make_ratio(5.25), make_ratio(4.0)])
    aim, measured, missing = speed.in_words({"cpu-step": step})
    assert aim == (
        "1 of 2 targets are met. "
        "Missed: training step, WideResNet-50-2: official / rdrepro (4.00 for 5.00)."
    )
    assert measured == (
        "Measured on 2 cores of Some CPU (2026-01-02, commit abc1234), with 8 GiB of memory and "
        "torch 2.9.0 (limits: 240 bfloat16 GFLOP/s): training step."
    )
    assert "`cpu-step.json`" not in missing and "`cpu-epoch.json`" in missing
    assert missing.count("`") == 2 * (len(PARTS) - 1)


def test_parts_of_one_machine_share_a_sentence():
    parts = {"cpu-step": make_part(), "cpu-epoch": make_part(), "cpu-size": make_part(commit="b")}
    measured = [text for text in speed.in_words(parts) if text.startswith("Measured")]
    assert [text.rpartition(": ")[2] for text in measured] == [
        "training step; epoch from PNG files.",
        "cost against size.",
    ]


def test_what_uncommitted_code_measured_is_named_and_not_shown():
    parts = {"cpu-step": make_part(dirty=True), "cpu-epoch": make_part()}
    assert list(speed.published(parts)) == ["cpu-epoch"]
    left_out = speed.in_words(parts)[-1]
    assert left_out == "Left out, because the code was not committed: `cpu-step.json`."
    alone = {"cpu-step": make_part(dirty=True)}
    assert speed.in_words(alone) == [left_out]
    assert speed.readme_sentences(alone) == [speed.NOT_MEASURED]


def test_emulated_bfloat16_is_said():
    slow = make_part(machine=MACHINE | {"bfloat16": "emulated"})
    said = [t for t in speed.in_words({"cpu-step": slow}) if "emulates" in t]
    assert len(said) == 1 and "`cpu-step.json`" in said[0]
    assert not [t for t in speed.in_words({"cpu-step": make_part()}) if "emulates" in t]


def test_the_readme_has_a_sentence_for_each_method_compared():
    step = make_part(ratios=[make_ratio(5.25), small(4.0), make_ratio(9.0, None)])
    name = "inference, WideResNet-50-2, batch 16: anomalib / rdrepro"
    peer = make_ratio(3.5, 3.0, numerator=ANOMALIB, name=name)
    peers = make_part(ratios=[peer], libraries={"anomalib": "2.7.1"})
    official, anomalib = speed.readme_sentences({"cpu-step": step, "peers-step": peers})
    assert official == (
        "**Speed against the authors' code (restated)**, on 2 cores of Some CPU "
        "(2026-01-02, commit abc1234): training step: 5.25 times as fast with WideResNet-50-2, "
        "4.00 times as fast with ResNet-18 (the target of 4.50 is missed)."
    )
    assert anomalib.startswith("**Speed against anomalib 2.7.1**")
    assert "inference at batch 16: 3.50 times as fast with WideResNet-50-2." in anomalib


def test_the_readme_says_what_is_left_of_a_ratio_in_float32():
    computed = OURS | {"precision": "float32", "features": "computed"}
    name = "inference, WideResNet-50-2: official / rdrepro"
    others = [in_float32(denominator=computed), in_float32(name=name)]
    others += [in_float32(backbone="resnet18"), in_float32(numerator=ANOMALIB)]
    parts = {"cpu-step": make_part(ratios=[make_ratio(5.25), in_float32(), *others])}
    [said] = speed.readme_sentences(parts)
    assert said.endswith(
        "5.25 times as fast with WideResNet-50-2 (2.00 in float32; "
        "2.00 in float32 with the teacher in every step)."
    )
    alone = in_float32(target=1.0, met=True)
    [said] = speed.readme_sentences({"cpu-step": make_part(ratios=[alone])})
    assert said.endswith("2.00 times as fast with WideResNet-50-2.")


def test_the_readme_keeps_measurements_of_different_days_apart():
    parts = {"cpu-step": make_part(), "cpu-epoch": make_part(date="2026-01-03")}
    said = speed.readme_sentences(parts)
    assert len(said) == 2 and "2026-01-02" in said[0] and "2026-01-03" in said[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0012345, "0.00123"), (12.345, "12.3"), (9.999, "10.00"), (98765.4, "98765"), (0, "0")],
)
def test_numbers_have_three_significant_digits(value, text):
    assert speed.significant(value) == text
    assert speed.significant(None) == speed.significant(float("nan")) == ""


def test_what_the_benchmark_writes_can_be_read():
    """The benchmark's own functions, on made-up seconds of two methods."""
    says = {"backbone": "resnet18", "image_size": 256, "batch": 16}
    methods = {
        "theirs": Method("m:f", {}, says | THEIRS),
        "ours": Method("m:f", {}, says | OURS),
    }
    facts = {"peak_mib": 700.0, "imported_mib": 300.0, "gflop": 80.0}
    measured = {
        "theirs": Measured([4.0, 6.0], {"teacher": [1.0, 1.5]}, facts),
        "ours": Measured([1.0, 1.0], {}, facts),
    }
    ratio = Ratio("theirs", "ours", "training step, ResNet-18: official / rdrepro, bfloat16", 4.5)
    findings = Findings(
        lines_of("training step", methods, measured, {"bfloat16": 160.0}),
        [ratio_of("training step", ratio, methods, measured)],
    )
    part = document(Part("cpu-step", "About.", 1.0, None), findings, Session())
    parts = {"cpu-step": json.loads(json.dumps(part))}
    check_part(parts["cpu-step"], "cpu-step.json")
    [line] = speed.targets_table(parts).to_dict("records")
    assert (line["task"], line["ratio"], line["outcome"]) == ("training step", "5.00", "met")
    assert speed.memory_table(parts)["MiB"].tolist() == ["400", "400"]
    assert speed.times_table(parts)["share of limit"].tolist() == ["", "", "50 %"]


def test_the_limit_of_a_ratio_is_that_of_both_sides():
    """900 GFLOP at 100 GFLOP/s take nine seconds, 300 at 240 take one and a quarter."""
    theirs = make_line(**THEIRS, gflop=900.0)
    limits = {"float32 GFLOP/s": 100.0, "bfloat16 GFLOP/s": 240.0}
    lines = [make_line(unit="MiB", gflop=None), make_line(), theirs]
    part = make_part(lines=lines, ratios=[make_ratio(4.0)], limits=limits)
    assert speed.targets_table({"cpu-step": part})["at the limit"].tolist() == ["7.20"]
    uncounted = part | {"lines": [make_line()]}
    assert speed.targets_table({"cpu-step": uncounted})["at the limit"].tolist() == [""]
