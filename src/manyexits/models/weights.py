"""Pretrained weights into a backbone. Which weight goes where is asked of the backbone (`Backbone.understood`,
`Backbone.original`), so a family's names stand in its own file."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel
from torch import Tensor

from manyexits.files.made import Made
from manyexits.models.backbones import Backbone
from manyexits.models.network import listed, read_weights

COUNTER = "num_batches_tracked"
"""BatchNorm's count of its batches, which nothing depends on: older files lack it."""


class About(BaseModel):
    """What the manifest of weights for texts says of their network."""

    configuration: dict[str, Any]


def check(about: About, backbone: Backbone, name: str) -> None:
    """Refuse a checkpoint that its own configuration says to be of another network.

    Args:
        about: the manifest's part.
        backbone: that the weights are for.
        name: of the configuration, as a message calls it.

    Raises:
        ValueError: names what differs.
    """
    if other := backbone.unlike(about.configuration):
        raise ValueError(
            f"{name} tells of another network than the backbone ({'; '.join(other)}); correct the backbone's entry, or"
            " name other weights"
        )


def load(path: Path, backbone: Backbone, classifier: str) -> Made | None:
    """Load weights that `fetch` wrote into a backbone, and tell what made them.

    Args:
        path: model.safetensors.
        backbone: changed in place.
        classifier: `kept`, or `new`: the layer that gives the logits stays as it was drawn, whatever the file holds.

    Raises:
        ValueError: when the file is damaged, or its weights are not exactly those of the backbone; it names them.
    """
    stored, by = read_weights(path)
    if prefix := _prefix(stored, backbone):
        raise ValueError(
            f"the weights {path} do not fit the backbone: every name begins with {prefix} as wrappers add it; save them"
            f" without it (name.removeprefix({prefix!r})), and name that file"
        )
    given, own = backbone.understood(stored), backbone.state_dict()
    wanted = dict(backbone.original)
    if classifier == "new":
        layers = backbone.output_layers
        drawn = tuple(f"{layer}." for layer in ((layers,) if isinstance(layers, str) else layers))
        wanted = {name: ours for name, ours in wanted.items() if not name.startswith(drawn)}
        given = {name: value for name, value in given.items() if not name.startswith(drawn)}
    lacking = [name for name in wanted if name not in given and not name.endswith(COUNTER)]
    unexpected = sorted(set(given) - set(wanted))
    other = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(own[ours].shape)}"
        for name, ours in wanted.items()
        if name in given and given[name].shape != own[ours].shape
    ]
    kind = [
        f"{name} {given[name].dtype}".replace("torch.", "")
        for name, ours in wanted.items()
        if name in given and given[name].is_floating_point() != own[ours].is_floating_point()
    ]
    wrong = {"missing": lacking, "unexpected": unexpected, "of another shape": other, "of another type": kind}
    if any(wrong.values()):
        shown = "; ".join(f"{what}: {listed(names)}" for what, names in wrong.items() if names)
        anew = " or draw its classifier anew (classifier: new)," if classifier == "kept" else ""
        size = backbone.for_another_size([name.split()[0] for name in other])
        raise ValueError(
            f"the weights {path} do not fit the backbone ({shown});{size}{anew} name others, or correct it"
        )
    backbone.load_state_dict(own | {wanted[name]: value for name, value in given.items()})
    return by


def _prefix(stored: dict[str, Tensor], backbone: Backbone) -> str:
    """What stands before the backbone's own names in every name of a file; nothing if they are there as they are."""
    first = next(iter(stored), "")
    prefixes = [first[:place] for place, letter in enumerate(first, start=1) if letter == "."]
    shared = [prefix for prefix in prefixes if all(name.startswith(prefix) for name in stored)]
    found = {
        prefix: _known({name.removeprefix(prefix): value for name, value in stored.items()}, backbone)
        for prefix in shared
    }
    best = max(found, key=lambda prefix: found[prefix], default="")
    return best if best and found[best] > _known(stored, backbone) else ""


def _known(weights: dict[str, Tensor], backbone: Backbone) -> int:
    """How many of these names are the original network's."""
    return len(backbone.renamed(weights).keys() & backbone.original.keys())
