"""Imports go one way, and the Snakefile's parse stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src/manyexits"
LIGHT = (
    "regimes components digests refusals fields recipe config resolve runs study schema wiring rows policies calibrate"
    " evaluate predict provenance atomic card captions gather"
).split()
"""No torch, no transformers, no timm: the Snakefile and the steps after prediction import these."""
DRAWING = {"frames", "tables", "figures", *LIGHT}
COMPONENTS = {"data", "backbones", "methods", "heads", *"photographs images decode sources collection hub".split()}
MACHINERY = set(
    "network weights build cost measure phase train stopping checkpoint console job dataset".split()
    + "augment moves trivial plan ranks launch".split()
)


def group(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, by their first name below it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "manyexits":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found - {"__version__"}


FILES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py" or path.parent != SOURCE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path):
    mine, others = group(path), imported(path)
    if mine in ("cli", "people", "__main__"):
        return
    assert "cli" not in others
    if mine in LIGHT:
        assert others <= set(LIGHT)
    elif mine in DRAWING:
        assert others <= DRAWING
    elif mine in COMPONENTS:
        assert others <= COMPONENTS | set(LIGHT)
    elif mine in MACHINERY:
        assert others <= MACHINERY | COMPONENTS | set(LIGHT)
    elif mine == "doctor":
        assert others <= {"doctor"} | COMPONENTS | set(LIGHT)
    else:
        assert mine == "analysis"
        assert others <= {"analysis"} | MACHINERY | COMPONENTS | set(LIGHT)


@pytest.mark.parametrize("folder", ["data", "backbones", "methods", "analysis", "tables", "figures"])
def test_siblings_never_import_each_other(folder):
    names = {path.stem for path in (SOURCE / folder).glob("*.py") if not path.stem.startswith("_")}
    for path in (SOURCE / folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"manyexits.{folder}"):
                assert node.module.split(".")[-1] not in names - {path.stem}, path


def loaded(modules: str) -> set[str]:
    code = f"import sys\n{modules}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"torch", "torchvision", "timm", "transformers", "accelerate", "fvcore", "datasets", "sklearn"}


def test_the_snakefile_imports_nothing_heavy():
    assert not loaded("import manyexits.wiring") & (HEAVY | {"pandas", "matplotlib"})


def test_the_steps_after_prediction_import_nothing_heavy():
    light = "import manyexits.cli, manyexits.calibrate, manyexits.evaluate, manyexits.predict, manyexits.rows"
    assert not loaded(light) & (HEAVY | {"pandas", "matplotlib", "pydantic"})


def test_tables_and_figures_import_no_torch():
    assert not loaded("import manyexits.tables.table1, manyexits.figures.fig3") & HEAVY


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 75, f"{path.name}: {node.name}"
