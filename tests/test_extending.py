"""The files of docs/extending.md are complete: written into a checkout, their study runs to its table and figure."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from conftest import ROOT, copy_checkout

from manyexits.study import components

PAGE = (ROOT / "docs/extending.md").read_text()
FILES = dict(re.findall(r"^`([\w/.]+)`[^\n]*:\n\n```(?:python|yaml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
"""Path below the checkout -> content."""


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A checkout with these files, and a function that runs Python in it."""
    folder = copy_checkout(tmp_path_factory.mktemp("extended"))
    for path, content in FILES.items():
        (folder / path).write_text(content)
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    return folder, run


def test_every_kind_of_component_is_shown():
    folders = {f"src/manyexits/{kind.folder}" for kind in components.KINDS.values()}
    assert {path.rpartition("/")[0] for path in FILES} == folders | {""}
    named = {name for kind in components.KINDS.values() for name in (kind.entry, *kind.functions, *kind.constants)}
    named |= {name for kind in components.KINDS.values() for name in kind.further} | {"VERSION", "PHASES", "CRITERION"}
    assert not [name for name in named if f"`{name}" not in PAGE]


def test_the_files_meet_the_projects_own_checks(extended):
    _, run = extended
    run("ruff", "check", *[path for path in FILES if path.endswith(".py")])
    run("ruff", "format", "--check", *[path for path in FILES if path.endswith(".py")])


def test_their_study_runs_to_its_table_and_figure(extended):
    folder, run = extended
    stated = yaml.safe_load((ROOT / "config.yaml").read_text())
    others = {kind: dict.fromkeys(stated[kind]) for kind in ("tables", "figures")}
    two = {"experiments": {"stripes": {"regimes": ["disjoint", "mixed"]}}}  # for time
    (folder / "alone.yaml").write_text(yaml.safe_dump(others | two))
    run("snakemake", "-c2", "all", "--configfile", "mine.yaml", "alone.yaml", "--quiet", "all")
    norms = pd.read_csv(folder / "results/mine/tables/sizes.csv").set_index("regime")["value"]
    assert list(norms.index) == ["disjoint", "mixed"]
    assert (norms > 0).all()
    assert re.search(r"\| disjoint +\| \d+\.\d{2} +\|", (folder / "results/mine/tables/sizes.md").read_text())
    assert re.search(r"\| disjoint +\| \d+\.\d{6} +\|", (folder / "results/mine/tables/sizes-exact.md").read_text())
    assert (folder / "results/mine/figures/last.png").stat().st_size > 1000
    assert (
        "mean of the losses, weighted by a power of their exits' costs" in (folder / "results/mine/card.md").read_text()
    )
    told = run("manyexits", "settings", "stripes/joint/s1", "--configfile", "mine.yaml")
    assert '"noise": 60.0' in told
