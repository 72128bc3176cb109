"""A training job as its rule calls it: killed, stopped, out of time, refused."""

import copy
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import settings_of
from safetensors.torch import load_file

from manyexits import cli
from manyexits.batches.views import blanks
from manyexits.cli import EXIT_BAD_INPUT, EXIT_INTERRUPTED
from manyexits.data import prepared as dataset
from manyexits.files.digests import whose
from manyexits.files.provenance import sha256
from manyexits.models import build, snapshots
from manyexits.models.snapshots import taken
from manyexits.training import stops

pytestmark = pytest.mark.usefixtures("handlers")


def command(settings, prepared, folder: Path, *more: str) -> list[str]:
    paths = ["--data", prepared, "--output", folder / "run", "--checkpoints", folder / "checkpoints"]
    return ["train", "--settings", json.dumps(settings), *map(str, paths), *more]


def in_a_process(told: list[str], **environment: str) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "manyexits", *told], stderr=subprocess.PIPE, text=True, env=environment
    )


def test_snapshots_are_the_weights_at_their_moments(prepared, tmp_path):
    settings = settings_of("backbone", "all", epochs=2, patience=2) | {"snapshots": [0, 1, 5]}
    assert cli.main(command(settings, prepared, tmp_path)) == 0
    states, by = snapshots.read(tmp_path / "run/snapshots.safetensors")
    assert [str(moment) for moment in states] == ["0.backbone.0", "0.backbone.1", "1.all.0", "1.all.1"]
    model = load_file(tmp_path / "run/model.safetensors")
    data = dataset.read(prepared)
    begun = taken(build.network(settings["network"], blanks(data), seed=settings["seed"]))
    first, second, third, _ = states.values()
    assert {name: value.shape for name, value in first.items()} == {name: v.shape for name, v in model.items()}
    assert all(torch.equal(first[name], begun[name]) for name in begun)
    assert any(not torch.equal(second[name], begun[name]) for name in begun)
    heads = [name for name in begun if name.startswith("heads")]
    assert heads
    assert all(torch.equal(third[name], begun[name]) for name in heads)  # phase 1 leaves them alone
    assert by.settings == whose(settings)


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_has_the_bits_of_one_that_is_not(prepared, tmp_path, times):
    settings = settings_of("backbone", "all", epochs=40, patience=40, mixup=0.5) | {"snapshots": [0, 2, 39, 40, 41]}

    def start(folder: Path) -> subprocess.Popen:
        return in_a_process(command(settings, prepared, folder, "--save-every", "0"))

    undisturbed = start(tmp_path / "undisturbed")
    undisturbed.communicate()
    assert undisturbed.returncode == 0

    generator = random.Random(0)
    resumed = []
    for _ in range(times):
        process = start(tmp_path / "killed")
        first = process.stderr.readline()
        while not (first.startswith("resuming") or "epoch" in first):
            assert first, "it ended before it could be killed so often"
            first = process.stderr.readline()
        resumed.append(first)
        for _ in range(generator.randrange(1, 3)):  # an epoch or two further, however busy the machine is
            assert process.stderr.readline(), "it ended before it could be killed so often"
        time.sleep(generator.uniform(0, 0.05))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = start(tmp_path / "killed")
    last.communicate()
    assert last.returncode == 0
    assert len({line for line in resumed if line.startswith("resuming")}) >= times // 2  # it went on from where it was
    for file in ("model.safetensors", "history.csv", "snapshots.safetensors"):
        assert sha256(tmp_path / "killed/run" / file) == sha256(tmp_path / "undisturbed/run" / file)


def test_a_finished_run_leaves_its_outputs_and_no_checkpoints(prepared, tmp_path):
    assert cli.main(command(settings_of("all", epochs=1), prepared, tmp_path)) == 0
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "history.csv",
        "model.safetensors",
        "run.json",
    ]
    assert not list((tmp_path / "checkpoints").iterdir())


def test_the_record_says_what_made_the_run_and_names_no_machine_or_user(prepared, tmp_path):
    import socket

    settings = settings_of("backbone", "all", epochs=1)
    assert cli.main(command(settings, prepared, tmp_path)) == 0
    text = (tmp_path / "run/run.json").read_text()
    record = json.loads(text)
    assert record["settings"] == settings
    assert record["inputs_sha256"] == {"manifest": sha256(prepared / "manifest.json")}
    assert {"python", "torch", "manyexits"} <= set(record["versions"])
    assert record["hardware"]["cores"] > 0
    assert set(record) >= {"commit", "changed", "finished"}
    assert [phase["phase"] for phase in record["phases"]] == ["backbone", "all"]
    assert all(phase["time_s"] > 0 and phase["samples_of_phase"] == 144 for phase in record["phases"])
    assert record["exits"] == [{"exit": 1, "after_block": 1}, {"exit": 2, "after_block": 2}]
    assert str(tmp_path) not in text
    assert f'"{socket.gethostname()}"' not in text


def test_a_regime_goes_on_from_phase_1_and_its_history(prepared, tmp_path):
    first = settings_of("backbone", epochs=2)
    del first["network"]["placement"], first["network"]["method"]
    told = command(first, prepared, tmp_path / "phase 1")
    assert cli.main(["pretrain", *told[1:]]) == 0
    then = command(settings_of("heads", epochs=1), prepared, tmp_path, "--backbone", str(tmp_path / "phase 1/run"))
    assert cli.main(then) == 0
    lines = (tmp_path / "run/history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["phase", "backbone", "backbone", "heads", "heads"]
    assert [line.split(",")[5] for line in lines[1:]] == ["2", "2", "1", "2"]  # phase 1's only exit is the last one now
    assert [line.split(",")[2] for line in lines[1:]] == ["144", "288", "432", "432"]

    from safetensors.numpy import load_file

    backbone, run = (load_file(tmp_path / name / "model.safetensors") for name in ("phase 1/run", "run"))
    assert all((run[f"backbone.{name}"] == value).all() for name, value in backbone.items())


@pytest.mark.parametrize("number", stops.SIGNALS, ids=lambda number: number.name)
def test_a_signal_saves_and_exits_with_a_code_of_its_own(prepared, tmp_path, capsys, number):
    told = command(settings_of("all", epochs=2000, patience=2000), prepared, tmp_path)

    def ask():
        while not list(tmp_path.glob("checkpoints/*/lock")):
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), number)

    asking = threading.Thread(target=ask)
    asking.start()
    assert cli.main(told) == EXIT_INTERRUPTED
    asking.join()
    assert "stopped and saved; start again to go on" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("checkpoints/*/*")] == ["latest.ckpt"]
    assert not (tmp_path / "run").exists()


def test_a_run_stops_shortly_before_its_time_is_up_and_goes_on_when_started_again(prepared, tmp_path, capsys):
    settings = settings_of("all", epochs=5)
    assert cli.main(command(settings, prepared, tmp_path, "--minutes", "0")) == EXIT_INTERRUPTED
    assert cli.main(command(settings, prepared, tmp_path)) == 0
    assert "resuming in phase 1, epoch " in capsys.readouterr().err


def test_an_error_that_no_attempt_can_mend_is_said_again_at_once(prepared, tmp_path, capsys):
    told = command(settings_of("all", batch=1000), prepared, tmp_path)
    assert cli.main(told) == EXIT_BAD_INPUT
    where, sentence = capsys.readouterr().err.splitlines()
    assert where.startswith("device cpu: ")
    assert sentence == "manyexits train: batch 1000 is larger than the 144 training samples; choose a smaller one"
    (marker,) = tmp_path.glob("checkpoints/*/failed")
    marker.write_text("as the first attempt said")
    assert cli.main([*told, "--attempt", "2"]) == EXIT_BAD_INPUT
    assert capsys.readouterr().err.endswith("ranks 1\nmanyexits train: as the first attempt said\n")


def test_a_missing_dataset_is_one_sentence(tmp_path, capsys):
    assert cli.main(command(settings_of("all"), tmp_path / "nothing", tmp_path)) == EXIT_BAD_INPUT
    _, line = capsys.readouterr().err.splitlines()
    assert "manifest.json" in line


def test_without_a_tracker_no_curves_are_written(prepared, tmp_path):
    told = command(settings_of("all", epochs=1), prepared, tmp_path, "--tracking", str(tmp_path / "curves"))
    assert cli.main([*told, "--tracker", "none"]) == 0
    assert not (tmp_path / "curves").exists()


@pytest.mark.parametrize("devices", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_ranks_give_the_weights_of_one_process_to_a_rounding_in_every_phase(
    prepared, tmp_path, monkeypatch, capsys, devices
):
    from safetensors.torch import load_file

    for name, value in (("SLURM_NTASKS", "3"), ("SLURM_PROCID", "2"), ("SLURM_LOCALID", "2")):
        monkeypatch.setenv(name, value)  # what a scheduler says has no say in it
    settings = settings_of("backbone", "heads", "all", epochs=2, optimizer="sgd", lr=0.05, mixup=0.5, clip=1.0)
    assert cli.main(command(settings, prepared, tmp_path / "one")) == 0
    ranks = copy.deepcopy(settings)
    for phase in ranks["phases"]:
        phase["recipe"]["devices"] = devices
    process = in_a_process(command(ranks, prepared, tmp_path / "several"))
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    for each in (said, capsys.readouterr().err):
        assert len([line for line in each.splitlines() if "epoch   2" in line]) == 3  # of several ranks one speaks

    runs = [tmp_path / name / "run" for name in ("one", "several")]
    records = [json.loads((run / "run.json").read_text()) for run in runs]
    assert [record["hardware"]["ranks"] for record in records] == [1, devices]
    pd.testing.assert_frame_equal(*[pd.read_csv(run / "history.csv") for run in runs], rtol=1e-4)
    one, several = (load_file(run / "model.safetensors") for run in runs)
    assert one.keys() == several.keys()
    for name, value in one.items():
        assert (value - several[name]).abs().max() < 1e-5, name


@pytest.mark.parametrize(
    ("number", "devices"),
    # of three ranks, the order of a sum matters
    [(signal.SIGHUP, 2), *(pytest.param(each, 3, marks=pytest.mark.slow) for each in (signal.SIGTERM, signal.SIGUSR1))],
)
def test_ranks_that_are_told_to_stop_save_themselves_and_go_on_with_the_same_bits(prepared, tmp_path, number, devices):
    settings = settings_of("all", epochs=8, patience=8, devices=devices)
    settings["network"] |= {  # large enough for it, too
        "backbone": {"family": "resnet", "groups": [2, 2], "width": 8},
        "placement": {"after": [1, 2, 3]},
    }
    told = command(settings, prepared, tmp_path)
    stopped = in_a_process([*told, "--save-every", "0"])
    while "epoch   3" not in (line := stopped.stderr.readline()):
        assert line, "it ended too early"
    stopped.send_signal(number)
    _, said = stopped.communicate(timeout=300)
    assert stopped.returncode not in (0, EXIT_BAD_INPUT)
    assert said.splitlines()[-1] == "manyexits train: stopped and saved; start again to go on"
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.glob("checkpoints/*/latest.ckpt")] == ["latest.ckpt"]

    before = signal.signal(number, signal.SIG_IGN)  # handed down to children, as nohup does: it no longer stops them
    try:
        again = in_a_process(told)
    finally:
        signal.signal(number, before)
    undisturbed = in_a_process(command(settings, prepared, tmp_path / "undisturbed"))
    resuming = ""
    while "epoch" not in (line := again.stderr.readline()) or line.startswith("resuming"):
        assert line, "it ended too early"
        resuming = line
    again.send_signal(number)
    again.communicate(timeout=300)
    undisturbed.communicate(timeout=300)
    assert (again.returncode, undisturbed.returncode) == (0, 0)
    assert re.fullmatch(r"resuming in phase 1, epoch \d+, step \d+\n", resuming)
    for file in ("model.safetensors", "history.csv"):
        assert sha256(tmp_path / "run" / file) == sha256(tmp_path / "undisturbed/run" / file)


def test_an_error_of_input_is_one_sentence_also_of_several_ranks(prepared, tmp_path):
    told = command(settings_of("all", batch=1000, devices=2), prepared, tmp_path)
    sentence = "manyexits train: batch 1000 is larger than the 144 training samples; choose a smaller one\n"
    for attempt in ("1", "2"):  # every rank sees the first, only one of them the marker that it leaves
        process = in_a_process([*told, "--attempt", attempt])
        _, said = process.communicate(timeout=300)
        assert (process.returncode, said.partition("ranks 2\n")[2]) == (EXIT_BAD_INPUT, sentence)
    (marker,) = tmp_path.glob("checkpoints/*/failed")
    assert marker.read_text() in sentence


def test_more_devices_than_are_visible_are_refused(prepared, tmp_path, monkeypatch, capsys):
    import torch

    from manyexits.models import device

    monkeypatch.setattr(device, "choose", lambda asked: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert cli.main(command(settings_of("all", devices=2), prepared, tmp_path)) == EXIT_BAD_INPUT
    assert "asks for 2 devices, but visible are 1" in capsys.readouterr().err
