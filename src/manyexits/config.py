"""The study as data: typed models of config.yaml, each field with its meaning and unit right under it.

Origin marks (P paper, C the authors' code, L literature, O our decision) stand beside every value of a recipe, in its
`origin` mapping; what a recipe leaves at the defaults below is O.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from manyexits import components
from manyexits.components import nearest
from manyexits.refusals import StudyError, known, with_key

Phase = Literal["backbone", "all", "heads"]
Criterion = Literal["confidence", "entropy"]
Protocol = Literal["paper", "shared", "geometric"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Channels = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=3, max_length=3)]


T = TypeVar("T")


def _distinct(values: list[T]) -> list[T]:
    if not values:
        raise ValueError("this list must not be empty")
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{twice[0]!r} appears twice; name each value once")
    return values


Distinct = Annotated[list[T], AfterValidator(_distinct)]
"""A list with at least one value and none twice."""


class Strict(BaseModel):
    """A mapping whose keys are all known."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Component(BaseModel):
    """A named entry that picks a component by its file name and gives it options, all in one flat mapping."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    @property
    def options(self) -> dict[str, Any]:
        """The options of the component, complete with their defaults."""
        return dict(self.__pydantic_extra__ or {})


def _check_options(entry: Component, kind: str, name: str) -> None:
    """Replace the raw options of an entry by validated ones."""
    model = components.options(kind, name)
    assert entry.__pydantic_extra__ is not None
    for key in entry.__pydantic_extra__:
        if key not in model.model_fields:
            valid = [*type(entry).model_fields, *model.model_fields]
            raise ValueError(f"unknown key {key!r}; valid keys: {nearest(key, valid)}")
    checked = model.model_validate(entry.__pydantic_extra__)
    entry.__pydantic_extra__.clear()
    # what is not set is left out: a component's new option that defaults to null changes no run that knows it not
    entry.__pydantic_extra__.update(checked.model_dump(exclude_none=True))


class Dataset(Component):
    """Where images and labels come from. The entry's name is also the folder of the prepared arrays."""

    source: str
    """File name in src/manyexits/data."""
    classes: Positive
    """Number of classes that the data must have."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training part that is set aside for early stopping and thresholds, stratified by class [C]."""
    split_seed: int = 42
    """Seed of that split [C]."""
    mean: Channels | None = None
    """Means of red, green and blue, in [0, 1]; null: the training split's. Pretrained weights expect their own."""
    std: Channels | None = None
    """Standard deviations of the channels, in [0, 1]; null: the training split's."""

    @model_validator(mode="after")
    def _options(self) -> "Dataset":
        _check_options(self, "data", self.source)
        return self


class Weights(Strict):
    """Pretrained weights as their publisher ships them: a plain state dict of torchvision or timm."""

    file: Annotated[str, Field(pattern=r"\.(pth|pt|bin|safetensors)$")]
    """File below data_root, or in the hub's repository."""
    hub: str | None = None
    """Id of a repository of the Hugging Face hub, where `file` is fetched if data_root has none; null: never."""
    home: str
    """Where a person gets the file."""
    licence: str
    """Licence of the weights."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    """SHA-256 of the file, or its first digits, at least 8; null: not compared."""


class Backbone(Component):
    """A network cut into stages."""

    family: str
    """File name in src/manyexits/backbones."""
    weights: Name | None = None
    """Entry of `weights` that phase 1, or a regime without one, starts from; null: from scratch."""
    classifier: Literal["new", "kept"] | None = None
    """Whether the layer that gives the logits is drawn anew or taken from the weights; stated exactly with them."""

    @model_validator(mode="after")
    def _options(self) -> "Backbone":
        _check_options(self, "backbones", self.family)
        if (self.weights is None) != (self.classifier is None):
            raise ValueError("'weights' and 'classifier' (new or kept) go together; state both or none")
        return self

    @property
    def n_blocks(self) -> int | None:
        """Number of blocks, where the options tell it."""
        blocks = self.options.get("blocks")
        return sum(blocks) if blocks else self.options.get("n_blocks")


class Method(Component):
    """Heads, loss, and how logits become answers."""

    kind: str
    """File name in src/manyexits/methods."""

    @model_validator(mode="after")
    def _options(self) -> "Method":
        _check_options(self, "methods", self.kind)
        return self


class Placement(Strict):
    """After which blocks the heads sit; exactly one of the two keys."""

    shares: list[Annotated[float, Field(gt=0, lt=1)]] | None = None
    """Shares of the stages' cost; each head goes after the block nearest to its share (SDN's rule)."""
    blocks: dict[int, list[Positive]] | None = None
    """Number of blocks of the backbone -> blocks with a head, counted from 1."""

    @model_validator(mode="after")
    def _one(self) -> "Placement":
        if (self.shares is None) == (self.blocks is None):
            raise ValueError("a placement has either 'shares' or 'blocks'")
        for total, blocks in (self.blocks or {}).items():
            if blocks != sorted(set(blocks)):
                raise ValueError(f"the blocks {blocks} must rise")
            if blocks and blocks[-1] >= total:
                raise ValueError(
                    f"there is no place for a head after block {blocks[-1]} of {total}; valid blocks: 1 to {total - 1}"
                )
        return self


class Resources(Strict):
    """What a job asks of Slurm. Changing it never retrains."""

    minutes: Positive = 720
    """Time limit of a training job in minutes; a run that comes near it saves and goes on in the next attempt."""
    memory_gib: Positive = 16
    """Main memory of a training job in GiB; grows with the attempt, to at most twice."""
    threads: Positive = 8
    """CPU threads of a training job."""


class Recipe(Resources):
    """How one phase is trained. Flat, and never overridden inline."""

    optimizer: Literal["adamw", "sgd"]
    """torch.optim.AdamW or SGD."""
    lr: Annotated[float, Field(gt=0)]
    """Learning rate at the start of the phase."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of SGD."""
    weight_decay: NotNegative = 0.0
    """Decoupled weight decay of AdamW, L2 penalty of SGD."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over the epoch limit, per step."""
    lr_min: NotNegative = 0.0
    """Learning rate at the end of the cosine."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the gradient; null: no clipping."""
    batch: Positive
    """Effective batch: images per optimiser step, over all devices."""
    devices: Positive = 1
    """Number of GPUs (ranks) that share the effective batch."""
    per_device_batch: Positive | None = None
    """Images per device and pass; null: batch / devices. Smaller values accumulate gradients."""
    epochs: Positive
    """Epoch limit."""
    patience: Positive
    """Epochs without improvement of any learning exit after which the phase stops."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Mixed precision of forward and backward."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target that is spread over all classes."""
    crop_padding: Annotated[int, Field(ge=0)] = 0
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
    erasing: Share = 0.0
    """Probability of random erasing (Zhong et al., 2020)."""
    mixup: NotNegative = 0.0
    """alpha of Mixup's Beta distribution; 0: off."""
    cutmix: NotNegative = 0.0
    """alpha of CutMix's Beta distribution; 0: off."""
    mix_per: Literal["batch", "element"] = "batch"
    """Whether a whole batch is mixed alike, or each image by numbers of its own."""
    mix_probability: Share = 1.0
    """Probability that a batch, or an image, is mixed."""
    mix_switch: Share = 0.5
    """Probability of CutMix where both are on."""
    cache_gib: NotNegative = 4.0
    """A frozen backbone's features are computed once if nothing is random and they fit this many GiB."""
    origin: dict[str, Annotated[str, Field(pattern=r"^[PCLO]( .+)?$")]] = {}
    """Field -> origin mark, optionally followed by the place (e.g. `P E.1`)."""

    @model_validator(mode="after")
    def _divides(self) -> "Recipe":
        per_device = self.per_device_batch or self.batch // self.devices
        if per_device == 0 or self.batch % (self.devices * per_device):
            raise ValueError(
                f"batch {self.batch} cannot be divided by {self.devices} devices x {per_device or 1} images;"
                " choose a multiple, or other 'devices' or 'per_device_batch'"
            )
        return self

    @model_validator(mode="after")
    def _one_crop(self) -> "Recipe":
        if self.crop_padding and self.resized_crop:
            raise ValueError("'crop_padding' and 'resized_crop' both crop; remove one of them")
        return self

    @model_validator(mode="after")
    def _marked(self) -> "Recipe":
        marked = set(self.origin)
        stated = self.model_fields_set - set(Resources.model_fields) - {"origin"}
        if missing := sorted(stated - marked):
            raise ValueError(f"'origin' lacks a mark (P, C, L or O) for {', '.join(missing)}")
        if unknown := sorted(marked - stated):
            raise ValueError(f"'origin' marks {', '.join(unknown)}, which the recipe does not state")
        return self

    def science(self) -> dict[str, Any]:
        """The settings that can change a result: all but resources and marks."""
        return self.model_dump(exclude={*Resources.model_fields, "origin"})


class Experiment(Strict):
    """One backbone on one dataset with one method, trained under every regime and seed."""

    dataset: Name
    """Entry of `datasets`."""
    backbone: Name
    """Entry of `backbones`."""
    method: Name = "sdn"
    """Entry of `methods`."""
    placement: Name = "sdn"
    """Entry of `placements`."""
    recipes: dict[Phase, Name]
    """Phase -> entry of `recipes`."""
    regimes: Distinct[Name] = ["disjoint", "joint", "mixed"]
    """Entries of `regimes`."""
    criteria: Distinct[Criterion] = ["confidence", "entropy"]
    """Exit rules that are calibrated and evaluated."""
    seeds: Distinct[Annotated[int, Field(ge=0)]] | None = None
    """Seeds; null: those of the study."""
    vary: dict[str, list[Any]] = {}
    """Key of this mapping -> values; each value makes a further experiment `{base}.{value}`."""


class Artefact(Component):
    """A table or figure: the experiments that it draws, and its own options."""

    experiments: Distinct[str]
    """Base experiments, in the order of rows or panels."""
    sweep: str | None = None
    """Key of the experiments' `vary` whose variants are drawn too."""


class Study(Strict):
    """All of config.yaml after overlays are merged, nulls removed and `extends` resolved."""

    output: str = "results"
    """Folder of everything that is made, except prepared data."""
    data: str = "data"
    """Folder of prepared data; scales share it."""
    data_root: str = "datasets"
    """Folder of the publishers' files; the environment variable MANYEXITS_DATA_ROOT wins over it."""
    hub: bool = True
    """Whether datasets that are not below data_root are fetched from the datasets hub."""
    tracker: str = "tensorboard"
    """Where curves of trainings go: a tracker of accelerate by its name, or none."""
    seeds: Distinct[Annotated[int, Field(ge=0)]]
    """Seeds of every experiment that states none."""
    budgets: Distinct[float]
    """Budgets as fractions of the backbone's cost; Max (no limit) is always added."""
    protocols: Distinct[Protocol] = ["paper", "shared", "geometric"]
    """Ways to choose thresholds."""
    datasets: dict[Name, Dataset] = {}
    weights: dict[Name, Weights] = {}
    backbones: dict[Name, Backbone] = {}
    methods: dict[Name, Method] = {}
    placements: dict[Name, Placement] = {}
    recipes: dict[Name, Recipe] = {}
    regimes: dict[Name, Annotated[list[Phase], Field(min_length=1)]] = {}
    """Regime -> its phases in order."""
    experiments: dict[Name, Experiment] = {}
    analyses: dict[Name, dict[str, Any]] = {}
    """Analysis (file name in src/manyexits/analysis) -> its options."""
    tables: dict[Name, Artefact] = {}
    figures: dict[Name, Artefact] = {}

    @model_validator(mode="after")
    def _checked(self) -> "Study":
        for budget in self.budgets:
            if not 0 < budget < float("inf"):
                raise ValueError(
                    f"budgets: {budget} is no budget; a budget is a fraction of the backbone's cost above 0"
                )
        for name, backbone in self.backbones.items():
            if backbone.weights is not None:
                known(f"backbones.{name}.weights", backbone.weights, list(self.weights))
        for name, given in self.analyses.items():
            known("analyses", name, components.names("analysis"))
            options = with_key(f"analyses.{name}", components.options("analysis", name).model_validate, given)
            self.analyses[name] = options.model_dump()
            if "control" in self.analyses[name]:
                known(f"analyses.{name}.control", self.analyses[name]["control"], list(self.regimes))
        for kind in ("tables", "figures"):
            for name, artefact in getattr(self, kind).items():
                with_key(f"{kind}.{name}", _check_options, artefact, kind, name)
                for experiment in artefact.experiments:
                    known(f"{kind}.{name}.experiments", experiment, list(self.experiments))
                if artefact.sweep is not None:
                    sweeps = [key for experiment in artefact.experiments for key in self.experiments[experiment].vary]
                    known(f"{kind}.{name}.sweep", artefact.sweep, list(dict.fromkeys(sweeps)))
        for name, experiment in self.experiments.items():
            self.check_names(f"experiments.{name}", experiment)
        return self

    def check_names(self, key: str, experiment: Experiment) -> None:
        """Refuse an experiment that names what the study does not hold, or whose parts do not fit."""
        known(f"{key}.dataset", experiment.dataset, list(self.datasets))
        known(f"{key}.backbone", experiment.backbone, list(self.backbones))
        known(f"{key}.method", experiment.method, list(self.methods))
        known(f"{key}.placement", experiment.placement, list(self.placements))
        for phase, recipe in experiment.recipes.items():
            known(f"{key}.recipes.{phase}", recipe, list(self.recipes))
        for regime in experiment.regimes:
            known(f"{key}.regimes", regime, list(self.regimes))
            for phase in self.regimes[regime]:
                if phase not in experiment.recipes:
                    raise StudyError(f"{key}.recipes: regime {regime} needs a recipe for the phase {phase}")
            if not self.later_phases(regime):
                raise StudyError(f"{key}.regimes: {regime} trains the backbone alone, as `pretrain` does; add a phase")
            recipes = [self.recipes[experiment.recipes[phase]] for phase in self.later_phases(regime)]
            for field in ("devices", "precision"):
                if len({getattr(recipe, field) for recipe in recipes}) > 1:
                    raise StudyError(
                        f"{key}.recipes: the phases of regime {regime} run in one job; give them equal {field!r}"
                    )
        blocks, total = self.placements[experiment.placement].blocks, self.backbones[experiment.backbone].n_blocks
        if blocks is not None and total is None:
            raise StudyError(
                f"{key}.placement: {experiment.placement!r} goes by the number of blocks, which {experiment.backbone!r}"
                " does not state; give the backbone its n_blocks"
            )
        if blocks is not None and total not in blocks:
            raise StudyError(
                f"{key}.placement: {experiment.placement!r} has no entry for the {total} blocks of"
                f" {experiment.backbone!r}; it has {', '.join(map(str, blocks))}"
            )

    def later_phases(self, regime: str) -> list[Phase]:
        """The phases that `train` runs: all but a first phase that trains the backbone alone, which `pretrain` runs."""
        phases = self.regimes[regime]
        return phases[1:] if phases[0] == "backbone" else phases
