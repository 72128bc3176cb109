"""What a dry run costs above starting Snakemake, per job; and what the verbs cost before they do anything.

    python benchmarks/dry_run.py

All in one run on one machine, the smallest of five repetitions each; the goals are stated beside the figures.
"""

import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
REPETITIONS = 5


def seconds(*command: str) -> tuple[float, str]:
    """Least wall time of a command, and what it printed."""
    times, output = [], ""
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=True
        )
        times.append(time.perf_counter() - began)
        output = done.stdout + done.stderr
    return min(times), output


def main() -> None:
    """Measure and print."""
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, least of {REPETITIONS}")
    version, _ = seconds("snakemake", "--version")
    for target in ("all", "fig3"):
        dry, output = seconds("snakemake", "-n", target, "--quiet", "rules")
        jobs = int(re.search(r"^total +(\d+)", output, re.MULTILINE).group(1))
        goal = 1 + 0.004 * jobs
        print(
            f"snakemake -n {target}: {dry:.2f} s, {dry - version:.2f} s above --version ({version:.2f} s), {jobs} jobs"
        )
        print(f"  ratio to the goal of 1 s + 4 ms per job: {(dry - version) / goal:.2f}")
    for verb, goal in (
        ("--help", 0.7),
        ("settings", 0.7),
        ("calibrate", 0.7),
        ("evaluate", 0.7),
        ("table", 1.5),
        ("figure", 4),
    ):
        arguments = {"--help": ["--help"], "settings": ["settings", "cifar100-resnet34/joint/s1"]}
        started, _ = (
            seconds("manyexits", *arguments[verb]) if verb in arguments else seconds("python", "-c", IMPORTS[verb])
        )
        print(f"manyexits {verb}: starts in {started:.2f} s, ratio to the goal of {goal} s: {started / goal:.2f}")


IMPORTS = {
    "calibrate": "import manyexits.cli, manyexits.files.atomic, manyexits.exits.calibrate, manyexits.exits.predict",
    "evaluate": "import manyexits.cli, manyexits.exits.evaluate, manyexits.exits.predict, manyexits.files.rows",
    "table": "import manyexits.cli, manyexits.artefacts.tables.table1",
    "figure": "import manyexits.cli, manyexits.artefacts.figures.fig3",
}
"""What each verb loads before it reads its inputs."""

if __name__ == "__main__":
    main()
