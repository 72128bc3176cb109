"""Whether the networks of a study can be built here: a timm name may be mistyped, a package not be installed."""

import torch

from manyexits.commands.doctor import Finding
from manyexits.models import build
from manyexits.study.plan import Plan


def examine(plan: Plan) -> dict[str, Finding]:
    """What building each backbone that is drawn gives, by its name in the configuration."""
    found: dict[str, Finding] = {}
    for name in plan.runs.shown:
        backbone = plan.runs.experiment(name).backbone
        if backbone not in found or found[backbone].state == "ok":
            reason = _refused(plan.job("count_flops", experiment=name).settings["network"])
            found[backbone] = (
                Finding("missing", backbone, reason) if reason else Finding("ok", backbone, "can be built")
            )
    return found


def _refused(network: dict[str, object]) -> str | None:
    """Why a backbone cannot be built; None where it can."""
    try:
        with torch.device("meta"):  # without drawing weights, which takes seconds where it is large
            build.backbone(network, 0)
    except Exception:  # or for want of weights' values
        try:
            build.backbone(network, 0)
        except ValueError as error:
            return str(error)
    return None
