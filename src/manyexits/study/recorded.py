"""Settings as records of earlier versions hold them, under the names of today: what was only renamed is no change."""

from typing import Any

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
