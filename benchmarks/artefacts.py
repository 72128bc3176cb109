"""table1 and budget_curves of a study of thousands of runs: time and memory of the verbs, against their goals.

    python benchmarks/artefacts.py                  4,800 runs for table1, 330 panels for budget_curves
    python benchmarks/artefacts.py --share 0.1      a tenth of both

The rows are one committed run's, under as many names. Each verb runs once, as its rule calls it; beside it stands a
plain way of reading the same files, pandas.read_csv for each, without drawing anything. The ratio is ours to that.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from manyexits.files import provenance

ROOT = Path(__file__).parent.parent
MADE_BY = "0" * 16
REGIMES, SEEDS = ("disjoint", "joint", "mixed"), range(4)
CASES = {"table1": ("table", 400, "csv", 20.0), "budget_curves": ("figure", 330, "pdf", 60.0)}
"""Artefact -> its verb, experiments of 12 runs each, the suffix of its output, and the goal in seconds."""


def spread(folder: Path, experiments: list[str]) -> list[Path]:
    """One committed run's rows under the names of as many runs."""
    rows = pd.read_csv(min((ROOT / "docs/workstation/runs").glob("*/*/s1/rows.csv")), dtype=str, keep_default_na=False)
    paths = []
    for experiment in experiments:
        for regime in REGIMES:
            for seed in SEEDS:
                paths.append(folder / f"{experiment}-{regime}-{seed}.csv")
                named = rows.assign(experiment=experiment, variant="", regime=regime, seed=str(seed), made_by=MADE_BY)
                named.to_csv(paths[-1], index=False)
    return paths


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    share = parser.parse_args().share
    hardware, versions = provenance.hardware(), provenance.versions()
    print(f"{hardware['cpu']}, {hardware['cores']} cores, Python {versions['python']}, pandas {pd.__version__}")
    for name, (verb, size, suffix, goal) in CASES.items():
        experiments = [f"experiment{number:04d}" for number in range(max(1, int(size * share)))]
        with tempfile.TemporaryDirectory() as folder:
            paths = spread(Path(folder), experiments)
            shown = {"variant": "", "dataset": "d", "backbone": "b", "method": "sdn"}
            shown |= {"criterion": "confidence", "metric": "accuracy"}
            told = {"name": name, "experiments": [{"experiment": each} | shown for each in experiments]}
            told |= {"regimes": list(REGIMES), "options": {}, "made_from": {"rows": [MADE_BY] * len(paths)}}
            began = time.perf_counter()
            for path in paths:
                pd.read_csv(path)
            plain = time.perf_counter() - began
            command = [sys.executable, "-m", "manyexits", verb, "--settings", "-", "--output", f"{folder}/out.{suffix}"]
            began = time.perf_counter()
            subprocess.run([*command, "--inputs", *map(str, paths)], input=json.dumps(told), text=True, check=True)
            ours = time.perf_counter() - began
        mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # the larger of those so far
        print(f"{name} of {len(paths)} runs: {ours:.1f} s, {mib:.0f} MB at most so far, goal {goal * share:.1f} s")
        print(f"  ratio to reading the files with pandas alone ({plain:.1f} s): {ours / plain:.2f}")


if __name__ == "__main__":
    main()
