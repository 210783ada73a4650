"""Writes the comments of the notebooks' parameters from the fields of RunConfig: `make lint`."""

import re

import nbformat

from rdrepro.config import FIELDS
from rdrepro.fields import said_of
from rdrepro.paths import ROOT
from rdrepro.runs.configure import PLACES

PARAMETER = re.compile(r"(?P<code>(?P<name>\w+): \w+ = [^#]*[^#\s])(  # .*)?")
OWN = ("dataset", "preset")  # of which each notebook runs only some
COMMENTS = {name: said_of(declared).comment for name, declared in FIELDS.items()} | PLACES


def commented(line: str) -> str:
    """A line of a parameters cell with the comment of its field.

    A parameter that is no field stays as it is: only its notebook knows what it means.
    """
    found = PARAMETER.fullmatch(line)
    if not found or found["name"] in OWN or found["name"] not in COMMENTS:
        return line
    comment = COMMENTS[found["name"]]
    return found["code"] + (f"  # {comment}" if comment else "")


def main() -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if "parameters" in cell.metadata.get("tags", ()):
                cell.source = "\n".join(map(commented, cell.source.split("\n")))
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
