"""The study on a real Slurm, with the command of the README: what is asked for, what is survived, what comes out.

`make test-slurm` runs this, as root, on a machine with Slurm's programs and no Slurm of its own.
"""

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import running
from conftest import copy_checkout

from manyexits.files.provenance import sha256

pytestmark = pytest.mark.slurm

FOUR = "runs/digits-four/relay/s1"
STUDY = ["--configfile", "workflow/overlays/demo.yaml", "tests/slurm/smoke.yaml"]
SITE = {
    "slurm-status-command": "squeue",  # there is no accounting database
    "slurm-init-seconds-before-status-checks": "5",
    "seconds-between-status-checks": "5",
}
"""What a user of this cluster would add to the profile."""


@contextlib.contextmanager
def snakemake(clone: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    """Snakemake under way, and ended with the block; what it says is in `said`."""
    command = [sys.executable, "-m", "snakemake", *arguments, *STUDY]
    with (clone / "said").open("w") as said, subprocess.Popen(command, cwd=clone, stdout=said, stderr=said) as process:
        try:
            yield process
        finally:
            process.terminate()  # nothing, where it has ended; else it takes its jobs back


def ended(process: subprocess.Popen, clone: Path) -> None:
    assert process.wait() == 0, (clone / "said").read_text()


def jobs() -> dict[str, dict[str, str]]:
    """What Slurm knows of each job that it has seen, by its id."""
    told = subprocess.run(["scontrol", "--oneliner", "show", "jobs"], capture_output=True, text=True, check=True)
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in told.stdout.splitlines() if "JobId=" in line]
    return {job["JobId"]: job for job in found}


def of_rule(rule: str, seen: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The jobs of one rule, or of one rule and its first wildcards: Snakemake names both in a job's comment."""
    return {number: job for number, job in seen.items() if job["Comment"].startswith(f"rule_{rule}_")}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study after its run, in which all processes of one training were killed at once, as where a node is lost.

    A copy of the checkout, Slurm's jobs, and the id of the killed one.
    """
    clone = copy_checkout(tmp_path_factory.mktemp("clone"))
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, running(Path(folder)):
        targets = ["results/slurm/figures/fig3.pdf", f"results/slurm/{FOUR}/model.safetensors"]
        site = [word for option, value in SITE.items() for word in (f"--{option}", value)]
        with snakemake(clone, "--profile", "slurm", *targets, *site) as process:
            while not list(clone.glob("results/slurm/.checkpoints/*/latest.ckpt")):
                assert process.poll() is None, (clone / "said").read_text()
                time.sleep(0.2)
            (killed,) = of_rule("train_wildcards_digits-four", jobs())
            subprocess.run(["scancel", "--signal=KILL", "--full", killed], check=True)
            ended(process, clone)
        yield clone, jobs(), killed


def test_the_figure_is_there(study):
    clone, _, _ = study
    assert (clone / "results/slurm/figures/fig3.pdf").stat().st_size > 1000


def test_slurm_allocates_what_the_recipes_say_and_no_gpu_to_what_needs_none(study):
    _, seen, _ = study

    def asked(rule: str) -> set[tuple[str, ...]]:
        keys = ("TresPerJob", "MinMemoryNode", "TimeLimit", "NumCPUs")
        return {tuple(job.get(key, "") for key in keys) for job in of_rule(rule, seen).values()}

    one, four = "gres:gpu:a100:1", "gres:gpu:a100:4"
    assert asked("prepare") == {("", "16000M", "02:00:00", "8")}  # it decodes photographs
    with_snapshots = asked("train_with_snapshots_wildcards_digits-resnet14")
    assert asked("pretrain") == with_snapshots == {(one, "2G", "00:30:00", "1")}
    assert asked("count_backbone") == asked("count_flops") == {("", "4000M", "00:30:00", "1")}
    # two phases in one job: twice the time; the second attempt has half as much memory again
    assert asked("train_wildcards_digits-four") == {(four, "2G", "01:00:00", "1"), (four, "3G", "01:00:00", "1")}
    assert asked("analyse") == {(one, "16000M", "08:00:00", "1")}  # as many threads as the trainings that it compares
    assert len(seen) == 11, sorted(job["Comment"] for job in seen.values())  # a figure is drawn where Snakemake runs


def test_a_killed_training_is_started_again_and_goes_on(study):
    clone, seen, killed = study
    states = {number: job["JobState"] for number, job in of_rule("train_wildcards_digits-four", seen).items()}
    assert states.pop(killed) == "CANCELLED"
    assert [*states.values()] == ["COMPLETED"]
    log = (clone / "results/slurm/logs/train/digits-four/relay/s1.log").read_text()
    assert re.search(r"^resuming in phase 2, epoch \d+, step \d+$", log, re.MULTILINE)
    assert not list(clone.glob("results/slurm/.checkpoints/*/*"))


def test_four_devices_are_four_ranks(study):
    clone, _, _ = study
    record = json.loads((clone / f"results/slurm/{FOUR}/run.json").read_text())
    assert record["hardware"]["ranks"] == 4
    assert all(phase["device_seconds"] == pytest.approx(4 * phase["time_s"], abs=0.01) for phase in record["phases"])


def test_the_killed_training_ends_with_the_bits_of_one_that_was_left_in_peace_outside_of_slurm(study):
    clone, _, _ = study
    undisturbed = f"results/undisturbed/{FOUR}/model.safetensors"
    with snakemake(clone, "--cores", "2", undisturbed, "--config", "output=results/undisturbed") as process:
        ended(process, clone)
    for file in ("model.safetensors", "history.csv"):
        assert sha256(clone / f"results/slurm/{FOUR}" / file) == sha256(clone / f"results/undisturbed/{FOUR}" / file)
