"""Backbones, one family a file: `build(classes, *, options)` returns a Backbone."""

from torch import Tensor, nn


class Backbone(nn.Module):
    """A network as stages that are run in order, cut where a head may sit, and a classifier.

    Running all stages and then the classifier is the original network.
    """

    def __init__(self, stages: list[nn.Module], classifier: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.classifier = classifier

    def tap(self, state: Tensor) -> Tensor:
        """The features that a head after a stage reads: here the state itself."""
        return state

    def forward(self, state: Tensor) -> Tensor:
        """Logits (B, C) of the backbone's own classifier."""
        for stage in self.stages:
            state = stage(state)
        return self.classifier(state)
