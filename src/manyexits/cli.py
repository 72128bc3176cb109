"""The command line: one verb per rule, and those for people (commands). Heavy imports stand inside the verbs."""

import argparse
import gc
import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from manyexits.commands.arguments import (
    BESIDE,
    COMPARISONS,
    CONFIG,
    DEVICE,
    OUTPUT,
    RAW,
    SETTINGS,
    THREADS,
    TRAINING,
    WORKERS,
    Argument,
    path,
)
from manyexits.commands.numbers import calibrate, compare, evaluate, guarantee
from manyexits.commands.verbs import doctor, gather, report, schema, settings, unlock
from manyexits.files.printable import printable

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 75
"""sysexits' "temporary failure": the state is saved, start again to go on."""
COLLECT_AFTER = (100_000, 20, 20)
"""Of Python's garbage collector: at its own (700, 10, 10) it looks again and again through modules that were just
imported, a good part of a short job."""


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; what is wrong is said in one sentence.

    Returns:
        0, 1 where `doctor` misses something, 2 for bad input or configuration, 75 for a training that was stopped and
        saved itself.
    """
    if arguments is None:
        gc.set_threshold(*COLLECT_AFTER)
    given = sys.argv[1:] if arguments is None else arguments
    chosen = _parser().parse_args(given, argparse.Namespace(given=given))
    try:
        if "settings" in chosen:
            from manyexits.study import told

            told.check(chosen.verb, chosen.settings)
        return chosen.run(chosen) or 0
    except (ValueError, OSError) as error:
        if "TORCHELASTIC_ERROR_FILE" in os.environ:  # a rank: who started it says this once for all
            from manyexits.training import launch

            launch.tell(error)
        else:
            print(f"manyexits {chosen.verb}: {printable(str(error))}", file=sys.stderr)
        return EXIT_BAD_INPUT


# -- one verb per rule ----------------------------------------------------------------------------------------------


def prepare(chosen: argparse.Namespace) -> None:
    """read a dataset as its publisher ships it and write arrays, splits and manifest"""
    from manyexits.data import prepare

    for remark in prepare.prepare(chosen.settings, chosen.data_root, chosen.hub, chosen.output, chosen.workers):
        print(f"manyexits prepare: {printable(remark)}", file=sys.stderr)


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
    if devices > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        from manyexits.training import launch

        return launch.launch(devices, chosen.given)
    from manyexits.training import job
    from manyexits.training.tracking import Tracking
    from manyexits.training.train import Interrupted

    try:
        job.run(
            job.Training(
                settings=chosen.settings,
                data=chosen.data,
                prepared_by=chosen.prepared_by,
                backbone=backbone,
                weights=chosen.weights,
                output=chosen.output,
                checkpoints=chosen.checkpoints,
                tracking=Tracking(chosen.tracker, chosen.tracking, chosen.run_name or chosen.output.as_posix()),
                device=chosen.device,
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
    from manyexits.exits import predict, task
    from manyexits.models import measure

    asked = task.of(chosen.settings["network"])
    model, views, by = _trained(chosen)
    by_split, found = {}, {}
    for name, split in (("validation", views.data.validation), ("test", views.data.test)):
        _, _, outputs = measure.measure(model, views, split, collect=True)
        assert outputs is not None
        found[name] = outputs.numpy()
        by_split[name] = predict.predictions(found[name], split.labels[split.indices], asked)
        if lost := predict.nan_samples(by_split[name]):
            what = "an answer or a certainty that is no number"
            print(f"{lost} of {len(split)} {name} samples have {what}", file=sys.stderr)
    if asked.name == "classification":
        predict.add_temperatures(by_split, found)
    predict.write(chosen.output, by_split, by)


def represent(chosen: argparse.Namespace) -> None:
    """what analyses read of a trained network's activations on the test split"""
    from manyexits.exits import representations
    from manyexits.models import activations

    model, views, by = _trained(chosen)
    kept = activations.Kept(**chosen.settings["kept"])
    found = activations.represent(model, views, kept)
    for layer in found.layers.values():
        if layer.fault:
            print(f"block {layer.block}, {layer.view}: {layer.fault}", file=sys.stderr)
    representations.write(chosen.output, found, by)


def _trained(chosen: argparse.Namespace) -> tuple[Any, Any, Any]:
    """A trained network in evaluation mode, the views of its dataset, and what a file that is made of both says."""
    from manyexits.batches.views import Views, blanks
    from manyexits.data import prepared
    from manyexits.files import made
    from manyexits.models import build, device, network

    used = device.choose(chosen.device)
    print(device.line(used, "fp32", 1), file=sys.stderr)
    settings, manifest = chosen.settings, chosen.data / "manifest.json"
    data = prepared.read(chosen.data, chosen.workers, settings["network"])
    model = build.network(settings["network"], blanks(data), seed=0)
    by = network.load_weights(chosen.weights, model)
    made.check(chosen.weights, by, settings, "model")
    made.of(chosen.weights, by, manifest=manifest)
    return model.to(used).eval(), Views(data, used), made.by(settings, manifest=manifest, model=chosen.weights)


def count_backbone(chosen: argparse.Namespace) -> None:
    """cost of a backbone by itself, before anything trains it"""
    _count(chosen)


def count_flops(chosen: argparse.Namespace) -> None:
    """cost of every stage, head and exit, before anything trains them"""
    _count(chosen)


def _count(chosen: argparse.Namespace) -> None:
    from manyexits.batches.views import blanks, counted_for
    from manyexits.data import prepared
    from manyexits.files import atomic, made
    from manyexits.models import build, cost, passes
    from manyexits.study.regimes import frozen

    data = prepared.read(chosen.data, network=chosen.settings["network"])
    if data.remark:
        print(data.remark, file=sys.stderr)
    samples = blanks(data)
    network = build.network(chosen.settings["network"], samples, seed=0)
    costs = cost.count_network(network, samples)
    for phase, recipe in chosen.settings.get("one_a_pass", ()):
        network.freeze(frozen(phase))
        passes.check(network, samples, 1, f"recipes.{recipe}")
    content = {
        "convention": cost.CONVENTION,
        **counted_for(data),
        "backbone": costs.backbone,
        "exits": [
            {"exit": k, "after_block": b, "cost": c}
            for k, (b, c) in enumerate(zip(costs.blocks, costs.exits, strict=True), 1)
        ],
        "stages": costs.stages,
        "heads": costs.deployed,
        "made": made.by(chosen.settings, manifest=chosen.data / "manifest.json").model_dump(),
    }
    atomic.write_json(chosen.output, content)


def analyse(chosen: argparse.Namespace) -> None:
    """one analysis of one experiment: all regimes of a seed, or pairs of seeds"""
    from manyexits.analysis import _runs
    from manyexits.data import prepared
    from manyexits.files import atomic, made, provenance, rows, steps
    from manyexits.files.digests import digest
    from manyexits.study import components

    settings, manifest = chosen.settings, chosen.data / "manifest.json"
    module = components.module("analysis", settings["analysis"])
    what = getattr(module, "READS", "models")
    if len(chosen.runs) != len(settings["runs"]):
        raise ValueError(f"--runs: the settings name {len(settings['runs'])} runs, not {len(chosen.runs)}")
    data = prepared.read(chosen.data, chosen.workers, settings["network"])
    read = _runs.READ[what](settings["network"], data, chosen.device)
    runs, inputs = [], {"manifest": manifest}
    expected = made.each(settings, what, chosen.runs)
    for run, file, whose in zip(settings["runs"], chosen.runs, expected, strict=True):
        found, by = read(file)
        made.by_settings(file, by, whose)
        if what == "models":
            made.of(file, by, manifest=manifest)
        runs.append((run["regime"], run["seed"], found))
        inputs[f"{run['regime']}/s{run['seed']}"] = file
    by = made.by(settings, **inputs)
    kept = chosen.checkpoints / digest({"settings": settings, "inputs": by.inputs})
    found = module.analyse(runs, data, **settings["options"])
    if not isinstance(found, list):
        found = steps.collect(found, kept, lambda said: print(said, file=sys.stderr))
    identity = {key: settings["identity"][key] for key in ("experiment", "variant")}
    columns = ("experiment", "variant", *module.COLUMNS)
    rows.write(chosen.output, [identity | row for row in found], columns, by.settings)
    about = provenance.record(settings, by.inputs, chosen.output)
    atomic.write_json(chosen.output.with_suffix(".json"), about)
    shutil.rmtree(kept, ignore_errors=True)


def table(chosen: argparse.Namespace) -> None:
    """a table as csv, md, tex and html"""
    from manyexits.artefacts import tables

    tables.draw(chosen.settings, chosen.inputs, chosen.comparisons, chosen.output, chosen.beside)


def figure(chosen: argparse.Namespace) -> None:
    """a figure as pdf, png and svg"""
    from manyexits.artefacts import figures

    figures.draw(chosen.settings, chosen.inputs, chosen.output)


def card(chosen: argparse.Namespace) -> None:
    """the reproducibility card as md and html"""
    from manyexits.artefacts import card

    card.write(chosen.settings, chosen.folder, chosen.data, chosen.checkout, chosen.output)


# -- what each verb takes ---------------------------------------------------------------------------------------------

VERBS: dict[Callable[[argparse.Namespace], Any], list[Argument]] = {
    prepare: [*RAW, THREADS],
    weights: RAW,
    pretrain: TRAINING,
    train: [*TRAINING, path("backbone", required=False, help="folder of phase 1's outputs; without it: from scratch")],
    predict: [SETTINGS, path("data"), path("weights"), DEVICE, WORKERS, OUTPUT],
    represent: [SETTINGS, path("data"), path("weights"), DEVICE, WORKERS, OUTPUT],
    count_backbone: [SETTINGS, path("data"), OUTPUT],
    count_flops: [SETTINGS, path("data"), OUTPUT],
    calibrate: [SETTINGS, path("predictions"), path("costs"), OUTPUT],
    evaluate: [SETTINGS, path("predictions"), path("thresholds"), path("costs"), OUTPUT],
    guarantee: [SETTINGS, path("predictions"), path("costs"), OUTPUT],
    compare: [SETTINGS, path("answers", nargs="+"), OUTPUT],
    analyse: [
        SETTINGS,
        path("data"),
        path("runs", nargs="+"),
        path("checkpoints", help="folder below which a long analysis keeps what it has done"),
        DEVICE,
        WORKERS,
        OUTPUT,
    ],
    table: [SETTINGS, path("inputs", nargs="+"), COMPARISONS, BESIDE, OUTPUT],
    figure: [SETTINGS, path("inputs", nargs="+"), OUTPUT],
    card: [
        SETTINGS,
        path("folder", help="folder of everything that the study makes"),
        path("data", help="folder of the prepared datasets"),
        path("checkout", help="folder of CITATION.cff, envs/ and workflow/"),
        OUTPUT,
    ],
    doctor: [CONFIG],
    settings: [("run_name", {"metavar": "RUN"}), CONFIG],
    report: [CONFIG],
    schema: [],
    unlock: [],
    gather: [CONFIG, path("into", help="folder of the records, laid out as the study's output")],
}


@cache
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
