"""A study whose folders have names that a shell would read as words, strings and commands runs to its table, and the
shell never reads them."""

import os
import subprocess
import sys

import pandas as pd
import yaml
from conftest import ROOT

ODD = 'it\'s; `touch a` $(touch b) "$HOME" * & 100 % | x > c # ü'
STUDY = {
    "seeds": [1],
    "protocols": ["shared", "paper"],
    "backbones": {"small": {"family": "resnet", "groups": [1, 1, 1], "width": 4}},
    "recipes": {
        "quick": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0, "batch": 64, "epochs": 1, "patience": 1}
        | {"origin": "O", "minutes": 30, "memory_gib": 2, "threads": 1}
    },
    "experiments": {
        "odd": {"dataset": "digits", "backbone": "small", "recipes": "quick", "regimes": ["disjoint", "joint"]}
    },
    "tables": {"table1": {"experiments": ["odd"], "sweep": None}},
}


def test_a_study_in_folders_of_odd_names_runs_to_its_table(tmp_path):
    here = tmp_path / f"here {ODD}"
    here.mkdir()
    places = {key: f"{key} {ODD}/{key}" for key in ("output", "data", "data_root")}
    (here / "config.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
    (here / f"{ODD}.yaml").write_text(yaml.safe_dump(STUDY | places))
    before = {path.name for path in tmp_path.iterdir()}

    target = f"{places['output']}/tables/table1.csv"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-c2"]
    done = subprocess.run(
        [*command, target, "--configfile", f"{ODD}.yaml", "--show-failed-logs", "--quiet", "host"],
        cwd=here,
        env={key: value for key, value in os.environ.items() if key != "MANYEXITS_DATA_ROOT"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    made = pd.read_csv(here / target)
    assert set(made["regime"]) == {"disjoint", "joint"}
    assert made["mean"].dropna().between(0, 1).all()
    assert len(made["mean"].dropna()) > 0
    assert {path.name for path in tmp_path.iterdir()} == before
    expected = {"config.yaml", f"{ODD}.yaml", ".snakemake", f"output {ODD.partition('/')[0]}", f"data {ODD}"}
    assert {path.name for path in here.iterdir()} <= expected
