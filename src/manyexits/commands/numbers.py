"""The verbs that turn predictions into rows, without torch. Heavy imports stand inside the verbs."""

import argparse

ANSWERS = "answers.safetensors"
"""What `evaluate` writes beside its rows and their record."""


def calibrate(chosen: argparse.Namespace) -> None:
    """thresholds for every protocol, criterion and budget"""
    from manyexits.exits import calibrate, costs, criteria, predict, task
    from manyexits.files import atomic, made, rows

    settings, counted = chosen.settings, costs.read(chosen.costs)
    asked, of_exits = task.of(settings["task"]), counted.of_exits
    scans = {name: criteria.named(name, asked, len(of_exits)) for name in settings["criteria"]}
    by_split, by = predict.read(chosen.predictions, scans, asked, len(of_exits), settings["protocols"])
    made.check(chosen.predictions, by, settings, "predictions")
    made.check(chosen.costs, counted.made, settings, "costs")
    made.same(chosen.predictions, by, chosen.costs, counted.made, "manifest")
    cells = []
    for protocol in settings["protocols"]:
        for own in (own for name, own in scans.items() if rows.defined(protocol, name)):
            validation, test = (
                [predict.scored(by_split[split], scan, asked) for scan in calibrate.read_under(protocol, own)]
                for split in predict.SPLITS
            )
            fitted = by_split[predict.FITTED]["temperature"].tolist() if protocol == "temperature" else None
            limits = (settings["budgets"], validation, test, of_exits, counted.backbone)
            cells += calibrate.choose(protocol, own, *limits, fitted)
    inputs = {"predictions": chosen.predictions, "costs": chosen.costs}
    content = {"criteria": settings["criteria"], "cells": cells, "made": made.by(settings, **inputs).model_dump()}
    atomic.write_json(chosen.output, content)


def evaluate(chosen: argparse.Namespace) -> None:
    """tidy rows of one run, and beside them what every test sample was answered"""
    from manyexits.exits import answers, costs, criteria, evaluate, predict, task, thresholds
    from manyexits.files import atomic, made, provenance, rows

    settings, counted = chosen.settings, costs.read(chosen.costs)
    asked, of_exits = task.of(settings["task"]), counted.of_exits
    chosen_cells = thresholds.read(chosen.thresholds, len(of_exits))
    made.check(chosen.thresholds, chosen_cells.made, settings, "thresholds")
    made.of(chosen.thresholds, chosen_cells.made, predictions=chosen.predictions, costs=chosen.costs)
    scans = {name: criteria.named(name, asked, len(of_exits)) for name in chosen_cells.criteria}
    cells = thresholds.told(chosen_cells)
    by_split, _ = predict.read(chosen.predictions, scans, asked, len(of_exits), [cell["protocol"] for cell in cells])
    validation, test = (by_split[name] for name in predict.SPLITS)
    left_at = evaluate.leaving(cells, asked, scans, test)
    found = evaluate.evaluate(cells, asked, scans, validation, test, left_at, of_exits, counted.backbone)
    by = made.by(settings, predictions=chosen.predictions, thresholds=chosen.thresholds)
    rows.write(chosen.output, [settings["identity"] | row for row in found], rows.COLUMNS, by.settings)
    beside = chosen.output.with_name(ANSWERS)
    answers.write(beside, answers.Answers(test["label"], test["answer"], left_at), by)
    about = provenance.record(settings, by.inputs, chosen.output, beside)
    atomic.write_json(chosen.output.with_suffix(".json"), about)


def guarantee(chosen: argparse.Namespace) -> None:
    """thresholds with a statistical guarantee, and what they come to on the test split"""
    from manyexits.exits import costs, criteria, guarantee, predict, task
    from manyexits.files import atomic, made, provenance, rows

    settings, counted = chosen.settings, costs.read(chosen.costs)
    asked, of_exits = task.of(settings["task"]), counted.of_exits
    scan, *_ = criteria.named(settings["criterion"], asked, len(of_exits))
    by_split, by = predict.read(chosen.predictions, {scan.name: [scan]}, asked, len(of_exits))
    made.check(chosen.predictions, by, settings, "predictions")
    made.check(chosen.costs, counted.made, settings, "costs")
    made.same(chosen.predictions, by, chosen.costs, counted.made, "manifest")
    tolerated, delta = settings["tolerated"], settings["delta"]
    found = guarantee.guarantee(asked, scan, by_split["validation"], by_split["test"], of_exits, tolerated, delta)
    by_both = made.by(settings, predictions=chosen.predictions, costs=chosen.costs)
    common = settings["identity"] | {"backbone_cost": counted.backbone}
    rows.write(chosen.output, [common | row for row in found], rows.GUARANTEED, by_both.settings)
    about = provenance.record(settings, by_both.inputs, chosen.output)
    atomic.write_json(chosen.output.with_suffix(".json"), about)


def compare(chosen: argparse.Namespace) -> None:
    """differences between the regimes of one experiment, paired over samples and seeds"""
    from manyexits.exits import answers, compare, task
    from manyexits.files import atomic, made, provenance, rows

    settings = chosen.settings
    if len(chosen.answers) != len(settings["runs"]):
        raise ValueError(f"--answers: the settings name {len(settings['runs'])} runs, not {len(chosen.answers)}")
    runs, inputs = {}, {}
    expected = made.each(settings, "answers", chosen.answers)
    for run, file, digest in zip(settings["runs"], chosen.answers, expected, strict=True):
        found, by = answers.read(file)
        made.by_settings(file, by, digest)
        runs[run["regime"], run["seed"]] = found
        inputs[f"{run['regime']}/s{run['seed']}"] = file
    by_all = made.by(settings, **inputs)
    identity = {key: settings["identity"][key] for key in ("experiment", "variant")}
    told = [identity | row for row in compare.compare(runs, task.of(settings["task"]))]
    rows.write(chosen.output, told, rows.COMPARED, by_all.settings)
    about = provenance.record(settings, by_all.inputs, chosen.output)
    atomic.write_json(chosen.output.with_suffix(".json"), about)
