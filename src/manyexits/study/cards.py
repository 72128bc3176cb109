"""What the card is made from: the job that writes it."""

from typing import TYPE_CHECKING, Any

from manyexits.study import analysed, components
from manyexits.study.entries import DatasetEntry
from manyexits.study.job import VERSIONS, Draft, Job, Settings

if TYPE_CHECKING:
    from manyexits.study.config import Study
    from manyexits.study.jobs import Jobs

OTHERWISE = {"vary", "vary_seeds", "seeds", "recipes", "criteria", "protocols"}
"""Keys of an experiment that the card tells in effect, not as they are stated."""


def draft(jobs: "Jobs") -> Draft:
    """What the card is made from: records and costs of what is shown, and settings that repeat nothing: they go
    through a command line, which a study of hundreds of trainings must not overflow."""
    study, runs = jobs.study, jobs.runs
    entries = {name: runs.experiment(name) for name in runs.shown}
    trainings, analyses = jobs.trainings(runs.shown), analysed.analyses(jobs)
    experiments = []
    for name, entry in entries.items():
        told = entry.model_dump(exclude=OTHERWISE) | jobs.initial(entry.backbone)
        told["recipes"] = {
            regime: {
                phase: entry.recipe_of(regime, phase)
                for phase in (*study.regimes[regime], *study.later_phases(regime, entry))
            }
            for regime in entry.regimes
        }
        told |= {"name": name, "seeds": runs.seeds(name), "network": jobs.network(name)}
        experiments.append(told | {"criteria": study.criteria(entry), "protocols": study.protocols_of(entry)})
    regimes = dict.fromkeys(regime for told in experiments for regime in told["regimes"])
    recipes = dict.fromkeys(
        recipe for told in experiments for named in told["recipes"].values() for recipe in named.values()
    )
    datasets = dict.fromkeys(entry.dataset for entry in entries.values())
    settings = {
        "experiments": experiments,
        "regimes": {name: study.regimes[name] for name in regimes},
        "trainings": _recorded(jobs, trainings),
        "recipes": {
            name: {"values": study.recipes[name].science(), "origin": study.recipes[name].origin} for name in recipes
        },
        "marked": _marked(study, experiments),
        "budgets": study.budgets,
        "stages": {stage: VERSIONS[stage] for stage in ("pretrain", "train")},
        "analyses": {job.record.removeprefix(f"{study.output}/"): job.settings for job in analyses},
        "datasets": {name: jobs.job("prepare", dataset=name).settings for name in datasets},
        "comparisons": [job.record.removeprefix(f"{study.output}/") for job in jobs.comparisons()],
        "homes": {name: _home(study.datasets[name]) for name in datasets},
    }
    costs = [jobs.job("count_flops", experiment=name).record for name in entries]
    small = [str(jobs.job("prepare", dataset=name).writes[index]) for name in datasets for index in (0, 1)]
    records = [*small, *costs, *(job.record for job in (*trainings, *analyses))]
    # of what is evaluated and compared the rows: the records beside them came later than some studies
    evaluated = [jobs.job("evaluate", **names) for name in entries for names in runs.of(name)]
    records += [job.writes[0] for job in (*evaluated, *jobs.comparisons())]
    return Draft(settings, {"records": records}, [f"{study.output}/card.{suffix}" for suffix in ("md", "html")])


def _marked(study: "Study", experiments: list[Settings]) -> list[list[str]]:
    """Values with a mark in the entries that are used: section, entry, key, value, mark."""
    used = {
        section: dict.fromkeys(told[of] for told in experiments)
        for section, of in (("datasets", "dataset"), ("backbones", "backbone"), ("placements", "placement"))
    }
    found = []
    for section, names in used.items():
        for name in names:
            entry = getattr(study, section)[name]
            values = {**(entry.__pydantic_extra__ or {}), **dict(entry)}
            found += [[section, name, key, str(values[key]), mark] for key, mark in entry.origin.items()]
    return found


def _home(entry: DatasetEntry) -> dict[str, Any]:
    """Licence of a dataset, and where others get it: its entry's, or its publisher's, whose files have checksums. One's
    own has no publisher."""
    own = components.constant("readers", entry.source, "OWN", False)
    stated = {"licence": entry.licence, "home": entry.home}
    of_publisher = {key: components.constant("readers", entry.source, key.upper(), None) for key in stated}
    found = {key: value or (None if own else of_publisher[key]) for key, value in stated.items()}
    releases = () if entry.home else components.constant("readers", entry.source, "RELEASES", ())
    return found | {"releases": list(releases)}


def _recorded(jobs: "Jobs", trainings: list[Job]) -> list[Settings]:
    """Trainings as the card looks for their records: those that differ in their seed alone are one entry."""
    found: dict[str, Settings] = {}
    for job in trainings:
        experiment, regime = job.names.get("experiment", ""), job.names.get("regime", "")
        place = job.record.removeprefix(f"{jobs.study.output}/").rsplit("/", 2)[0]
        entry = jobs.runs.experiment(experiment) if experiment else None
        phase_1 = entry is not None and jobs.runs.pretrained(experiment, regime)
        told = {
            "stage": job.stage,
            "place": place,
            "experiment": experiment,
            "regime": regime,
            "dataset": entry.dataset if entry else job.names["dataset"],
            "backbone": entry.backbone if entry else job.names["backbone"],
            "phases": [
                [phase["phase"], entry.recipe_of(regime, phase["phase"]) if entry else job.names["recipe"]]
                for phase in job.settings["phases"]
            ],
            "shared": ["backbone"] if phase_1 else [],
            "seeds": [],
        }
        found.setdefault(place, told)["seeds"].append(job.names["seed"])
    return list(found.values())
