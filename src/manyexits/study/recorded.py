"""Settings as records of earlier versions hold them, read as those of today: what was only renamed, or added with a
default that changes nothing, is no change."""

from typing import Any

from pydantic import ValidationError

from manyexits.study.recipe import Recipe

RENAMED = {"backbone": {"blocks": "groups"}, "placement": {"blocks": "after"}}
"""Part of a network -> its options' former names -> their names now."""


def current(settings: Any) -> Any:
    """Recorded settings of any stage; what is no mapping stays as it is."""
    if not isinstance(settings, dict) or not isinstance(settings.get("network"), dict):
        return settings
    network = dict(settings["network"])
    for part, names in RENAMED.items():
        if isinstance(network.get(part), dict):
            network[part] = {names.get(key, key): value for key, value in network[part].items()}
    return settings | {"network": network}


def made_with(recorded: Any, settings: dict[str, Any]) -> bool:
    """Whether a record tells of the settings in force.

    What its inputs were made by is left out: their own records tell.
    """
    found = current(recorded)
    if not isinstance(found, dict):
        return False
    inputs = dict.fromkeys(("start", "made_from"))
    return _completed(found) | inputs == _completed(settings) | inputs


def _completed(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings whose recipes hold what later versions added, at its default; what is no recipe stays as it is."""
    try:
        phases = [
            phase | {"recipe": Recipe.model_validate(phase["recipe"]).model_dump()} for phase in settings["phases"]
        ]
    except (ValidationError, LookupError, TypeError):
        return settings
    return settings | {"phases": phases}
