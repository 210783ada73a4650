"""The JSON schema of rows: generated, complete, and the same for both validators."""

import copy
import json
import random

import fastjsonschema
import pytest
from builders import ROOT, TEMPLATE
from jsonschema import Draft202012Validator

from rdrepro.config import DEFAULTS, LATER_FIELDS
from rdrepro.features import SOURCES
from rdrepro.metric_names import METRICS
from rdrepro.runs.rows import check_row
from rdrepro.runs.schema import FILE, main, row_schema


def test_the_committed_schema_is_the_generated_one():
    assert FILE == ROOT / "rdrepro" / "runs" / "schema.json"
    assert json.loads(FILE.read_text(encoding="utf-8")) == row_schema()


def test_the_command_writes_the_schema(tmp_path, monkeypatch):
    monkeypatch.setattr("rdrepro.runs.schema.FILE", tmp_path / "schema.json")
    main()
    assert json.loads((tmp_path / "schema.json").read_text()) == row_schema()


def test_the_schema_is_one_itself():
    Draft202012Validator.check_schema(row_schema())


def test_the_schema_has_every_field_and_older_rows_may_lack_the_later_ones():
    config = row_schema()["properties"]["config"]
    assert set(config["properties"]) == set(DEFAULTS)
    assert set(DEFAULTS) - set(config["required"]) == set(LATER_FIELDS)
    defaults = {name: config["properties"][name]["default"] for name in LATER_FIELDS}
    assert defaults == LATER_FIELDS


def test_the_schema_has_every_metric_as_a_fraction():
    entries = row_schema()["properties"]["metrics"]["properties"]
    assert set(entries) == {metric.name for metric in METRICS}
    assert all((entry["minimum"], entry["maximum"]) == (0, 1) for entry in entries.values())


def test_the_schema_has_every_source_of_features():
    entry = row_schema()["properties"]["provenance"]["properties"]["trained"]
    assert tuple(entry["properties"]["features"]["enum"]) == SOURCES
    assert "features" not in entry["required"]


# What damages a row: another type, a value beyond a range, and values that may be legal.
WRONG = (None, True, -1, 0.5, 3, 1e9, "", "/etc", "text", [], [1], [None], {}, {"a": 1})


def leaves(value, place=()):
    """The places of all values in a row, the containers included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inner:
        yield (*place, key)
        if isinstance(part, dict | list):
            yield from leaves(part, (*place, key))


def damaged(rng):
    """A copy of a committed row with a value replaced, removed or added."""
    row = copy.deepcopy(TEMPLATE)
    *way, last = rng.choice([p for p in leaves(row) if len(p) < 3 or rng.random() < 0.2])
    parent = row
    for key in way:
        parent = parent[key]
    kind = rng.choice(["replace", "replace", "remove", "add"])
    if kind == "remove":
        del parent[last]
    elif kind == "replace" or isinstance(parent, list):
        parent[last] = copy.deepcopy(rng.choice(WRONG))
    else:
        parent["surprise"] = rng.choice(WRONG)
    return row


@pytest.fixture(scope="module")
def validators():
    """Two functions that say whether a row fits the schema."""
    fast, slow = fastjsonschema.compile(row_schema()), Draft202012Validator(row_schema())

    def fits_fast(row):
        try:
            fast(row)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    return fits_fast, slow.is_valid


def test_both_validators_give_the_same_verdict(validators):
    assert all(fits(TEMPLATE) for fits in validators)
    rng = random.Random(0)
    rows = [damaged(rng) for _ in range(100)]
    verdicts = [tuple(fits(row) for fits in validators) for row in rows]
    assert all(fast == slow for fast, slow in verdicts)
    valid = sum(fast for fast, _ in verdicts)
    assert 10 <= valid <= 60  # neither all legal nor all damaged


def test_a_row_that_does_not_fit_is_refused_with_the_place():
    check_row(TEMPLATE)
    row = TEMPLATE | {"metrics": TEMPLATE["metrics"] | {"image_auroc": 1.2}}
    with pytest.raises(ValueError, match=r"does not fit schema\.json: metrics\.image_auroc: 1\.2"):
        check_row(row)
