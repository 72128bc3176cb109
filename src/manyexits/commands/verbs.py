"""The verbs that no rule calls: for people at a terminal. Heavy imports stand inside the verbs."""

import argparse
import json

EXIT_INCOMPLETE = 1
"""`doctor` misses something that the study needs."""


def doctor(chosen: argparse.Namespace) -> int:
    """tell what is here, what is missing, and which tables and figures could be built; exit code 0: all of them, data
    that the hub may be asked for included; 1: something is missing; 2: the configuration is not valid"""
    from manyexits.commands import doctor
    from manyexits.commands.doctor import text

    report = doctor.examine(chosen.configfile)
    text.show(report)
    return 0 if report.complete else EXIT_INCOMPLETE


def settings(chosen: argparse.Namespace) -> None:
    """print what every stage of a run is told; name it EXPERIMENT/REGIME/sSEED"""
    from manyexits.study.plan import read

    plan = read(chosen.configfile)
    runs = {
        "{experiment}/{regime}/s{seed}".format(**names): names
        for experiment in plan.runs.experiments
        for names in plan.runs.of(experiment)
    }
    if chosen.run_name not in runs:
        from manyexits.study.components import nearest

        raise ValueError(f"there is no run {chosen.run_name!r}; valid names: {nearest(chosen.run_name, list(runs))}")
    names = runs[chosen.run_name]
    entry = plan.runs.experiment(names["experiment"])
    jobs = [plan.job("prepare", dataset=entry.dataset)]
    if pretrained_weights := plan.study.backbones[entry.backbone].weights:
        jobs.append(plan.job("weights", weights=pretrained_weights))
    if phase_1 := plan.runs.pretrained(names["experiment"], names["regime"]):
        jobs.append(plan.job("pretrain", **phase_1, seed=names["seed"]))
    jobs += [plan.job(stage, **names) for stage in ("train", "predict")]
    jobs.append(plan.job("count_flops", experiment=names["experiment"]))
    jobs += [plan.job(stage, **names) for stage in ("calibrate", "evaluate")]
    told = {job.stage: job.settings for job in jobs}
    print(json.dumps(told, indent=2))


def schema(chosen: argparse.Namespace) -> None:
    """print the JSON schema of config.yaml"""
    from manyexits.study.schema import schema

    print(json.dumps(schema(), indent=1))


def report(chosen: argparse.Namespace) -> None:
    """put the tables, figures and card that are there into one page, and name those that are not there yet"""
    from manyexits.commands import report
    from manyexits.study.plan import read

    plan = read(chosen.configfile)
    page, absent = report.make(plan, chosen.configfile)
    print("".join(f"not there yet: {file}\n" for file in absent), end="")
    print(f"report: {page}")


def unlock(chosen: argparse.Namespace) -> None:
    """release the lock that a killed workflow left in this folder, if no workflow runs here"""
    from manyexits.commands import unlock

    print("the lock is released" if unlock.unlock() else "no lock is here")


def gather(chosen: argparse.Namespace) -> None:
    """copy the records of finished runs, without weights, to where they can be committed"""
    from manyexits.artefacts import gather
    from manyexits.study.plan import read

    plan = read(chosen.configfile)
    finished, unfinished = gather.gather(plan, chosen.into)
    print(f"{len(finished)} of {len(finished) + len(unfinished)} trainings are in {chosen.into}")
    print("".join(f"not finished: {folder}\n" for folder in unfinished), end="")
