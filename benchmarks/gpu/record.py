"""The record of a run of `make gpu`: a JSON file that is whole after every measurement."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdrepro.files import replacing

DIGITS = 5  # more than any measurement repeats


@dataclass(frozen=True)
class Record:
    """A JSON file of single values and of lists of measurements, one list for each kind.

    One process at a time writes to it.
    """

    path: Path

    def read(self) -> dict[str, Any]:
        """The content so far; empty where there is no file yet."""
        return json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else {}

    def begin(self, about: str) -> None:
        """Start a new record. An earlier one is kept under another name."""
        keep_aside(self.path)
        self.put("about", about)

    def put(self, name: str, value: Any) -> None:
        """Set a single value."""
        self._write(self.read() | {name: _rounded(value)})

    def add(self, name: str, line: dict[str, Any]) -> None:
        """Append a measurement to a list and print it."""
        content, line = self.read(), _rounded(line)
        self._write(content | {name: [*content.get(name, []), line]})
        words = (f"{key} {value}" for key, value in line.items() if value is not None)
        print(f"  {name}: {', '.join(words)}", flush=True)  # noqa: T201 - the command's output

    def _write(self, content: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as aside:
            aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def keep_aside(path: Path) -> None:
    """Rename a file of an earlier run, if there is one: gpu.json to before-gpu.json."""
    if path.is_file():
        path.replace(path.with_name(f"before-{path.name}"))


def _rounded(value: Any) -> Any:
    """A value whose floats have DIGITS significant digits."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
