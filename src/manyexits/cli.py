"""The command line: one verb per rule, and those for people (commands). Heavy imports stand inside the verbs."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from manyexits.commands.verbs import doctor, gather, schema, settings

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 75
"""sysexits' "temporary failure": the state is saved, start again to go on."""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; what is wrong is said in one sentence.

    Returns:
        0, 1 where `doctor` misses something, 2 for bad input or configuration, 75 for a training that was stopped and
        saved itself.
    """
    given = sys.argv[1:] if arguments is None else arguments
    chosen = _parser().parse_args(given, argparse.Namespace(given=given))
    try:
        return chosen.run(chosen) or 0
    except (ValueError, OSError) as error:
        if "TORCHELASTIC_ERROR_FILE" in os.environ:  # a rank: who started it says this once for all
            from manyexits.training import launch

            launch.tell(error)
        else:
            print(f"manyexits {chosen.verb}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT


# -- one verb per rule ----------------------------------------------------------------------------------------------


def prepare(chosen: argparse.Namespace) -> None:
    """read a dataset as its publisher ships it and write arrays, splits and manifest"""
    from manyexits.data import prepared

    for remark in prepared.prepare(chosen.settings, chosen.data_root, chosen.hub, chosen.output, chosen.workers):
        print(f"manyexits prepare: {remark}", file=sys.stderr)


def weights(chosen: argparse.Namespace) -> None:
    """read pretrained weights as their publisher ships them and write safetensors and manifest"""
    from manyexits.data import weights

    weights.fetch(chosen.settings, chosen.data_root, chosen.hub, chosen.output)


def pretrain(chosen: argparse.Namespace) -> int:
    """phase 1: train the backbone alone"""
    return _training(chosen, None)


def train(chosen: argparse.Namespace) -> int:
    """the remaining phases of a regime"""
    return _training(chosen, chosen.backbone)


def _training(chosen: argparse.Namespace, backbone: Path | None) -> int:
    devices = chosen.settings["phases"][0]["recipe"]["devices"]
    if devices > 1 and "RANK" not in os.environ:
        from manyexits.training import launch

        return launch.launch(devices, chosen.given)
    from manyexits.training import job
    from manyexits.training.train import Interrupted

    try:
        job.run(
            job.Training(
                settings=chosen.settings,
                data=chosen.data,
                backbone=backbone,
                weights=chosen.weights,
                output=chosen.output,
                checkpoints=chosen.checkpoints,
                tracking=chosen.tracking,
                tracker=chosen.tracker,
                attempt=chosen.attempt,
                minutes=chosen.minutes,
                save_every_s=chosen.save_every,
                workers=chosen.workers,
            )
        )
    except Interrupted:
        if os.environ.get("RANK", "0") == "0":
            print(f"manyexits {chosen.verb}: stopped and saved; start again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def predict(chosen: argparse.Namespace) -> None:
    """answers and certainty of every exit on the validation and test splits"""
    import torch

    from manyexits.batches.views import Views, blanks
    from manyexits.data import prepared
    from manyexits.exits import predict, task
    from manyexits.models import build, measure, network

    asked = task.of(chosen.settings["network"])
    data = prepared.read(chosen.data, chosen.workers)
    model = build.network(chosen.settings["network"], blanks(data), seed=0)
    network.load_weights(chosen.weights, model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    views, by_split = Views(data, device), {}
    for name, split in (("validation", data.validation), ("test", data.test)):
        _, _, outputs = measure.measure(model, views, split, collect=True)
        assert outputs is not None
        by_split[name] = predict.predictions(outputs.numpy(), split.labels[split.indices], asked)
        if lost := predict.nan_samples(by_split[name]):
            what = "an answer or a certainty that is no number"
            print(f"{lost} of {len(split)} {name} samples have {what}", file=sys.stderr)
    predict.write(chosen.output, by_split)


def count_flops(chosen: argparse.Namespace) -> None:
    """cost of every stage, head and exit"""
    from manyexits.batches.views import blanks
    from manyexits.data import prepared
    from manyexits.files import atomic
    from manyexits.models import build, cost

    data = prepared.read(chosen.data)
    samples = blanks(data)
    costs = cost.count_network(build.network(chosen.settings["network"], samples, seed=0), samples)
    content = {
        "convention": cost.CONVENTION,
        "unit": "FLOPs per image",
        "image_shape": list(data.shape),
        "backbone": costs.backbone,
        "exits": [
            {"exit": k, "after_block": b, "cost": c}
            for k, (b, c) in enumerate(zip(costs.blocks, costs.exits, strict=True), 1)
        ],
        "stages": costs.stages,
        "heads": costs.deployed,
    }
    atomic.write_json(chosen.output, content)


def calibrate(chosen: argparse.Namespace) -> None:
    """thresholds for every protocol, criterion and budget"""
    from manyexits.exits import calibrate, criteria, predict, task
    from manyexits.files import atomic

    settings, (costs, backbone) = chosen.settings, _costs(chosen.costs)
    asked = task.of(settings["task"])
    scans = {name: criteria.named(name, asked, len(costs)) for name in settings["criteria"]}
    by_split = predict.read(chosen.predictions, scans)
    validation, test = (
        {name: [predict.scored(by_split[split], scan, asked) for scan in own] for name, own in scans.items()}
        for split in predict.SPLITS
    )
    cells = []
    for protocol in settings["protocols"]:
        for name, own in scans.items():
            if protocol == "geometric" and name != "confidence":
                continue  # MSDNet's protocol is defined for confidence alone
            budgets = settings["budgets"]
            cells += calibrate.choose(protocol, own, budgets, validation[name], test[name], costs, backbone)
    atomic.write_json(chosen.output, {"criteria": settings["criteria"], "cells": cells})


def evaluate(chosen: argparse.Namespace) -> None:
    """tidy rows of one run"""
    from manyexits.exits import criteria, evaluate, predict, task
    from manyexits.files import rows

    thresholds, (costs, backbone) = json.loads(chosen.thresholds.read_text()), _costs(chosen.costs)
    asked = task.of(chosen.settings["task"])
    scans = {name: criteria.named(name, asked, len(costs)) for name in thresholds["criteria"]}
    by_split = predict.read(chosen.predictions, scans)
    validation, test = (by_split[name] for name in predict.SPLITS)
    found = evaluate.evaluate(thresholds["cells"], asked, scans, validation, test, costs, backbone)
    rows.write(chosen.output, [chosen.settings["identity"] | row for row in found])


def _costs(path: Path) -> tuple[Any, int]:
    """C_1..C_K and the backbone's cost."""
    import numpy as np

    content = json.loads(path.read_text())
    return np.array([exit_["cost"] for exit_ in content["exits"]], dtype=np.int64), content["backbone"]


def analyse(chosen: argparse.Namespace) -> None:
    """one analysis of one experiment: all regimes of a seed, or pairs of seeds"""
    from manyexits.batches.views import blanks
    from manyexits.data import prepared
    from manyexits.files import atomic, provenance, rows
    from manyexits.models import build, network
    from manyexits.study import components

    settings = chosen.settings
    data = prepared.read(chosen.data, chosen.workers)
    models, inputs = [], {"manifest": chosen.data / "manifest.json"}
    for run, weights in zip(settings["runs"], chosen.weights, strict=True):
        model = build.network(settings["network"], blanks(data), seed=0)
        network.load_weights(weights, model)
        models.append((run["regime"], run["seed"], model.eval()))
        inputs[f"{run['regime']}/s{run['seed']}"] = weights
    module = components.module("analysis", settings["analysis"])
    found = module.analyse(models, data, **settings["options"])
    identity = {key: settings["identity"][key] for key in ("experiment", "variant")}
    rows.write(chosen.output, [identity | row for row in found], ("experiment", "variant", *module.COLUMNS))
    atomic.write_json(chosen.output.with_suffix(".json"), provenance.record(settings, inputs))


def table(chosen: argparse.Namespace) -> None:
    """a table as csv, md, tex and html"""
    from manyexits.artefacts import tables

    tables.draw(chosen.settings, chosen.inputs, chosen.output)


def figure(chosen: argparse.Namespace) -> None:
    """a figure as pdf, png and svg"""
    from manyexits.artefacts import figures

    figures.draw(chosen.settings, chosen.inputs, chosen.output)


def card(chosen: argparse.Namespace) -> None:
    """the reproducibility card as md and html"""
    from manyexits.artefacts import card

    card.write(chosen.settings, chosen.folder, chosen.data, chosen.checkout, chosen.output)


# -- arguments --------------------------------------------------------------------------------------------------------

Argument = tuple[str, dict[str, Any]]
SETTINGS: Argument = (
    "--settings",
    {"type": json.loads, "required": True, "help": "canonical JSON, from the Snakefile"},
)
CONFIG: Argument = (
    "--config",
    {"type": Path, "nargs": "+", "default": [Path("config.yaml")], "help": "configuration and overlays"},
)
OUTPUT: Argument = ("--output", {"type": Path, "required": True})


WORKERS: Argument = (
    "--workers",
    {"type": int, "default": 0, "help": "processes that decode photographs ahead of time (default: 0)"},
)


THREADS: Argument = (
    "--workers",
    {"type": int, "default": 1, "help": "threads that decode photographs (default: 1)"},
)


def _path(name: str, **more: Any) -> Argument:
    return f"--{name}", {"type": Path, "required": True} | more


RAW: list[Argument] = [
    SETTINGS,
    ("--data-root", {"type": Path, "required": True, "help": "folder of the publishers' files"}),
    ("--hub", {"action": argparse.BooleanOptionalAction, "default": False, "help": "fetch what is not there"}),
    OUTPUT,
]

TRAINING: list[Argument] = [
    SETTINGS,
    _path("data", help="prepared dataset"),
    _path("weights", required=False, help="pretrained weights to start from, as `weights` wrote them"),
    _path("output", help="folder of model.safetensors, history.csv and run.json"),
    _path("checkpoints", help="folder below which the run saves itself"),
    _path("tracking", required=False, help="folder of the tracker's files"),
    ("--tracker", {"default": "tensorboard", "help": "a tracker of accelerate, or none (default: tensorboard)"}),
    ("--attempt", {"type": int, "default": 1, "help": "which attempt of the workflow this is"}),
    ("--minutes", {"type": float, "help": "time limit; shortly before it the run saves itself and stops"}),
    WORKERS,
    ("--save-every", {"type": float, "default": 60.0, "help": "least seconds between checkpoints (default: 60)"}),
]

VERBS: dict[Callable[[argparse.Namespace], Any], list[Argument]] = {
    prepare: [*RAW, THREADS],
    weights: RAW,
    pretrain: TRAINING,
    train: [*TRAINING, _path("backbone", required=False, help="folder of phase 1's outputs; without it: from scratch")],
    predict: [SETTINGS, _path("data"), _path("weights"), WORKERS, OUTPUT],
    count_flops: [SETTINGS, _path("data"), OUTPUT],
    calibrate: [SETTINGS, _path("predictions"), _path("costs"), OUTPUT],
    evaluate: [SETTINGS, _path("predictions"), _path("thresholds"), _path("costs"), OUTPUT],
    analyse: [SETTINGS, _path("data"), _path("weights", nargs="+"), WORKERS, OUTPUT],
    table: [SETTINGS, _path("inputs", nargs="+"), OUTPUT],
    figure: [SETTINGS, _path("inputs", nargs="+"), OUTPUT],
    card: [
        SETTINGS,
        _path("folder", help="folder of everything that the study makes"),
        _path("data", help="folder of the prepared datasets"),
        _path("checkout", help="folder of CITATION.cff, envs/ and workflow/"),
        OUTPUT,
    ],
    doctor: [CONFIG],
    settings: [("run_name", {"metavar": "RUN"}), CONFIG],
    schema: [],
    gather: [CONFIG, _path("into", help="folder of the records, laid out as the study's output")],
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manyexits", description="One verb per rule of the pipeline; see the README.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for function, arguments in VERBS.items():
        verb = verbs.add_parser(function.__name__, help=function.__doc__, description=function.__doc__)
        for name, how in arguments:
            verb.add_argument(name, **how)
        verb.set_defaults(run=function)
    return parser


if __name__ == "__main__":
    sys.exit(main())
