"""Imports go one way between the wings, and the Snakefile's parse stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WITH_SHAPES

from manyexits.study import components

SOURCE = Path(__file__).parent.parent / "src/manyexits"
WINGS = {
    "files": "",
    "study": "files",
    "exits": "files",
    "data": "files study",
    "batches": "study data",
    "models": "files study exits data batches",
    "training": "files study exits data batches models",
    "analysis": "exits data batches models",
    "artefacts": "files study",
    "commands": "files study exits data models artefacts",
}
"""Wing -> other wings that it may import."""
DOORS = {"cli.py", "wiring.py", "__init__.py", "__main__.py"}
"""Files beside the wings; no wing imports them."""


def wing(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def imported(path: Path) -> set[str]:
    """Wings, or files beside them, that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "manyexits":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("manyexits.")}
    return found - {"__version__"}


FILES = sorted(SOURCE.rglob("*.py"))


def test_every_file_stands_in_a_wing_or_is_a_door():
    assert {path.name for path in SOURCE.iterdir() if path.name != "__pycache__"} == {*WINGS, *DOORS}


def test_no_arrow_between_wings_runs_back():
    order = list(WINGS)
    for name, others in WINGS.items():
        assert all(order.index(other) < order.index(name) for other in others.split())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_its_own_wing_and_those_that_the_table_names(path):
    if wing(path) not in DOORS:
        assert imported(path) <= {wing(path), *WINGS[wing(path)].split()}


def test_every_arrow_of_the_table_is_there():
    for name, others in WINGS.items():
        drawn = set().union(*(imported(path) for path in FILES if wing(path) == name)) - {name}
        assert drawn == set(others.split()), name


@pytest.mark.parametrize("kind", components.KINDS)
def test_siblings_never_import_each_other(kind):
    folder, names = components.KINDS[kind].folder, set(components.names(kind))
    for path in (SOURCE / folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("manyexits."):
                package, _, last = node.module.removeprefix("manyexits.").replace(".", "/").rpartition("/")
                others = {last} if package == folder else set()
                if f"{package}/{last}" == folder:
                    others = {alias.name for alias in node.names}
                assert not others & (names - {path.stem}), path


def test_shapes_are_checked_wherever_they_stand():
    stated = {path for path in FILES if "jaxtyping" in path.read_text()}
    assert {path.relative_to(SOURCE).parts[0] for path in stated} == set(WITH_SHAPES)


def loaded(modules: str) -> set[str]:
    code = f"import sys\n{modules}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "torchvision", "timm", "transformers", "accelerate", "fvcore", "datasets", "sklearn"}


def test_the_snakefile_imports_nothing_heavy():
    assert not loaded("import manyexits.wiring") & (HEAVY | {"pandas", "matplotlib"})


def test_the_study_needs_no_numpy():
    assert not loaded("import manyexits.wiring") & {"numpy"}


def test_the_steps_after_prediction_import_nothing_heavy():
    light = "import manyexits.cli, manyexits.files.rows\nfrom manyexits.exits import calibrate, evaluate, predict"
    assert not loaded(light) & (HEAVY | {"pandas", "matplotlib"})


def test_tables_and_figures_import_no_torch():
    light = "from manyexits.artefacts.tables import table1\nfrom manyexits.artefacts.figures import fig3"
    assert not loaded(light) & HEAVY


def test_a_class_name_stands_for_one_class():
    trees = [ast.parse(path.read_text()) for path in FILES]
    names = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert not sorted({name for name in names if names.count(name) > 1})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 75, f"{path.name}: {node.name}"
