"""Fields of a dataclass: how values are parsed, checked and described in a schema."""

from dataclasses import dataclass
from dataclasses import fields as declared_fields

import pytest

from rdrepro import fields
from rdrepro.fields import Setting, check, parse, said_of, schema_entry, setting


@dataclass
class Made:
    """A field of every kind."""

    whole: int = setting(3, "ours", low=1, high=9, enforced=True)
    seed: int | None = setting(None, "ours", low=0, later=True, enforced=True)
    rate: float = setting(0.5, "ours", low=0, below=1, enforced=True, trains=False)
    ratio: float = setting(1.0, "ours", low=0)
    switch: bool = setting(False, "ours", free=True)
    name: str = setting("x", "ours", hint="a name", row="what it is called")
    kind: str = setting("a", "ours", choices=("a", "b"), enforced=True, methods=("padim",))
    other: str = setting("a", "ours", choices=("a", "b"))
    layers: tuple[int, ...] = setting((1, 2, 3), "ours")


FIELDS = {f.name: f for f in declared_fields(Made)}


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("whole", "64", 64),
        ("whole", 2.0, 2),
        ("whole", 2**63 - 1, 2**63 - 1),
        ("whole", str(2**63 - 1), 2**63 - 1),
        ("whole", "-3", -3),
        ("seed", None, None),
        ("seed", float("nan"), None),
        ("seed", "7", 7),
        ("rate", "1e-3", 0.001),
        ("rate", 0, 0.0),
        ("whole", -0.0, 0),
        ("switch", "true", True),
        ("switch", "False", False),
        ("switch", False, False),
        ("layers", "3,2,3", (2, 3)),
        ("layers", 3, (3,)),
        ("layers", [1, 2], (1, 2)),
        ("name", "", ""),
    ],
)
def test_values_are_parsed_from_text_and_plain_values(name, given, value):
    parsed = parse(name, given, FIELDS[name])
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize("given", [-0.0, "-0", "-0.0"])
def test_minus_zero_is_zero(given):
    assert str(parse("rate", given, FIELDS["rate"])) == "0.0"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("whole", 1.5, "whole=1.5 must be a whole number"),
        ("whole", False, "whole=False must be a whole number"),
        ("whole", "", "whole='' must be a whole number"),
        ("whole", float("inf"), "whole=inf must be a whole number"),
        ("whole", [1], r"whole=\[1\] must be a whole number"),
        ("seed", "x", "seed='x' must be a whole number"),
        ("rate", "fast", "rate='fast' must be a number"),
        ("rate", float("nan"), "rate=nan must be a number"),
        ("rate", float("inf"), "rate=inf must be a number"),
        ("rate", True, "rate=True must be a number"),
        ("switch", 1, "switch=1 must be True or False"),
        ("name", 3, "name=3 must be text$"),
        ("kind", False, "kind=False must be text: a or b"),
        ("layers", "1,4", "layers='1,4' must name layers among 1, 2 and 3"),
        ("layers", "", "layers='' must name layers among"),
        ("layers", [], r"layers=\[\] must name layers among"),
        ("layers", True, "layers=True must name layers among"),
    ],
)
def test_values_of_another_kind_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        parse(name, value, FIELDS[name])


@pytest.mark.parametrize(
    ("name", "legal", "illegal", "message"),
    [
        ("whole", (1, 9), 0, "whole=0 must be at least 1"),
        ("whole", (1, 9), 10, "whole=10 must be at most 9"),
        ("seed", (None, 0), -1, "seed=-1 must be at least 0"),
        ("rate", (0, 0.999), 1.0, r"rate=1.0 must lie in \[0, 1\)"),
        ("rate", (0, 0.999), -0.1, r"rate=-0.1 must lie in \[0, 1\)"),
        ("ratio", (0, 1e9), -1, "ratio=-1 must be at least 0"),
        ("kind", ("a", "b"), "c", "kind='c' is not a or b"),
    ],
)
def test_values_beyond_choices_and_ranges_are_refused(name, legal, illegal, message):
    said = said_of(FIELDS[name])
    for value in legal:
        check(name, value, said)
    with pytest.raises(ValueError, match=message):
        check(name, illegal, said)


def test_the_nearest_choice_is_named():
    with pytest.raises(ValueError, match=r"Did you mean 'kfold'\?"):
        check("split", "kfolds", Setting("ours", choices=("official", "kfold")))


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("whole", {"type": "integer", "minimum": 1, "maximum": 9}),
        ("seed", {"type": ["integer", "null"], "minimum": 0, "default": None}),
        ("rate", {"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
        ("ratio", {"type": "number"}),  # a range that the schema need not repeat
        ("switch", {"type": "boolean"}),
        ("name", {"type": "string", "description": "what it is called"}),
        ("kind", {"enum": ["a", "b"]}),
        ("other", {"type": "string"}),
        ("layers", {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 1}),
    ],
)
def test_the_schema_of_a_field(name, entry):
    assert schema_entry(FIELDS[name]) == entry


def test_fields_are_found_by_what_is_said_of_them():
    assert fields.names(FIELDS.values(), trains=False) == ("rate",)
    assert fields.names(FIELDS.values(), free=True, later=False) == ("switch",)
    assert fields.names(FIELDS.values(), methods=("padim",)) == ("kind",)
    assert fields.defaults(FIELDS.values()) == vars(Made())


def test_a_notebook_comments_a_parameter_with_its_hint_or_its_choices():
    assert said_of(FIELDS["name"]).comment == "a name"
    assert said_of(FIELDS["kind"]).comment == "a or b"
    assert said_of(FIELDS["switch"]).comment == ""
