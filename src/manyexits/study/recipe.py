"""Recipes: how one phase is trained, and what its job asks of a cluster.

Origin marks (P paper, C the authors' code, L literature, O our decision) stand beside every value, in the mapping
`origin`; what a recipe leaves at the defaults below is O.
"""

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from manyexits.study.fields import Epochs, NotNegative, Origin, Rate, Share, Strict

LATER = ("warmup", "trivial_first", "trivial_interpolation")
"""Fields that came after the first studies: told only where they differ from their defaults, which are what was done
before, so that no older run counts as made with other settings."""
OF_IMAGES = (
    *("crop_padding", "resized_crop", "flip", "rotation", "contrast", "trivial_augment", "erasing"),
    *("mixup", "cutmix"),
)
REMOVE = "remove it; where it is inherited, set it to null, and its mark in origin"


class Resources(Strict):
    """What a job asks of Slurm. Changing it never retrains."""

    minutes: Annotated[int, Field(ge=1, le=525_600)] = 720
    """Time limit of a training job in minutes; a run that comes near it saves and goes on in the next attempt."""
    memory_gib: Annotated[int, Field(ge=1, le=65_536)] = 16
    """Main memory of a training job in GiB; grows with the attempt, to at most twice."""
    threads: Annotated[int, Field(ge=1, le=4096)] = 8
    """Number of CPU threads of a training job."""


class Recipe(Strict):
    """How one phase is trained: all that can change a result. Flat, and never overridden inline."""

    model_config = ConfigDict(defer_build=True)  # the study has stated recipes; a training alone needs these

    optimizer: Literal["adamw", "sgd"]
    """torch.optim.AdamW or SGD."""
    lr: Rate
    """Learning rate at the start of the phase; a factor of the gradient."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of SGD: the share of the last step that is kept."""
    weight_decay: NotNegative = 0.0
    """Factor of the decoupled weight decay of AdamW, or of the L2 penalty of SGD."""
    schedule: Literal["constant", "cosine", "step", "linear"] = "cosine"
    """Learning rate over the epoch limit, per step of training; `step`: a tenth from half of the limit on, a hundredth
    from three quarters on (MSDNet); `linear`: it falls to 0 evenly, once it has risen (BERT)."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the epoch limit over which the learning rate of `linear` rises evenly from 0."""
    lr_min: NotNegative = 0.0
    """Learning rate at the end of the cosine; a factor of the gradient."""
    clip: Rate | None = None
    """Largest Euclidean norm of the gradient; null: no clipping."""
    batch: Annotated[int, Field(ge=1, le=10**7)]
    """Effective batch: samples per optimiser step, over all devices."""
    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of GPUs (ranks) that share the effective batch."""
    per_device_batch: Annotated[int, Field(ge=1, le=10**7)] | None = None
    """Samples per device and pass; null: batch / devices. Smaller values accumulate gradients."""
    epochs: Epochs
    """Number of epochs after which the phase stops."""
    patience: Epochs
    """Number of epochs without improvement of any learning exit after which the phase stops."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Mixed precision of forward and backward."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target that is spread over all classes."""
    crop_padding: Annotated[int, Field(ge=0, le=4096)] = 0
    """Random crop after zero padding by so many pixels; 0: off."""
    resized_crop: Annotated[float, Field(gt=0, le=1)] | None = None
    """Random part of each image, of 3:4 to 4:3, scaled to the view: the least share of the area; null: off."""
    flip: bool = False
    """Random horizontal flip with probability 1/2."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Random rotation by up to so many degrees either way; 0: off."""
    contrast: NotNegative = 0.0
    """Random contrast: its factor differs from 1 by up to so much; 0: off."""
    trivial_augment: bool = False
    """TrivialAugmentWide (Mueller and Hutter, 2021)."""
    trivial_first: bool = False
    """Whether it sees the whole image, before `crop_padding`, `flip`, `rotation` and `contrast`; else it comes last."""
    trivial_interpolation: Literal["nearest", "bicubic"] = "nearest"
    """Where it shears and rotates: the nearest pixel, as torchvision's default, or Pillow's bicubic."""
    erasing: Share = 0.0
    """Probability of random erasing (Zhong et al., 2020)."""
    mixup: NotNegative = 0.0
    """Parameter alpha of Mixup's Beta distribution; 0: off."""
    cutmix: NotNegative = 0.0
    """Parameter alpha of CutMix's Beta distribution; 0: off."""
    mix_per: Literal["batch", "element"] = "batch"
    """Whether a whole batch is mixed alike, or each image by numbers of its own."""
    mix_probability: Share = 1.0
    """Probability that a batch, or an image, is mixed."""
    mix_switch: Share = 0.5
    """Probability of CutMix where both are on."""
    cache_gib: NotNegative = 4.0
    """A frozen backbone's features are computed once if nothing is random and they fit this many GiB."""

    @property
    def of_images(self) -> list[str]:
        """Options that are in use and make sense for images alone."""
        return [name for name in OF_IMAGES if getattr(self, name)]

    @property
    def per_device(self) -> int:
        """Samples per device and pass."""
        return self.per_device_batch or self.batch // self.devices

    @property
    def accumulation(self) -> int:
        """Passes of a device whose gradients make one step."""
        return self.batch // (self.devices * self.per_device)

    @model_validator(mode="after")
    def _divides(self) -> "Recipe":
        if self.per_device == 0 or self.batch % (self.devices * self.per_device):
            raise ValueError(
                f"batch {self.batch} cannot be divided by {self.devices} devices x {self.per_device or 1} samples;"
                " choose a multiple, or other 'devices' or 'per_device_batch'"
            )
        return self

    @model_validator(mode="after")
    def _has_effect(self) -> "Recipe":
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"'momentum' belongs to sgd, and the optimizer is {self.optimizer}; {REMOVE}")
        if self.lr_min and self.schedule != "cosine":
            raise ValueError(f"'lr_min' is the end of a cosine, and the schedule is {self.schedule}; {REMOVE}")
        if self.warmup and self.schedule != "linear":
            raise ValueError(f"'warmup' is the beginning of linear, and the schedule is {self.schedule}; {REMOVE}")
        if self.lr_min > self.lr:
            raise ValueError(f"'lr_min' {self.lr_min:g} is larger than 'lr' {self.lr:g}; lower it")
        return self

    @model_validator(mode="after")
    def _one_crop(self) -> "Recipe":
        if self.crop_padding and self.resized_crop:
            raise ValueError("'crop_padding' and 'resized_crop' both crop; remove one of them")
        if self.trivial_first and self.resized_crop:
            raise ValueError(f"'resized_crop' comes before all else, and 'trivial_first' would, too; {REMOVE}")
        of_trivial = [name for name in LATER if "trivial" in name and getattr(self, name) != DEFAULTS[name]]
        if of_trivial and not self.trivial_augment:
            raise ValueError(f"'{of_trivial[0]}' is how 'trivial_augment' works, which is off; {REMOVE}")
        return self


DEFAULTS = {name: Recipe.model_fields[name].default for name in LATER}


class StatedRecipe(Recipe, Resources):
    """A recipe as config.yaml states it: with what its job asks for, and where its values come from."""

    origin: Origin = {}
    """Field -> origin mark, optionally followed by the place (e.g. `P E.1`); a single mark is that of all fields."""

    @model_validator(mode="after")
    def _marked(self) -> "StatedRecipe":
        marked = set(self.origin)
        stated = self.model_fields_set & set(Recipe.model_fields)
        if missing := sorted(stated - marked):
            raise ValueError(f"'origin' lacks a mark (P, C, L or O) for {', '.join(missing)}")
        if unknown := sorted(marked - stated):
            raise ValueError(f"'origin' marks {', '.join(unknown)}, which the recipe does not state")
        return self

    def science(self) -> dict[str, Any]:
        """The settings that can change a result: all but resources and marks. One mapping for all who ask, which nobody
        changes."""
        return self._science

    @cached_property
    def _science(self) -> dict[str, Any]:
        told = self.model_dump(include=set(Recipe.model_fields))
        return {name: value for name, value in told.items() if name not in LATER or value != DEFAULTS[name]}
