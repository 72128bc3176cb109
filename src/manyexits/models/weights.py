"""Pretrained weights into a backbone. Which weight goes where is asked of the backbone (`Backbone.understood`,
`Backbone.original`), so a family's names stand in its own file."""

from pathlib import Path

from manyexits.models.backbones import Backbone
from manyexits.models.network import read_weights

COUNTER = "num_batches_tracked"
"""BatchNorm's count of its batches, which nothing depends on: older files lack it."""
LISTED = 5


def load(path: Path, backbone: Backbone, classifier: str) -> None:
    """Load weights that `fetch` wrote into a backbone.

    Args:
        path: model.safetensors.
        backbone: changed in place.
        classifier: `kept`, or `new`: the layer that gives the logits stays as it was drawn, whatever the file holds.

    Raises:
        ValueError: when the file is damaged, or its weights are not exactly those of the backbone; it names them.
    """
    given, own = backbone.understood(read_weights(path)), backbone.state_dict()
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
    wrong = {"missing": lacking, "unexpected": unexpected, "of another shape": other}
    if any(wrong.values()):
        listed = "; ".join(f"{what}: {_list(names)}" for what, names in wrong.items() if names)
        anew = " or draw its classifier anew (classifier: new)," if classifier == "kept" else ""
        raise ValueError(f"the weights {path} do not fit the backbone ({listed});{anew} name others, or correct it")
    backbone.load_state_dict(own | {wanted[name]: value for name, value in given.items()})


def _list(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
