"""How a setting is declared: one field of a dataclass with all that the package says of it.

Choices, ranges, the methods that have a field, the keys of rows, the notebooks' comments and the
schema of rows all read this one declaration.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import MISSING, Field, dataclass, field
from typing import Any

from rdrepro.text import nearest, one_of

LAYERS = (1, 2, 3)  # shallow to deep: strides 4, 8, 16


@dataclass(frozen=True)
class Setting:
    """What is said of a field beside its type and default."""

    source: str  # of the default
    hint: str = ""  # for whoever sets it; the choices where there is nothing more to say
    row: str = ""  # what the value in a row means
    choices: Collection[Any] = ()  # read whenever a value is checked, so it may grow
    low: float | None = None
    high: float | None = None
    below: float | None = None  # like `high`, but excluded
    methods: tuple[str, ...] | None = None  # that have it; None: all
    trains: bool = True  # whether a trained student depends on it
    free: bool = False  # whether the paper's protocol leaves it open
    later: bool = False  # whether older rows lack it; its default is then what they mean
    enforced: bool = False  # whether the schema of rows repeats choices and range

    @property
    def comment(self) -> str:
        """What a notebook says beside the parameter."""
        return self.hint or (one_of(self.choices) if self.choices else "")


def setting(default: Any, source: str, **said: Any) -> Any:
    """A field of RunConfig with its default, the source of that, and what `Setting` has."""
    return field(default=default, metadata={"setting": Setting(source, **said)})


def said_of(declared: Field) -> Setting:
    """What a field's declaration says."""
    return declared.metadata["setting"]


def check(name: str, value: Any, said: Setting) -> None:
    """Raise ValueError where a value is none of a field's choices or outside its range."""
    if said.choices and value not in said.choices:
        near = nearest(value, said.choices)
        raise ValueError(f"{name}={value!r} is not {one_of(said.choices)}.{near}")
    if value is None or isinstance(value, str | tuple):
        return
    if said.below is not None:
        if not said.low <= value < said.below:
            raise ValueError(f"{name}={value} must lie in [{said.low}, {said.below})")
    elif said.low is not None and value < said.low:
        raise ValueError(f"{name}={value} must be at least {said.low}")
    elif said.high is not None and value > said.high:
        raise ValueError(f"{name}={value} must be at most {said.high}")


def parse(name: str, value: Any, declared: Field) -> Any:
    """A value in its field's own type, from a plain value or from text.

    ValueError, in one sentence, for a value of another kind (False is no integer, "" no number).
    """
    kind = declared.type
    if kind == tuple[int, ...]:
        return _parse_layers(name, value)
    if kind is bool:
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise ValueError(f"{name}={value!r} must be True or False")
    if kind == int | None:
        return None if value is None or value != value else _parse_number(name, value, int)
    if kind is str:
        if isinstance(value, str):
            return value
        choices = said_of(declared).choices
        legal = f": {one_of(choices)}" if choices else ""
        raise ValueError(f"{name}={value!r} must be text{legal}")
    return _parse_number(name, value, kind)


def _parse_number(name: str, value: Any, kind: type) -> int | float:
    noun = "a whole number" if kind is int else "a number"
    try:
        if isinstance(value, bool):
            raise ValueError
        if kind is int and str(value).lstrip("-").isdigit():
            return int(value)  # exact, however large
        number = float(value)
        if not math.isfinite(number) or (kind is int and number % 1):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}={value!r} must be {noun}") from None
    return kind(number)


def _parse_layers(name: str, value: Any) -> tuple[int, ...]:
    parts = value if isinstance(value, tuple | list) else str(value).split(",")
    try:
        layers = tuple(sorted({int(str(part)) for part in parts}))
    except ValueError:
        layers = ()
    if not layers or not set(layers) <= set(LAYERS):
        raise ValueError(f'{name}={value!r} must name layers among 1, 2 and 3, as in "2,3" or 3')
    return layers


TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}


def schema_entry(declared: Field) -> dict[str, Any]:
    """A field's entry in the JSON schema of rows."""
    said, kind = said_of(declared), declared.type
    if kind == tuple[int, ...]:
        entry = {"type": "array", "items": {"enum": list(LAYERS)}, "minItems": 1}
    elif said.enforced and said.choices:
        entry = {"enum": list(said.choices)}
    else:
        entry = {"type": ["integer", "null"] if kind == int | None else TYPES[kind]}
    if said.enforced:
        bounds = {"minimum": said.low, "maximum": said.high, "exclusiveMaximum": said.below}
        entry |= {name: bound for name, bound in bounds.items() if bound is not None}
    if said.later:
        entry["default"] = declared.default
    return entry | ({"description": said.row} if said.row else {})


def names(declared: Iterable[Field], **wanted: Any) -> tuple[str, ...]:
    """The names of the fields whose settings have these values."""
    return tuple(
        f.name
        for f in declared
        if all(getattr(said_of(f), name) == value for name, value in wanted.items())
    )


def defaults(declared: Iterable[Field]) -> dict[str, Any]:
    """Each field's default by its name."""
    return {f.name: f.default for f in declared if f.default is not MISSING}
