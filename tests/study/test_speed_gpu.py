"""The record of `make gpu`: tables and sentences, and no figure of a GPU without one."""

import json

import pytest
from benchmark_files import make_protocol, make_record, make_step

from rdrepro.study import speed_gpu


def read(folder, **changes):
    (folder / speed_gpu.FILE).write_text(json.dumps(make_record(**changes)))
    return speed_gpu.read_record(folder)


def test_without_a_record_tables_are_empty_and_a_sentence_says_so(tmp_path):
    record = speed_gpu.read_record(tmp_path)
    makers = (speed_gpu.targets_table, speed_gpu.steps_table, speed_gpu.inference_table)
    assert all(make(record).empty for make in (*makers, speed_gpu.protocol_table))
    assert speed_gpu.in_words(record) == [speed_gpu.NOT_MEASURED, speed_gpu.ANOMALIB]
    assert speed_gpu.readme_sentences(record) == []
    assert speed_gpu.first_table(tmp_path).empty


def test_a_record_without_a_gpu_is_refused(tmp_path):
    machine = make_record()["machine"] | {"device": "cpu"}
    with pytest.raises(ValueError, match=r"gpu.json was measured on the device 'cpu'"):
        read(tmp_path, machine=machine)


def test_a_record_of_uncommitted_code_is_named_and_not_shown(tmp_path):
    record = read(tmp_path, machine=make_record()["machine"] | {"dirty": True})
    assert speed_gpu.published(record) == {} and speed_gpu.readme_sentences(record) == []
    assert speed_gpu.in_words(record)[0].endswith("because the code was not committed.")


def test_remarks_explain_a_record_of_changed_code(tmp_path):
    machine = make_record()["machine"] | {"dirty": True}
    record = read(tmp_path, machine=machine, remarks=["The copy was that of a later commit."])
    said = speed_gpu.in_words(record)
    assert "commit abc1234 with changes" in said[0] and "later commit" in said[-2]
    assert len(speed_gpu.readme_sentences(record)) == 1


def test_missed_targets_come_first(tmp_path):
    steps = [make_step(), make_step(deterministic=False)]
    steps[1]["share of the matrix product's rate"] = 0.36
    whole = {"backbone": "wide_resnet50_2", "seconds": 901.0}
    record = read(tmp_path, **{"training steps": steps, "extrapolation": whole})
    table = speed_gpu.targets_table(record)
    assert table["outcome"].tolist() == ["missed", "missed", "met", "met"]
    assert table["measured"].tolist() == ["30.0", "901", "58.0", "36.0"]
    assert table["target"].tolist() == ["at least 35", "at most 900", "at most 60", "at least 35"]
    assert "graph, deterministic" in table["what"][0] and "extrapolated" in table["what"][1]
    assert "(random weights)" in table["what"][2] and "not deterministic" in table["what"][3]


def test_other_networks_precisions_and_eager_steps_have_no_target(tmp_path):
    steps = [make_step(backbone="resnet18"), make_step(precision="float32")]
    steps += [make_step(**{"ran as": "eager"}), make_step(failed="out of memory")]
    runs = [make_protocol(backbone="resnet18")]
    record = read(tmp_path, **{"training steps": steps, "protocol": runs})
    assert speed_gpu.targets_table(record).empty


def test_steps_that_failed_or_fell_back_say_why(tmp_path):
    failed = {"backbone": "resnet50", "precision": "float32", "deterministic": False}
    failed |= {"step": "graph", "failed": "out of memory"}
    compiled = make_step(mode="default", why="no graph") | {"seconds to the first step": 40.0}
    del compiled["deterministic"]
    record = read(
        tmp_path, **{"training steps": [make_step(), failed], "compiled steps": [compiled]}
    )
    table = speed_gpu.steps_table(record)
    assert table["step"].tolist() == ["graph", "graph", "torch.compile, default"]
    assert table["ms"].tolist() == ["8.00", "", "8.00"]
    assert table["share of limit"].tolist() == ["30 %", "", "30 %"]
    assert table["remark"].tolist() == ["", "failed: out of memory", "no graph"]


def test_inference_and_protocol_have_a_line_for_each_measurement(tmp_path):
    record = read(tmp_path)
    [line] = speed_gpu.inference_table(record).to_dict("records")
    assert (line["network"], line["batch"], line["images/s"]) == ("ResNet-18", 64, "5000")
    [run] = speed_gpu.protocol_table(record).to_dict("records")
    assert (run["training, s"], run["test, s"], run["metrics, s"]) == ("58.0", "6.00", "1.50")
    assert (run["weights"], run["whole run, s"]) == ("random", "66.0")


def test_sentences_name_the_card_the_tests_and_what_is_missing(tmp_path):
    tests = [{"test": "test_maps", "outcome": "passed"}, {"test": "test_a", "outcome": "skipped"}]
    skipped = [{"step": "inference", "outcome": "skipped", "reason": "3 s were left"}]
    said = speed_gpu.in_words(read(tmp_path, tests=tests, skipped=skipped))
    assert said == [
        "Measured on one Some Card (2026-01-02, commit abc1234), torch 2.9.0 "
        "(limits: 700 bfloat16 TFLOP/s, 50.0 float32 TFLOP/s).",
        "1 of 2 tests on the GPU passed. The others: test_a (skipped).",
        "All metrics of 80 maps take 0.250 s on the GPU.",
        "Not measured in full: inference (skipped: 3 s were left).",
        speed_gpu.ANOMALIB,
    ]


def test_the_readme_has_the_protocol_of_the_papers_teacher(tmp_path):
    runs = [make_protocol(), make_protocol(backbone="resnet18")]
    assert speed_gpu.readme_sentences(read(tmp_path, protocol=runs)) == [
        "**Speed on one Some Card (2026-01-02, commit abc1234)**: 200 epochs of WideResNet-50-2 "
        "(random weights) on the 209 images of bottle take 58 s of training."
    ]


def test_the_first_measurements_are_a_table(tmp_path):
    speeds = {"resnet18 float32": {"images/s": 748.2, "TFLOP/s": 10.9, "peak MiB": 1740}}
    first = {"device": "Some Card 80GB", "commit": "abc", "training in the steady state": speeds}
    (tmp_path / speed_gpu.FIRST).write_text(json.dumps(first))
    [line] = speed_gpu.first_table(tmp_path).to_dict("records")
    assert (line["network"], line["precision"], line["images/s"]) == ("ResNet-18", "float32", "748")
    assert (line["peak MiB"], line["on"]) == ("1740", "Some Card")
