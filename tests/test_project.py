"""The project's own files: one list of dependencies, no outputs, no paths, README's commands."""

import ast
import functools
import io
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from importlib import metadata

import nbformat
import pytest
import yaml
from builders import ROOT
from packaging.requirements import Requirement

import rdrepro
from rdrepro import paths
from rdrepro.study.blocks import fill_block
from rdrepro.study.catalogue import TABLES as CATALOGUED
from rdrepro.study.results_page import anchor, results_page

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What a module is called where the package that installs it is called otherwise.
MODULES = {"PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image", "yaml": "pyyaml"}
MODULES |= {"zmq": "pyzmq"}
PEERS = {"anomalib"}  # in an environment of its own: benchmarks/requirements-peers.txt
CORE = ("losses", "scoring", "metrics")  # beside models/
STANDARD = sys.stdlib_module_names


def declared(extra=None):
    """The declared dependencies, name -> version floor."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {canonical(r.name): str(r.specifier) for r in map(Requirement, lines)}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_environment_yml_names_the_dependencies_with_a_reason_each():
    text = (ROOT / "environment.yml").read_text()
    entries = yaml.safe_load(text)["dependencies"]
    pip = next(e["pip"] for e in entries if isinstance(e, dict))
    listed = [e for e in (*entries, *pip) if isinstance(e, str) and not e.startswith("-e")]
    requirements = [Requirement(re.sub("^pytorch>", "torch>", e)) for e in listed if e != "pip"]
    floors = {canonical(r.name): str(r.specifier) for r in requirements}
    assert floors.pop("python") == ">=3.11"
    assert floors == declared() | declared("dev") | declared("study")
    lines = [line for line in text.splitlines() if re.match(r"\s*- [a-z]", line)]
    assert not [line for line in lines if "#" not in line and "pip:" not in line]


def test_the_lock_pins_every_dependency_with_a_hash_and_names_no_index():
    text = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^([a-zA-Z0-9._-]+)==\S+.*\\$", text, flags=re.M)
    locked = {canonical(name) for name in pins}
    assert set(declared() | declared("dev") | declared("study")) <= locked
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_every_import_is_declared():
    folders = ("rdrepro", "tests", "benchmarks")
    sources = {name: list((ROOT / name).rglob("*.py")) for name in folders}
    assert all(sources.values())
    found = set()
    for path in (file for files in sources.values() for file in files):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    beside = {p.stem for name in ("tests", "benchmarks") for p in sources[name]}
    third_party = found - STANDARD - beside - PEERS - {"rdrepro", "benchmarks"}
    names = {canonical(MODULES.get(name, name)) for name in third_party}
    assert names <= set(declared() | declared("dev") | declared("study"))


@pytest.fixture(scope="module")
def committed_texts():
    return {name: (ROOT / name).read_text() for name in ("README.md", "DEVIATIONS.md")}


def test_the_generated_tables_are_those_of_the_rows(committed_blocks, committed_texts):
    for name, content in committed_blocks.items():
        marked = [text for text in committed_texts.values() if f"<!-- {name}:" in text]
        assert len(marked) == 1, name
        assert fill_block(marked[0], name, content) == marked[0], "run `make tables`"


def test_results_md_is_made_of_the_rows(committed_runs, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", ROOT)  # whose coverage.csv is read
    page = results_page(committed_runs, ROOT / "results" / "runs")
    assert (ROOT / "RESULTS.md").read_text() == page, "run `make tables`"


PAGES = ("README.md", "GUIDE.md", "CONTRIBUTING.md", "RESULTS.md")


def test_the_readme_is_short_and_its_tables_narrow(committed_texts):
    lines = committed_texts["README.md"].splitlines()
    assert len(lines) <= 140
    tables = [line for line in lines if line.startswith("|")]
    assert tables and max(line.count(" | ") + 1 for line in tables) <= 6
    for block in re.findall(r"(?:^    .*\n)+", committed_texts["README.md"], flags=re.M):
        assert max(map(len, block.splitlines())) <= 100


@pytest.mark.parametrize("name", PAGES)
def test_links_between_the_pages_lead_somewhere(name):
    text = (ROOT / name).read_text()
    targets = re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]+))?\)", text)
    assert targets
    for file, heading in targets:
        page = ROOT / (file or name)
        assert page.exists(), file
        if heading:
            titles = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
            assert heading in map(anchor, titles), heading


def test_the_readmes_python_runs(committed_texts, tiny_demo, monkeypatch):
    """The block as it stands, with fewer epochs and smaller images."""
    [code] = re.findall(r"```python\n(.*?)```", committed_texts["README.md"], flags=re.S)
    assert len(code.strip().splitlines()) <= 8
    monkeypatch.setattr(rdrepro, "resolve", functools.partial(rdrepro.resolve, **tiny_demo))
    names = {}
    exec(code, names)
    assert set(names["metrics"]) >= {"image_auroc", "pixel_auroc", "pixel_aupro"}
    assert all(0 <= value <= 1 for value in names["metrics"].values())


@pytest.fixture
def tiny_demo(tmp_path):
    """Settings that make the demo quick."""
    return {"epochs": 1, "image_size": 64, "results_dir": str(tmp_path / "results")}


def test_the_readmes_study_commands_name_tables_of_the_catalogue(committed_texts):
    named = re.findall(r"make study TABLE=(\w+)", committed_texts["README.md"])
    assert set(named) <= set(CATALOGUED) and len(set(named)) == len(set(CATALOGUED.values()))


@pytest.mark.parametrize("name", PAGES)
def test_every_make_command_has_a_recipe(name):
    recipes = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.M)
    text = (ROOT / name).read_text()
    named = re.findall(r"(?:`|^    )make ([a-z-]+)", text, flags=re.M)
    assert named and set(named) <= set(recipes)


def test_every_phony_target_has_a_recipe():
    makefile = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.M)
    assert sorted(phony.split()) == sorted(re.findall(r"^([a-z-]+):", makefile, flags=re.M))


def test_the_version_is_one():
    assert rdrepro.__version__ == metadata.version("rdrepro")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert not any(c.outputs or c.execution_count for c in code)
    assert notebook.cells[0].source.startswith("# ")
    assert sum("parameters" in c.metadata.get("tags", []) for c in code) == 1
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_tracked_files_are_small_and_hold_no_data():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.splitlines()]
    assert not [f for f in files if f.is_file() and f.stat().st_size > 2**20]
    forbidden = {".pth", ".pt", ".safetensors", ".npz", ".npy", ".pkl", ".onnx"}
    assert not [f for f in files if f.suffix in forbidden]


def test_ci_calls_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert "make test" in script and "make test" in (ROOT / "README.md").read_text()


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def lines_of_code(source):
    """How many lines of a source hold code: no blank line, comment or docstring."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in quiet | {tokenize.ENDMARKER}:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_lines_of_code_are_counted_without_docstrings_comments_and_blank_lines():
    source = (
        '"""Two\nlines."""\n\n# why\ndef f():  # what\n    """One."""\n    return (\n        1)\n'
    )
    assert lines_of_code(source) == 3


def test_the_core_stays_thin():
    """The paper's method, which a reader follows line by line, in 900 lines of code."""
    package = ROOT / "rdrepro"
    core = [*package.glob("models/*.py"), *(package / f"{name}.py" for name in CORE)]
    assert len(core) > len(CORE)
    assert sum(lines_of_code(path.read_text()) for path in core) <= 900
