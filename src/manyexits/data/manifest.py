"""The shapes of manifest.json and splits.json, which `prepare` writes beside a dataset."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, model_validator

from manyexits.data.frame import Surroundings

Mean = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(gt=0, le=1)]


class _Split(BaseModel):
    indices: list[int]


class Splits(BaseModel):
    """What is read of splits.json: places of images in the training part."""

    train: _Split
    validation: _Split


class _Sizes(BaseModel):
    train: int
    validation: int
    test: int


class _Settings(BaseModel):
    """What labels are: numbers of classes, or scores."""

    model_config = ConfigDict(extra="allow")
    classes: PositiveInt | None = None
    scores: tuple[FiniteFloat, FiniteFloat] | None = None

    @model_validator(mode="after")
    def _has_labels(self) -> "_Settings":
        if self.classes is None and self.scores is None:
            raise ValueError("names neither classes nor scores")
        return self


class _AnyManifest(BaseModel):
    """What is read of manifest.json, whatever samples are."""

    model_config = ConfigDict(extra="allow")
    settings: _Settings
    n: _Sizes
    class_names: list[str]
    files_sha256: dict[str, str]


class ImagesManifest(_AnyManifest):
    """What is read of manifest.json where samples are images."""

    shape: tuple[int, int, int]
    mean: tuple[Mean, Mean, Mean]
    std: tuple[Deviation, Deviation, Deviation]


class TextsManifest(_AnyManifest):
    """What is read of manifest.json where samples are texts."""

    texts: Annotated[int, Field(ge=1, le=2)]
    """Of each sample."""
    vocabulary: PositiveInt
    frame: Surroundings


def shape_of(told: dict[str, Any]) -> type[ImagesManifest] | type[TextsManifest]:
    """The shape that a manifest should have."""
    return TextsManifest if "vocabulary" in told else ImagesManifest
