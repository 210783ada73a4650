"""Parameters of run notebooks, checked so that a misspelt one is an error."""

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rdrepro.backbones import NoFourthStageError
from rdrepro.progress import say
from rdrepro.runs.configure import PARAMETERS
from rdrepro.runs.resolve import resolve
from rdrepro.text import nearest

if TYPE_CHECKING:
    from rdrepro.runs.run import Run

PLAIN = (type(None), bool, int, float, str, list, dict)
INJECTED = "# Parameters"  # how papermill begins the cell that it adds


def resolve_notebook(namespace: dict[str, Any], own: Sequence[str] = (), **changes: Any) -> "Run":
    """Resolve a notebook's parameters, the variables of its namespace that `resolve` knows.

    own: names of parameters that only this notebook has. changes: settings that the notebook makes
    itself, in place of its parameters. Raises ValueError, with the nearest name, for a parameter
    that was given and is unknown; papermill itself only warns of it.
    """
    known = (*PARAMETERS, *own)
    for name in _given_names(namespace):
        if name not in known:
            raise ValueError(f"{name!r} is not a parameter.{nearest(name, known)}")
    for name, value in changes.items():
        if namespace.get(name) not in (None, value) and value is not None:
            use = f"; use {name}s" if f"{name}s" in own else ""
            raise ValueError(
                f"{name}={namespace[name]!r} cannot be given here: this notebook sets {name} "
                f"itself{use}"
            )
    return resolve(**{name: namespace.get(name) for name in PARAMETERS} | changes)


def _given_names(namespace: dict[str, Any]) -> list[str]:
    """The names of the parameters that papermill injected, read from its cell in IPython's history.

    Outside IPython, they are the names of all variables of a plain type.
    """
    if "In" not in namespace:
        return [n for n, v in namespace.items() if not n.startswith("_") and isinstance(v, PLAIN)]
    injected = [cell for cell in namespace["In"] if cell.startswith(INJECTED)]
    targets = [
        target
        for cell in injected
        for statement in ast.parse(cell).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
    ]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def resolve_variants(
    namespace: dict[str, Any], variants: Mapping[str, Mapping[str, Any]], own: Sequence[str] = ()
) -> dict[str, "Run"]:
    """Resolve a notebook's parameters once per variant, a set of settings to change.

    A variant is left out, with a message, where it needs a fourth stage that the weights lack.
    """
    runs = {}
    for name, changes in variants.items():
        try:
            runs[name] = resolve_notebook(namespace, own, **changes)
        except NoFourthStageError as error:
            say(f"{name} is left out: {error}")
    return runs
