"""Photographs that somebody put into the data root, and a target's name: nothing else is told."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import publishers
from conftest import ROOT

from manyexits.data import imagenette

TARGET = "results/runs/imagenette-vit_t/joint/s1/model.safetensors"
LOG = "results/logs/train/imagenette-vit_t/joint/s1.log"


def until(said: str, folder: Path, raw: Path) -> str:
    """Build the target until its log says something, then stop it; the log."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    told = os.environ | {"MANYEXITS_DATA_ROOT": str(raw)}
    log = folder / LOG
    log.unlink(missing_ok=True)
    with (folder / "said").open("w") as out:
        process = subprocess.Popen([*command, "-c2", TARGET], env=told, stdout=out, stderr=out, start_new_session=True)
        try:
            while not (log.exists() and said in log.read_text()):
                assert process.poll() is None, (folder / "said").read_text()
                time.sleep(0.2)
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # as a terminal does: to Snakemake and its job
            process.wait()
    return log.read_text()


def test_a_tree_of_imagenette_trains_by_the_name_of_a_target_and_goes_on(tmp_path):
    raw, folder = tmp_path / "eigene Dateien", tmp_path / "study"
    folder.mkdir()
    shutil.copy(ROOT / "config.yaml", folder)
    files = publishers.imagenette_files(imagenette.CLASSES, train=16)  # enough for one batch of the recipe
    publishers.write_folder(files, raw / "imagenette2")

    first = until("epoch   1", folder, raw)
    assert first.endswith("stopped and saved; start again to go on\n")
    resumed = until("epoch   2", folder, raw)
    assert resumed.startswith("resuming in phase 1, epoch 2")
    assert not (folder / TARGET).exists()
