"""Snakemake's report of what is there: a part of a study is a report, too."""

import subprocess
import sys
from pathlib import Path

from manyexits.study.plan import Plan


def shown(plan: Plan) -> tuple[list[str], list[str]]:
    """Files of the report that are there, and those that are not yet: of every table, figure and the card."""
    suffixes = {"table": ".html", "figure": ".png", "card": ".html"}
    files = [file for job in plan.of(*suffixes) for file in job.writes if Path(file).suffix == suffixes[job.stage]]
    there = [file for file in files if Path(file).exists()]
    return there, [file for file in files if file not in there]


def make(plan: Plan, overlays: list[Path]) -> tuple[Path, list[str]]:
    """Write the report of a study in the current folder.

    Returns:
        Where it is, and the files that are not there yet.

    Raises:
        ValueError: when none is there, or Snakemake cannot make it; it says why.
    """
    there, absent = shown(plan)
    page = Path(plan.study.output) / "report.html"
    if not there:
        raise ValueError(f"nothing is there to report; make {absent[0]} or another table or figure first")
    command = [sys.executable, "-m", "snakemake", "--report", str(page)]
    options = ["--configfile", *map(str, overlays)] if overlays else []
    done = subprocess.run([*command, *options, "--", *there], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ValueError(f"Snakemake cannot make {page}: {' '.join(said[-3:])}")
    return page, absent
