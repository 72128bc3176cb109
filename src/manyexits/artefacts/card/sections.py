"""The evidence, section by section."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from manyexits.artefacts.card.answers import authors, versions
from manyexits.artefacts.card.blocks import Cell, Code, Grid, Link, Section, Text
from manyexits.artefacts.card.pseudocode import pseudocode, recipes_by_phase, value
from manyexits.artefacts.card.records import Facts, Recorded, Trained, grouped, hardware, names

NOTATION = (
    "θ: all weights. K exits, the last is the backbone's own classifier. Extras: what a method adds beside heads."
    " R: the recipe of a phase; R[regime, phase] where a regime has its own. A first phase that trains the backbone"
    " alone runs once, for all regimes that begin so."
)
UNTOLD = ("dataset", "source")
"""Settings of a dataset that stand elsewhere on the card."""
MARKS = "Origin: P the paper, C the authors' code, L the literature, O our own decision."


def sections(facts: Facts) -> list[Section]:
    """All evidence, in the order in which a reader wants it."""
    return [
        Section("pseudocode", "Pseudocode", [Text(NOTATION), Code(pseudocode(facts.settings))]),
        Section("experiments", "Experiments", experiments(facts)),
        Section("recipes", "Recipes", [Text(MARKS), *recipes(facts)]),
        Section("costs", "Cost", costs(facts)),
        Section("datasets", "Datasets", datasets(facts)),
        Section("splits", "Splits", splits(facts)),
        Section("runs", "Runs", runs(facts)),
        Section("hardware", "Hardware", machines(facts)),
        Section("software", "Software", software(facts)),
        Section("code", "Code", code(facts)),
    ]


def experiments(facts: Facts) -> list[Grid | Text]:
    """What was trained, with what, how often, and how it is evaluated."""
    rows = [
        [
            told["name"],
            told["dataset"],
            told["backbone"],
            told["method"],
            told["placement"],
            ", ".join(told["regimes"]),
            _listed(told["seeds"]),
            "; ".join(f"{phase}: {recipe}" for phase, recipe in recipes_by_phase(told).items()),
            ", ".join(told["criteria"]),
            ", ".join(told["protocols"]),
        ]
        for told in facts.settings["experiments"]
    ]
    header = ["experiment", "dataset", "backbone", "method", "placement", "regimes", "seeds", "recipes"]
    header += ["criteria", "protocols of thresholds"]
    budgets = ", ".join(f"{100 * budget:g} %" for budget in facts.settings["budgets"])
    told = f"Budgets: {budgets} of the backbone's FLOPs, and no limit."
    return [Grid(header, rows), *pretrained(facts), *analyses(facts), Text(told)]


def analyses(facts: Facts) -> list[Grid]:
    """Settings of every analysis, and the records of its jobs."""
    told: dict[tuple[str, str, str], list[Link]] = {}
    for job in facts.analyses:
        settings = facts.settings["analyses"][job.file]
        options = ", ".join(f"{key} {value(given)}" for key, given in settings["options"].items())
        *_, experiment, unit = job.file.removesuffix(".json").split("/")
        links = told.setdefault((settings["analysis"], experiment, options), [])
        if job.record is not None:
            links.append(Link(unit, job.file))
    rows: list[Sequence[Cell]] = [[*about, links or "missing"] for about, links in told.items()]
    return [Grid(["analysis", "of", "settings", "records"], rows)] if rows else []


def pretrained(facts: Facts) -> list[Grid]:
    """Weights that backbones start from: where they come from, and their licence."""
    starts: dict[str, list[str]] = {}
    entries = {}
    for told in facts.settings["experiments"]:
        if weights := told.get("weights"):
            entries[weights["weights"]] = weights
            starts.setdefault(weights["weights"], []).append(told["name"])
    rows = [
        [name, entry["home"], _text(entry["sha256"]), entry["licence"], entry["classifier"], ", ".join(starts[name])]
        for name, entry in entries.items()
    ]
    header = ["pretrained weights", "from", "sha256 (first digits)", "licence", "classifier", "start of"]
    return [Grid(header, rows)] if rows else []


def recipes(facts: Facts) -> Iterable[Grid]:
    """Every value with its mark; a recipe's defaults share one line. Then the values of other entries that have one."""
    for name, recipe in facts.settings["recipes"].items():
        values, marks = recipe["values"], recipe["origin"]
        rows = [[field, value(values[field]), marks[field]] for field in values if field in marks]
        defaults = ", ".join(f"{field} {value(given)}" for field, given in values.items() if field not in marks)
        yield Grid([name, "value", "origin"], [*rows, ["left at the defaults", defaults, "O (default)"]])
    if marked := facts.settings.get("marked"):
        rows = [[f"{section}.{name}.{key}", given, mark] for section, name, key, given, mark in marked]
        yield Grid(["datasets, backbones and placements", "value", "origin"], rows)


def costs(facts: Facts) -> list[Grid | Text]:
    """The convention, and every exit's cost."""
    conventions = [counted["convention"] for counted in facts.costs.values() if counted and "convention" in counted]
    rows: list[list[Cell]] = []
    for name, counted in facts.costs.items():
        if not counted or not counted.get("backbone"):
            rows.append([name, "–", "–", "–", "missing"])
            continue
        exits = counted.get("exits") or []
        shares = ", ".join(f"{100 * exit_['cost'] / counted['backbone']:.1f}" for exit_ in exits)
        blocks = ", ".join(str(exit_["after_block"]) for exit_ in exits)
        file = f"costs/{name}.json"
        rows.append([name, f"{counted['backbone']:,}", blocks, shares, [Link(file, file)]])
    header = ["experiment", "backbone (FLOPs)", "exits after blocks", "cost of the exits (% of the backbone)", "file"]
    return [*(Text(f"{text}.") for text in dict.fromkeys(conventions)), Grid(header, rows)]


def datasets(facts: Facts) -> list[Grid | Text]:
    """Where each comes from, its licence, and what it became."""
    rows: list[Sequence[Cell]] = []
    sums: list[Sequence[Cell]] = []
    for name, prepared in facts.datasets.items():
        manifest = prepared.manifest or {}
        settings = manifest.get("settings") or {}
        told = ", ".join(f"{key} {value(_named(key, given))}" for key, given in settings.items() if key not in UNTOLD)
        skipped = manifest.get("skipped") or []
        told += f"; {len(skipped)} photographs that could not be read left out" if skipped else ""
        passed_over = manifest.get("passed_over") or {}
        told += "".join(f"; {n} files {suffix} passed over" for suffix, n in passed_over.items())
        told += f"; {manifest['in_two_splits']}" if "in_two_splits" in manifest else ""
        licence = facts.settings.get("homes", {}).get(name, {}).get("licence") or manifest.get("licence")
        rows.append([name, _text(manifest.get("source")), _text(licence), _text(told)])
        listed = {"manifest.json": prepared.manifest_sha256} | (manifest.get("files_sha256") or {})
        sums += [[f"{name}/{file}", _text(checksum)] for file, checksum in listed.items()]
    return [Grid(["dataset", "source", "licence", "prepared with"], rows), Grid(["prepared file", "sha256"], sums)]


def _named(key: str, given: Any) -> Any:
    """A setting as the card prints it: of where one's own data lie the last name alone, the rest is a machine's."""
    elsewhere = key == "path" and isinstance(given, str) and given.startswith(("/", "~"))
    return PurePosixPath(given).name if elsewhere else given


def splits(facts: Facts) -> list[Grid | Text]:
    """Size, checksum, rule and seed of every split."""
    rows: list[Sequence[Cell]] = []
    for name, prepared in facts.datasets.items():
        told, n = prepared.splits or {}, (prepared.manifest or {}).get("n") or {}
        for part in ("train", "validation"):
            split = told.get(part) or {}
            about = [
                _text(split.get("n")),
                _text(told.get("rule")),
                _text(told.get("seed")),
                _text(split.get("sha256")),
            ]
            rows.append([name, part, *about])
        rows.append([name, "test", _text(n.get("test")), "the whole test part of the source", "–", "–"])
    of = next(
        (p.splits["sha256_of"] for p in facts.datasets.values() if p.splits and "sha256_of" in p.splits), "the list"
    )
    return [Grid(["dataset", "split", "n", "rule", "seed", f"sha256 of {of}"], rows)]


def runs(facts: Facts) -> list[Grid | Text]:
    """What every phase of every regime took; phase 1 once, for all that share it."""
    shared: dict[str, list[Trained]] = {}
    for run in facts.backbones:
        shared.setdefault(run.file.rsplit("/", 2)[0], []).append(run)
    regimes: dict[tuple[str, str], list[Trained]] = {}
    for run in facts.runs:
        regimes.setdefault((run.experiment, run.regime), []).append(run)
    rows = [row for place, found in shared.items() for row in _spent(place, "phase 1, shared", found)]
    rows += [row for (experiment, regime), found in regimes.items() for row in _spent(experiment, regime, found)]
    header = [
        "of",
        "regime",
        "phase",
        "epochs",
        "best epoch",
        "samples",
        "FLOPs",
        "device-seconds",
        "seconds",
        "records",
    ]
    about = "One number holds for every seed, several stand in their order. †: the phase stopped early."
    note = "Training FLOPs: the forward pass of what runs, and twice that of what learns."
    return [Text(f"{about} {note}"), Grid(header, rows)]


def _spent(place: str, regime: str, found: list[Trained]) -> Iterable[list[Cell]]:
    links = [Link(f"s{run.seed}", run.file) for run in found if run.record is not None]
    for index, (phase, _) in enumerate(found[0].recipes):
        told = [run.own_phases[index] if index < len(run.own_phases) else {} for run in found]
        epochs = _seeds(f"{_text(each.get('epochs'))}{'†' * bool(each.get('stopped_early'))}" for each in told)
        best = _seeds(_text(each.get("best_epoch")) for each in told)
        counts = [_seeds(_count(each.get(key)) for each in told) for key in ("samples_of_phase", "flops_of_phase")]
        times = [_seeds(_number(each.get(key)) for each in told) for key in ("device_seconds", "time_s")]
        yield [place, regime, phase, epochs, best, *counts, *times, links or "missing"]


def machines(facts: Facts) -> list[Grid | Text]:
    """Which hardware ran which trainings and analyses, and for how long the trainings."""
    rows = []
    for kind, found in grouped(facts.jobs, hardware).items():
        trained = [job for job in found if isinstance(job, Trained)]
        spent = sum(phase.get("device_seconds") or 0 for run in trained for phase in run.own_phases)
        rows.append([kind, f"{len(found)} of {len(facts.jobs)}", f"{spent:,.0f}", _which(found, facts)])
    return [Grid(["hardware", "trainings and analyses", "device-seconds of trainings", "which"], rows)]


def software(facts: Facts) -> list[Grid | Text | Code]:
    """Versions as recorded beside those of the lock, and the lock itself."""
    rows = []
    for package, found in versions(facts).items():
        locked = facts.pins.get(package, "–")
        for version, having in found.items():
            rows.append([package, version, locked, _which(having, facts)])
    told = f"Lock: envs/requirements.txt, sha256 {_text(facts.lock_sha256)}; each package with the hashes of its files."
    pins = "\n".join(f"{package}=={version}" for package, version in facts.pins.items())
    folded = [Code(pins, f"the {len(facts.pins)} packages of the lock")] if pins else []
    return [Grid(["package", "in the records", "in the lock", "trainings and analyses"], rows), Text(told), *folded]


def code(facts: Facts) -> list[Grid | Text]:
    """The commit of every training and analysis, and whether its checkout held changes."""
    rows = []
    kinds: dict[str, Sequence[Recorded]] = {"trainings": facts.trainings, "analyses": facts.analyses}
    for what, jobs in kinds.items():
        for commit, found in grouped(jobs, lambda record: record.get("commit") or "none").items():
            changed = [job for job in found if (job.record or {}).get("changed") is not False]
            made = "all" if len(found) == len(jobs) else names(found)
            rows.append([commit, names(changed) if changed else "no", f"{what}: {made}"])
    citation = f"Authors, as CITATION.cff names them: {authors(facts) or '–'}."
    cited = facts.citation or {}
    licence = f"Licence: {cited.get('license', '–')}. Address: {cited.get('repository-code', '–')}."
    return [Grid(["commit", "with changes", "what ran"], rows), Text(f"{citation} {licence}")]


def _which(found: list[Recorded], facts: Facts) -> str:
    return "all" if len(found) == len(facts.jobs) else names(found)


def _seeds(values: Iterable[str]) -> str:
    """The values of all seeds, or the one that they share."""
    found = list(values)
    return found[0] if len(set(found)) == 1 else " / ".join(found)


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(each) for each in values)


def _text(given: Any) -> str:
    return "–" if given in (None, "") else str(given)


def _number(given: float | None) -> str:
    return "–" if given is None else f"{given:,.0f}" if given >= 100 else f"{given:.1f}"


def _count(given: float | None) -> str:
    """A large number with its prefix: 20.2 G."""
    if given is None:
        return "–"
    for power, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if given >= 10**power:
            return f"{given / 10**power:.3g} {prefix}"
    return f"{given:,}"
