"""How a setting is declared: as a dataclass field, with everything about it in the metadata.

Checks of choices and ranges, the keys of rows, the comments in notebooks and the schema of rows are
all derived from this one declaration.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import MISSING, Field, dataclass, field
from typing import Any

from rdrepro.text import nearest, one_of

LAYERS = (1, 2, 3)  # shallow to deep: strides 4, 8, 16


@dataclass(frozen=True)
class Setting:
    """The declaration of a setting, apart from its type and default."""

    source: str  # where the default comes from
    hint: str = ""  # the notebooks' comment; if empty, they list the choices
    row: str = ""  # its description in the schema of rows
    choices: Collection[Any] = ()  # read at each check, since a list may grow
    low: float | None = None
    high: float | None = None
    below: float | None = None  # like `high`, but excluded
    unit: str = ""
    methods: tuple[str, ...] | None = None  # the methods that have it; None: all
    trains: bool = True  # whether a trained student depends on it
    free: bool = False  # whether the paper's protocol leaves it open
    later: bool = False  # whether a row may lack it; it then has the default
    enforced: bool = False  # whether the schema of rows repeats choices and range

    @property
    def comment(self) -> str:
        """The comment that notebooks put beside the parameter."""
        return self.hint or (one_of(self.choices) if self.choices else "")


def setting(default: Any, source: str, **said: Any) -> Any:
    """A field of RunConfig with its default and the source of that default.

    said: other attributes of `Setting`.
    """
    return field(default=default, metadata={"setting": Setting(source, **said)})


def said_of(declared: Field) -> Setting:
    """The declaration of a field."""
    return declared.metadata["setting"]


def check(name: str, value: Any, said: Setting) -> None:
    """Raise ValueError for a value that is not among a field's choices or outside its range."""
    if said.choices and value not in said.choices:
        near = nearest(value, said.choices)
        raise ValueError(f"{name}={value!r} is not {one_of(said.choices)}.{near}")
    if value is None or isinstance(value, str | tuple):
        return
    if said.below is not None:
        if not said.low <= value < said.below:
            unit = f", in {said.unit}" if said.unit else ""
            raise ValueError(f"{name}={value} must lie in [{said.low}, {said.below}){unit}")
    elif said.low is not None and value < said.low:
        raise ValueError(f"{name}={value} must be at least {said.low}")
    elif said.high is not None and value > said.high:
        raise ValueError(f"{name}={value} must be at most {said.high}")


def parse(name: str, value: Any, declared: Field) -> Any:
    """A value converted to its field's type, from a plain value or from text.

    Raises ValueError, with a message of one sentence, for a value that cannot be converted. False
    is not an integer and "" is not a number. Minus zero is zero.
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
    return kind(number) + 0  # -0.0 + 0 is 0.0


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
    """The names of the fields whose declarations have these values, such as `free=True`."""
    return tuple(
        f.name
        for f in declared
        if all(getattr(said_of(f), name) == value for name, value in wanted.items())
    )


def defaults(declared: Iterable[Field]) -> dict[str, Any]:
    """The default of each field that has one, by name."""
    return {f.name: f.default for f in declared if f.default is not MISSING}
