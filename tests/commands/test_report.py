"""The report of a part of a study, wherever that lies."""

import shutil
import subprocess
import sys

import pytest
from conftest import copy_checkout


@pytest.fixture
def study(tmp_path):
    """A checkout whose study has one figure, and a function that makes its report."""
    folder = copy_checkout(tmp_path / "a study")
    (folder / "mine.yaml").write_text("output: 'my results/one'\n")

    def report():
        command = [sys.executable, "-m", "manyexits", "report", "--configfile"]
        overlays = ["workflow/overlays/demo.yaml", "mine.yaml"]
        return subprocess.run([*command, *overlays], cwd=folder, capture_output=True, text=True)

    return folder, report


def test_a_part_is_reported_and_the_rest_is_named(study):
    folder, report = study
    figures = folder / "my results/one/figures"
    figures.mkdir(parents=True)
    for suffix in ("pdf", "png", "svg"):
        shutil.copy(folder / "docs/workstation/figures/fig3.png", figures / f"fig3.{suffix}")
    done = report()
    assert done.returncode == 0, done.stderr
    assert "not there yet: my results/one/tables/table1.html\n" in done.stdout
    assert done.stdout.endswith("report: my results/one/report.html\n")
    page = (folder / "my results/one/report.html").read_text()
    assert "fig3" in page
    assert "table1.html" not in page


def test_of_nothing_there_is_no_report(study):
    done = study[1]()
    assert done.returncode == 2
    assert done.stderr.startswith("manyexits report: nothing is there to report; make my results/one/")
