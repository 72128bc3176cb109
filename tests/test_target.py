"""Photographs that somebody put into the data root, and a target's name: nothing else is told."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import publishers
from conftest import ROOT

from manyexits.data.readers import imagenette

TARGET = "results/runs/imagenette-vit_t/joint/s1/model.safetensors"
RECIPE = "precision: bf16\n    batch: 128"
EPOCH = "all epoch"
HANGS = 1200
"""Seconds, far beyond what the slowest machine takes."""
LOG = "results/logs/train/imagenette-vit_t/joint/s1.log"


def started(folder: Path, raw: Path, until: str) -> str:
    """Build the target until its log says so, then stop it as a terminal would; the log."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    told = os.environ | {"MANYEXITS_DATA_ROOT": str(raw)}
    log = folder / LOG
    log.unlink(missing_ok=True)
    with (folder / "said").open("w") as out:
        process = subprocess.Popen([*command, "-c1", TARGET], env=told, stdout=out, stderr=out, start_new_session=True)
        try:
            give_up = time.monotonic() + HANGS
            while not (log.exists() and until in log.read_text()):
                assert process.poll() is None, (folder / "said").read_text()
                assert time.monotonic() < give_up, (folder / "said").read_text()
                time.sleep(0.2)
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # as a terminal does: to Snakemake and its job
            process.wait()
    give_up = time.monotonic() + HANGS
    while "stopped and saved" not in log.read_text():  # the job finishes what it is at, Snakemake does not wait for it
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.2)
    return log.read_text()


def test_a_tree_of_imagenette_trains_by_the_name_of_a_target_and_goes_on(tmp_path):
    raw, folder = tmp_path / "eigene Dateien", tmp_path / "study"
    folder.mkdir()
    study = (ROOT / "config.yaml").read_text()
    assert study.count(RECIPE) == 1
    (folder / "config.yaml").write_text(study.replace(RECIPE, RECIPE.replace("bf16", "fp32").replace("128", "32")))
    files = publishers.imagenette_files(imagenette.CLASSES, train=10)  # enough for two such batches
    publishers.write_folder(files, raw / "imagenette2")

    first = started(folder, raw, EPOCH).count(EPOCH)
    resumed = started(folder, raw, "\nresuming in phase")
    assert f"\nresuming in phase 1, epoch {first + 1}, step 0\n" in resumed
    assert not (folder / TARGET).exists()
