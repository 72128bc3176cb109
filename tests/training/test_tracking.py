"""Curves, settings and names reach the trackers, each in its folder; what cannot be used is refused."""

import json
import os
import subprocess
import sys

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from conftest import settings_of
from test_job import command

from manyexits import cli
from manyexits.study import places
from manyexits.training.tracking import HOW, flat

pytestmark = pytest.mark.usefixtures("handlers")
RUN = "runs/small/joint/s1"


def train(prepared, tmp_path, tracker, **environment):
    """A training in a process of its own, as trackers keep state in theirs."""
    told = command(settings_of("all", epochs=2), prepared, tmp_path, "--tracker", tracker, "--run-name", RUN)
    told += ["--tracking", str(tmp_path / f".{tracker}")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"} | environment
    return subprocess.run(
        [sys.executable, "-m", "manyexits", *told], env=environment, cwd=tmp_path, capture_output=True, text=True
    )


def test_the_trackers_of_the_configuration_are_those_of_accelerate():
    assert set(places.TRACKERS) == set(HOW) == {str(name) for name in LOGGER_TYPE_TO_CLASS}


def test_tensorboard_has_curves_and_settings_of_the_run(prepared, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = train(prepared, tmp_path, "tensorboard")
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(tmp_path / ".tensorboard" / RUN)).Reload()
    assert {"loss/exit1", "accuracy/exit2", "lr"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("lr")) == 2
    assert list((tmp_path / ".tensorboard" / RUN).rglob("hparams.yml"))


def test_mlflow_has_project_run_settings_and_curves(prepared, tmp_path):
    import mlflow

    done = train(prepared, tmp_path, "mlflow", MLFLOW_TRACKING_URI="")
    assert done.returncode == 0, done.stderr
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    client = mlflow.MlflowClient((tmp_path / ".mlflow").as_uri())
    (experiment,) = client.search_experiments(filter_string="name = 'manyexits'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == RUN
    assert run.data.params["phases.0.recipe.optimizer"] == "adamw"
    assert run.data.params["seed"] == "1"
    assert len(client.get_metric_history(run.info.run_id, "accuracy/exit2")) == 2
    assert not (tmp_path / "mlruns").exists()


def test_wandb_offline_has_project_run_settings_and_curves(prepared, tmp_path):
    done = train(prepared, tmp_path, "wandb", WANDB_MODE="offline", WANDB_SILENT="true")
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / ".wandb").rglob("run-*.wandb")
    content = record.read_bytes()
    for text in (b"manyexits", RUN.encode(), b"phases.0.recipe.optimizer", b"accuracy/exit2"):
        assert text in content
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize(
    ("tracker", "said"),
    [("tensorbored", "there is no tracker 'tensorbored'; valid names: tensorboard"), ("aim", "aim is not installed")],
)
def test_a_tracker_that_cannot_be_used_is_refused_before_anything_is_trained(prepared, tmp_path, tracker, said, capsys):
    told = command(settings_of("all", epochs=1), prepared, tmp_path, "--tracker", tracker, "--tracking", str(tmp_path))
    assert cli.main(told) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_nested_settings_become_flat_names():
    told = {"a": {"b": 1, "c": None}, "d": [{"e": "x"}, {"e": True}], "f": [1, 2], "g": {}}
    expected = {"a.b": 1, "a.c": "null", "d.0.e": "x", "d.1.e": "true", "f": "[1, 2]", "g": "{}"}
    assert flat(told) == expected
    assert json.loads(flat(told)["f"]) == [1, 2]
