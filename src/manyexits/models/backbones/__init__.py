"""Backbones, one family a file: `build(classes, *, options)` returns a Backbone."""

from torch import Tensor, nn


class Backbone(nn.Module):
    """A network as stages that are run in order, cut where a head may sit, and a classifier.

    Running all stages and then the classifier is the original network.
    """

    def __init__(
        self,
        stages: list[nn.Module],
        classifier: nn.Module,
        outputs: str | tuple[str, ...],
        pixels: int | None = None,
    ) -> None:
        """A backbone from its parts.

        Args:
            stages: state -> state; the first state is the image.
            classifier: last state -> logits.
            outputs: name in the original network of the layer, or layers, that give the logits.
            pixels: the one height and width of images that it takes; None: any.
        """
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.classifier = classifier
        self.outputs, self.pixels = outputs, pixels
        self.original: dict[str, str] = {}
        """Name of each weight in the original network -> its name here."""

    def tap(self, state: Tensor) -> Tensor:
        """What a head after a stage reads: maps (B, D, H, W) or vectors (B, D). Here the state itself."""
        return state

    def understood(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Published weights under the names of the original network. Here they have them already."""
        return weights

    def forward(self, state: Tensor) -> Tensor:
        """Logits (B, C) of the backbone's own classifier."""
        for stage in self.stages:
            state = stage(state)
        return self.classifier(state)
