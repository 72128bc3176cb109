"""The regimes and the stopping rule in force, as pseudocode (notation: K exits, the last is the backbone's own)."""

import textwrap
from typing import Any

from manyexits.study import components
from manyexits.study.regimes import GROUPS, frozen, groups, learning_exits, turns

EXITS = 9
"""Any number of exits that is large enough to tell the first, the last but one and the last apart."""

PHASE = """\
PHASE(θ, learn, freeze, E, R)
    groups in freeze keep every bit, running statistics included; exits outside E take no part
    optimiser ← a new R.optimizer over the parameters in learn, with a new schedule
    best[k] ← −∞ for k in E;  best_epoch ← 0;  epoch ← 0
    while epoch < R.epochs and epoch − best_epoch < R.patience
        epoch ← epoch + 1
        for each full batch of R.batch training samples, in an order drawn from (seed, phase, epoch)
            ℓ[k] ← loss of exit k on the batch, augmented as R says, for k in E
            one step of the optimiser on LOSS({ℓ[k] : k in E}), at the learning rate that R.schedule gives this step
        a[k] ← accuracy of exit k on the validation split, without augmentation, for k in E
            (of a regression the negative mean squared error)
        if a[k] > best[k] for any k in E    (strictly: a tie is no improvement)
            best[k] ← a[k] for those k;  best_epoch ← epoch;  θ* ← θ
    return θ*    (at an early stop and at the limit alike)
"""


def pseudocode(settings: dict[str, Any]) -> str:
    """All regimes, the phase that they call, the loss of every method and the recipes R in force."""
    experiments, recipes = settings["experiments"], settings["recipes"]
    parts = [regime(name, phases) for name, phases in settings["regimes"].items()]
    methods = dict.fromkeys(
        (told["network"]["method"]["kind"], told["network"]["method"].get("cure")) for told in experiments
    )
    losses = [loss(*method) for method in methods]
    by_recipes: dict[str, list[str]] = {}
    for told in experiments:
        lines = _start(told.get("weights")) + _in_force(recipes_by_phase(told), recipes)
        by_recipes.setdefault(lines, []).append(told["name"])
    tables = [f"{', '.join(names)}\n{lines}" for lines, names in by_recipes.items()]
    return "\n".join([*parts, PHASE, *losses, *tables])


def regime(name: str, phases: list[str]) -> str:
    """A regime as a procedure that calls its phases in order."""
    lines = [
        f"{name.upper()}(seed)    (regime {name}: {', then '.join(phases)})",
        f"    θ ← initial weights of {_set(GROUPS)}, the same in every regime: START(seed)",
        *(f"    θ ← {call(phase)}" for phase in phases),
    ]
    return "\n".join([*lines, "    return θ", ""])


def call(phase: str) -> str:
    """A phase as a call of PHASE."""
    by_step = []
    for each in turns(phase):
        still = [group for group in GROUPS if group in frozen(each)]
        by_step.append(f"learn = {_set(groups(each))}, freeze = {_set(still)}, E = {exits(each)}")
    in_turns = f"step by step in turns: {' | '.join(by_step)}" if len(by_step) > 1 else by_step[0]
    return f"PHASE(θ, {in_turns}, R[{phase}])"


def loss(kind: str, cure: str | None) -> str:
    """What a step minimises under a method, and what it does at the end of every regime."""
    said = components.docstring("methods", kind, cure or "loss")
    weighed = ""
    if components.constant("methods", kind, "TEACHES", False):
        how = components.docstring("methods", kind, "teach")
        weighed = f"Every step first multiplies the ℓ of the samples (method {kind}): {how}\n"
    return f"LOSS (method {kind}{f', {cure}' if cure else ''}): {said}\n{weighed}{own_phases(kind)}"


def own_phases(kind: str) -> str:
    """What a method does at the end of every regime; nothing for most."""
    lines = [
        f"At the end of every regime (method {kind}): θ ← {call(phase)}, ℓ[k] and a[k] being those of the answer\n"
        for phase in components.constant("methods", kind, "PHASES", ())
    ]
    return "".join(lines)


def exits(phase: str) -> str:
    """Exits that can learn in a phase, as a set in terms of K."""
    found = learning_exits(phase, EXITS)
    symbols = {EXITS: "K", EXITS - 1: "K−1"}
    first, last = (symbols.get(exit_, str(exit_)) for exit_ in (found[0], found[-1]))
    return f"{{{first}}}" if len(found) == 1 else f"{{{first}, …, {last}}}"


def stated(name: str, recipes: dict[str, Any]) -> str:
    """A recipe by the values that it states, and the schedule; the other defaults stand in the card's recipes."""
    values, marks = recipes[name]["values"], recipes[name]["origin"]
    told = (f"{field} {value(values[field])}" for field in values if field in marks or field == "schedule")
    return f"{name}: {', '.join(told)}"


def value(given: Any) -> str:
    """A setting as people write it."""
    if given is None:
        return "none"
    if isinstance(given, bool):
        return "yes" if given else "no"
    return f"{given:g}" if isinstance(given, float) else str(given)


def recipes_by_phase(told: dict[str, Any]) -> dict[str, str]:
    """Phase -> recipe of an experiment; where regimes differ, the regime before its phase."""
    named = [(regime, phase, name) for regime, own in told["recipes"].items() for phase, name in own.items()]
    by_phase = {phase: {name for _, other, name in named if other == phase} for _, phase, _ in named}
    return {phase if len(by_phase[phase]) == 1 else f"{regime}, {phase}": name for regime, phase, name in named}


def _start(weights: dict[str, Any] | None) -> str:
    """Where the initial weights come from."""
    if weights is None:
        return "    START(seed) = drawn from the seed\n"
    kept = f"{weights['weights']}, its classifier {weights['classifier']}"
    return f"    START(seed) = drawn from the seed, but the backbone's are those of {kept}\n"


def _in_force(named: dict[str, str], recipes: dict[str, Any]) -> str:
    """The recipe of every phase, phases that share one on one line."""
    sharing: dict[str, list[str]] = {}
    for phase, recipe in named.items():
        sharing.setdefault(recipe, []).append(phase)
    lines = (
        f"    {' = '.join(f'R[{phase}]' for phase in having)} = {stated(name, recipes)}"
        for name, having in sharing.items()
    )
    return "".join(textwrap.fill(line, 118, subsequent_indent=" " * 8) + "\n" for line in lines)


def _set(groups: list[str] | tuple[str, ...]) -> str:
    return f"{{{', '.join(groups)}}}" if groups else "∅"
