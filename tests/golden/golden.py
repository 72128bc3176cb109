"""The golden trace: what a few steps of every phase, a prediction, a calibration and the costs come to, to the bit.

    python tests/golden/golden.py            print it
    python tests/golden/golden.py --write    make it the one that tests/test_golden.py compares with

Entries that were made on a processor of another maker than the rest stand under `made elsewhere`.

Everything goes through the command line, as the rules call it. Whoever changes a number here bumps the stage's version
and writes both into one commit, with the reason.

Kernels are fixed to those that every x86 processor has, one thread, so that another machine gives the same bits: they
do not depend on what oneDNN, MKL, OpenBLAS and NumPy find. Whether another maker's processor rounds alike has not been
seen; there the test compares numbers instead.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("trace.json")
KERNELS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "NEHALEM",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
}
RECIPE = {
    "optimizer": "adamw",
    "lr": 0.01,
    "momentum": 0.0,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "lr_min": 0.0,
    "clip": None,
    "batch": 300,
    "devices": 1,
    "per_device_batch": None,
    "epochs": 2,
    "patience": 2,
    "precision": "fp32",
    "label_smoothing": 0.0,
    "crop_padding": 0,
    "resized_crop": None,
    "flip": False,
    "rotation": 0.0,
    "contrast": 0.0,
    "trivial_augment": False,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "mix_per": "batch",
    "mix_probability": 1.0,
    "mix_switch": 0.5,
    "cache_gib": 1.0,
}
MOVED = {"crop_padding": 1, "flip": True, "rotation": 10.0, "contrast": 0.3, "erasing": 0.5}
MIXED = {"mixup": 0.8, "cutmix": 1.0, "mix_per": "element", "label_smoothing": 0.1}
PARTS = {"optimizer": "sgd", "momentum": 0.9, "clip": 0.5, "per_device_batch": 100, "schedule": "constant"}
RESNET = {
    "classes": 10,
    "backbone": {"family": "resnet", "groups": [2, 1, 1], "width": 4, "block": "basic", "stem": "3x3"},
    "method": {"kind": "sdn", "depth": 0},
    "placement": {"shares": [0.3, 0.6, 0.9]},
}
VIT = RESNET | {
    "backbone": {"family": "timm", "name": "test_vit", "pixels": 8, "patch": 4, "dropout": 0.1},
    "placement": {"after": [1, 3]},
}
TRAININGS: dict[str, tuple[dict[str, Any], list[tuple[str, dict[str, Any]]], str]] = {
    "phase-1": (RESNET, [("backbone", MOVED)], ""),
    "disjoint": (RESNET, [("heads", {})], "phase-1"),
    "disjoint-moved": (RESNET | {"method": {"kind": "sdn", "depth": 1}}, [("heads", MOVED)], "phase-1"),
    "joint": (RESNET, [("all", {})], ""),
    "joint-moved": (RESNET, [("all", MOVED | {"trivial_augment": True})], ""),
    "joint-parts": (RESNET, [("all", PARTS | {"crop_padding": 1, "mixup": 0.4})], ""),
    "mixed": (RESNET, [("all", MIXED | {"resized_crop": 0.5})], "phase-1"),
    "three-phases": (RESNET, [("backbone", MIXED), ("heads", {}), ("all", {"mixup": 0.4})], ""),
    "vit": (VIT, [("backbone", {}), ("all", MIXED), ("heads", {})], ""),
}
"""Name -> network, phases with what differs from the plain recipe, and the training that phase 1 is taken from."""
COSTS = {
    "resnet": RESNET,
    "vit": VIT,
    "bottleneck": RESNET | {"backbone": RESNET["backbone"] | {"block": "bottleneck", "stem": "imagenet"}},
}


def trace() -> dict[str, Any]:
    """Stage and case -> numbers, text or digest."""
    import torch

    from manyexits.cli import main

    torch.backends.mkldnn.enabled = False  # its kernels are made for the processor at hand

    def run(verb: str, *arguments: Any) -> None:
        assert main([verb, *map(str, arguments)]) == 0, verb

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data, told = folder / "digits", {"dataset": "digits", "source": "digits", "classes": 10, "pixels": 8}
        told |= {"validation": 0.2, "split_seed": 42, "test": 0.25}
        run("prepare", "--settings", json.dumps(told), "--data-root", folder, "--output", data)
        found["prepare"] = (data / "SHA256SUMS").read_text().splitlines()[:-1]  # the manifest names versions
        for name, (network, phases, start) in TRAININGS.items():
            settings: dict[str, Any] = {"network": network, "seed": 3}
            settings["phases"] = [{"phase": phase, "recipe": RECIPE | recipe} for phase, recipe in phases]
            if name == "phase-1":
                settings["network"] = {key: network[key] for key in ("classes", "backbone")}
            verb, more = ("pretrain", ()) if name == "phase-1" else ("train", ())
            if start:
                more = ("--backbone", folder / start)
            paths = ("--data", data, "--output", folder / name, "--checkpoints", folder / "checkpoints")
            run(verb, "--settings", json.dumps(settings), *paths, *more)
            found[f"{verb} {name}"] = _left(folder / name)
        for name in ("disjoint", "vit"):
            network = json.dumps({"network": TRAININGS[name][0]})
            where = ("--data", data, "--weights", folder / name / "model.safetensors")
            run("predict", "--settings", network, *where, "--output", folder / f"{name}/predictions.safetensors")
            found[f"predict {name}"] = _predicted(folder / f"{name}/predictions.safetensors")
        for name, network in COSTS.items():
            run("count_flops", "--settings", json.dumps({"network": network}), "--data", data,
                "--output", folder / f"{name}.json")  # fmt: skip
            found[f"count_flops {name}"] = json.loads((folder / f"{name}.json").read_text())
        found |= _numbers(folder, run)
        options = {"grid": 2, "line": 3, "n_probe": 100, "n_batchnorm": 100, "curve": 2}
        regimes = ["disjoint", "joint", "mixed"]
        told = {"analysis": "mode_connectivity", "identity": {"experiment": "e", "variant": ""}, "network": RESNET}
        told |= {"options": options, "runs": [{"regime": regime, "seed": 3} for regime in regimes]}
        models = [folder / regime / "model.safetensors" for regime in regimes]
        run("analyse", "--settings", json.dumps(told), "--data", data, "--runs", *models,
            "--checkpoints", folder / "kept", "--output", folder / "s3.csv")  # fmt: skip
        lines = _values(folder / "s3.csv").splitlines()
        # which units fit best turns with a rounding
        found["analyse mode_connectivity"] = [line for line in lines if ",matched," not in line]
    return found


def _numbers(folder: Path, run: Any) -> dict[str, Any]:
    """Thresholds and rows of fixed arrays: no network, many ties, some values that are no numbers."""
    import numpy as np
    from safetensors.numpy import save_file

    generator = np.random.default_rng(7)
    arrays = {}
    for split, n in (("validation", 150), ("test", 211)):
        label = generator.integers(0, 5, n)
        right = generator.random((n, 4)) < np.array([0.5, 0.6, 0.7, 0.75])
        confidence = (generator.integers(20, 101, (n, 4)) / 100).astype(np.float64)
        confidence[:3, 1] = np.nan
        arrays[f"{split}.label"] = label
        arrays[f"{split}.answer"] = np.where(right, label[:, None], (label[:, None] + 1) % 5)
        arrays[f"{split}.confidence"] = confidence
        arrays[f"{split}.entropy"] = 1 - confidence
    save_file(arrays, folder / "fixed.safetensors")
    costs = {"backbone": 100, "exits": [{"exit": k, "cost": cost} for k, cost in enumerate((30, 50, 80, 104), 1)]}
    (folder / "fixed.json").write_text(json.dumps(costs))
    settings = {"protocols": ["paper", "shared", "geometric"], "criteria": ["confidence", "entropy"]}
    settings |= {"budgets": [0.25, 0.5, 0.75, 1.0], "task": {"classes": 5}}
    read = ("--predictions", folder / "fixed.safetensors", "--costs", folder / "fixed.json")
    run("calibrate", "--settings", json.dumps(settings), *read, "--output", folder / "thresholds.json")
    identity = {"experiment": "e", "variant": "", "dataset": "d", "backbone": "b", "method": "sdn"}
    told = json.dumps({"identity": identity | {"regime": "joint", "seed": 1}, "task": {"classes": 5}})
    run("evaluate", "--settings", told, *read, "--thresholds", folder / "thresholds.json",
        "--output", folder / "rows.csv")  # fmt: skip
    chosen = json.loads((folder / "thresholds.json").read_text())
    return {
        "calibrate": {key: chosen[key] for key in ("criteria", "cells")},
        "evaluate": _values(folder / "rows.csv").splitlines(),
    }


def _left(folder: Path) -> dict[str, Any]:
    """Losses and digest of the weights of a training."""
    return {
        "history": (folder / "history.csv").read_text().splitlines(),
        "weights": _digest(folder / "model.safetensors"),
    }


def _values(path: Path) -> str:
    """Rows without their last column, which says by which settings they were made."""
    lines = path.read_text().splitlines()
    assert lines[0].endswith(",made_by")
    return "".join(f"{line.rpartition(',')[0]}\n" for line in lines)


def _predicted(path: Path) -> str:
    """Digest of predictions without what is fitted on them, whose search ends elsewhere with another library."""
    from safetensors import safe_open
    from safetensors.numpy import save

    with safe_open(path, "numpy") as file:
        kept = [name for name in file.keys() if not name.startswith("fitted.") and not name.endswith(".tempered")]  # noqa: SIM118 (it has keys, but no iteration)
        whole = save({name: file.get_tensor(name) for name in kept}, file.metadata())
    return hashlib.sha256(whole).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def processor() -> str:
    """Who made this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), "unknown")


def fixed() -> dict[str, Any]:
    """The trace of a process of its own, with the kernels that every processor has."""
    environment = os.environ | KERNELS | {"PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trace.json"
        subprocess.run(
            [sys.executable, __file__, "--in-process", str(out)], env=environment, check=True, stderr=subprocess.DEVNULL
        )
        return json.loads(out.read_text()) | {"processor": processor()}


if __name__ == "__main__":
    if "--in-process" in sys.argv:
        Path(sys.argv[2]).write_text(json.dumps(trace()))
    else:
        told = json.dumps(fixed() | {"made elsewhere": {}}, indent=1)
        if "--write" in sys.argv:
            GOLDEN.write_text(told + "\n")
        else:
            print(told)
