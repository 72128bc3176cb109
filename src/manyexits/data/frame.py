"""The special tokens that a model wants around texts."""

from pydantic import BaseModel, ConfigDict, NonNegativeInt


class Surroundings(BaseModel):
    """The special tokens around one text, or around two."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    start: list[NonNegativeInt]
    """Before the first text."""
    middle: list[NonNegativeInt]
    """Between two texts."""
    end: list[NonNegativeInt]
    """Behind the last text."""
    second: NonNegativeInt
    """Segment number of the second text and of what stands behind it; that of the first is 0."""
    pad: NonNegativeInt
    """Fills a batch up."""

    def n(self, texts: int) -> int:
        """How many there are around so many texts."""
        return len(self.start) + len(self.end) + (len(self.middle) if texts > 1 else 0)
