"""The entries of config.yaml as typed models, each field with its meaning and unit right under it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from manyexits.study import components
from manyexits.study.fields import (
    Block,
    Channels,
    Component,
    Distinct,
    Name,
    Open,
    Origin,
    Positive,
    Protocol,
    Seed,
    Several,
    Strict,
    check_options,
    marks_of_stated,
)
from manyexits.study.recipe import Recipe
from manyexits.study.regimes import OWN_PHASES, PHASES, turns

CRITERIA = {"classification": ["confidence", "entropy"], "regression": ["agreement"]}
"""Task -> exit rules of an experiment that states none; tables print the first."""
METRICS = {"classification": "accuracy", "regression": "spearman"}
"""Task -> what tables print."""


class DatasetEntry(Component):
    """Where images and labels come from. The entry's name is also the folder of the prepared arrays."""

    source: str
    """File name in src/manyexits/data/readers."""
    classes: Positive | None = None
    """Number of classes that the data must have; exactly one of `classes` and `scores` is stated."""
    scores: Annotated[list[Annotated[float, Field(ge=-1e9, le=1e9)]], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest score that the data may have, in label units, for regression."""
    validation: Annotated[float, Field(gt=0, lt=1)] | Literal["official"] = 0.1
    """Share of the training part that is set aside for early stopping and thresholds, stratified by class [C];
    official: what the publishers set aside."""
    split_seed: Seed = 42
    """Seed of that split [C]."""
    mean: Channels | None = None
    """Means of red, green and blue, in [0, 1]; null: the training split's. Pretrained weights expect their own."""
    std: Channels | None = None
    """Standard deviations of the channels, in [0, 1]; null: the training split's."""
    tokenizer: Name | None = None
    """Entry of `weights` whose tokenizer cuts texts into pieces; texts have this or a vocabulary of their own."""
    vocabulary: Annotated[int, Field(ge=16, le=1_000_000)] | None = None
    """Number of pieces of a vocabulary that is made of the training split's texts: its letters and most frequent
    words."""
    shared: Literal["keep"] | None = None
    """keep: one photograph may lie in two splits; null: of photographs of one's own that is refused."""
    licence: str | None = None
    """Licence of a dataset of one's own; a public source states its own."""
    home: str | None = None
    """Where a person gets a dataset of one's own; with it and a licence the card calls it open."""
    origin: Origin = {}
    """Key -> origin mark, of keys whose values are not ours."""

    _marked = model_validator(mode="before")(marks_of_stated)

    @model_validator(mode="after")
    def _options(self) -> "DatasetEntry":
        check_options(self, "readers", self.source)
        return self

    @model_validator(mode="after")
    def _one_form(self) -> "DatasetEntry":
        stated = [key for key in ("tokenizer", "vocabulary") if getattr(self, key) is not None]
        if self.texts and len(stated) != 1:
            raise ValueError("texts are cut into pieces by either a 'tokenizer' or a 'vocabulary'; state one of them")
        wrong = ["mean", "std"] if self.texts else ["tokenizer", "vocabulary"]
        if odd := [key for key in wrong if getattr(self, key) is not None]:
            what, other = ("texts", "images") if self.texts else ("images", "texts")
            raise ValueError(f"'{odd[0]}' belongs to {other}, and {self.source} holds {what}; remove it")
        return self

    @property
    def texts(self) -> int | None:
        """Texts of a sample, at most; None: samples are images."""
        found: int | None = components.constant("readers", self.source, "TEXTS", None)
        return found

    @model_validator(mode="after")
    def _one_task(self) -> "DatasetEntry":
        if (self.classes is None) == (self.scores is None):
            raise ValueError("a dataset has either 'classes', for classification, or 'scores', for regression")
        if self.scores is not None and not self.scores[0] < self.scores[1]:
            raise ValueError(f"'scores' {self.scores} must rise: the lowest and the highest score")
        return self

    @property
    def task(self) -> dict[str, Any]:
        """What its labels are, as every stage is told: `classes` or `scores`."""
        return {"classes": self.classes} if self.scores is None else {"scores": self.scores}

    def told(self, name: str) -> dict[str, Any]:
        """As `prepare` is told; what its labels are not is left out."""
        unstated = {"scores" if self.scores is None else "classes", "licence", "home", "origin"}
        unstated |= {key for key in ("shared", "tokenizer", "vocabulary") if getattr(self, key) is None}
        unstated |= {"mean", "std"} if self.texts else set()
        return {"dataset": name, **self.model_dump(exclude=unstated)}

    @property
    def task_name(self) -> str:
        """classification or regression."""
        return "classification" if self.scores is None else "regression"


class WeightsEntry(Strict):
    """Pretrained weights as their publisher ships them: a plain state dict of torchvision or timm."""

    file: Annotated[str, Field(pattern=r"\.(pth|pt|bin|safetensors)$")]
    """File below data_root, or in the hub's repository."""
    folder: Annotated[str, Field(min_length=1)] | None = None
    """Folder or archive below data_root in which the files lie; null: data_root itself."""
    package: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*/.+$")] | None = None
    """Archive in an installed Python package, MODULE/FILE, that is read where data_root has none; null: never."""
    hub: str | None = None
    """Id of a repository of the Hugging Face hub, where `file` is fetched if data_root has none; null: never."""
    home: str
    """Where a person gets the file."""
    licence: str
    """Licence of the weights."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    """SHA-256 of the file, or its first digits, at least 8; null: not compared."""
    tokenizer: Annotated[str, Field(pattern=r"\.json$")] | None = None
    """Of weights for texts: the tokenizer.json that lies where `file` does."""
    configuration: Annotated[str, Field(pattern=r"\.json$")] | None = None
    """Of weights for texts: the config.json that lies where `file` does; the backbone must be as it says."""

    @model_validator(mode="after")
    def _together(self) -> "WeightsEntry":
        if (self.tokenizer is None) != (self.configuration is None):
            raise ValueError("'tokenizer' and 'configuration' are what weights for texts come with; state both or none")
        return self


class BackboneEntry(Component):
    """A network cut into stages."""

    family: str
    """File name in src/manyexits/models/backbones."""
    weights: Name | None = None
    """Entry of `weights` that phase 1, or a regime without one, starts from; null: from scratch."""
    classifier: Literal["new", "kept"] | None = None
    """Whether the layer that gives the logits is drawn anew or taken from the weights; stated exactly with them."""
    origin: Origin = {}
    """Key -> origin mark, of keys whose values are not ours."""

    _marked = model_validator(mode="before")(marks_of_stated)

    @model_validator(mode="after")
    def _options(self) -> "BackboneEntry":
        check_options(self, "backbones", self.family)
        if (self.weights is None) != (self.classifier is None):
            raise ValueError("'weights' and 'classifier' (new or kept) go together; state both or none")
        return self

    @property
    def texts(self) -> bool:
        """Whether it reads texts; else images."""
        return bool(components.constant("backbones", self.family, "READS", "images") == "texts")

    @property
    def n_blocks(self) -> int | None:
        """Number of blocks, where the options tell it: blocks per group, layers per block, or their number itself."""
        groups, layers = self.options.get("groups"), self.options.get("layers")
        return sum(groups) if groups else len(layers) if layers else self.options.get("n_blocks")


class MethodEntry(Component):
    """Heads, loss, and how logits become answers."""

    kind: str
    """File name in src/manyexits/models/methods."""

    @model_validator(mode="after")
    def _options(self) -> "MethodEntry":
        check_options(self, "methods", self.kind)
        return self

    @model_validator(mode="after")
    def _constants(self) -> "MethodEntry":
        """What its file says without being imported is what the study can read."""
        criterion, phases = self.criterion, self.phases
        if not (isinstance(phases, tuple) and set(phases) <= set(OWN_PHASES)):
            raise ValueError(f"{self._file}: PHASES must be a tuple of {', '.join(OWN_PHASES)}, as in ('ensemble',)")
        known = components.names("criteria")
        if not (
            isinstance(criterion, dict) and set(criterion) <= set(CRITERIA) and set(criterion.values()) <= set(known)
        ):
            raise ValueError(
                f"{self._file}: CRITERION must map tasks ({', '.join(CRITERIA)}) to criteria ({', '.join(known)})"
            )
        return self

    @property
    def _file(self) -> str:
        return components.file("methods", self.kind)

    @property
    def phases(self) -> tuple[str, ...]:
        """What it appends to every regime."""
        return components.constant("methods", self.kind, "PHASES", ())

    def unfit(self, recipe: Recipe) -> str | None:
        """Why its phases cannot follow a recipe, and what to do; None: they can."""
        if not components.constant("methods", self.kind, "TEACHES", False):
            return None
        if recipe.accumulation > 1:
            return (
                f"the method {self.kind} weighs a whole batch at once, and here a step takes {recipe.accumulation}"
                f" passes; set per_device_batch to {recipe.batch // recipe.devices}, or remove it"
            )
        if recipe.precision == "fp16":
            return f"the method {self.kind} differentiates gradients, which fp16 does not hold; set precision to bf16"
        return None

    @property
    def criterion(self) -> dict[str, str]:
        """Task -> the exit rule that tables print for it, where it has one of its own."""
        return components.constant("methods", self.kind, "CRITERION", {})


def _numbers(given: Any) -> Any:
    """A mapping whose keys are numbers, which JSON can only write as text."""
    if not isinstance(given, dict):
        return given
    keys = [int(key) if isinstance(key, str) and key.isdecimal() and key.isascii() else key for key in given]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ValueError(f"{twice} and the text '{twice}' are one key; keep one of them")
    return dict(zip(keys, given.values(), strict=True))


class Placement(Strict):
    """After which blocks the heads sit; exactly one of the keys."""

    shares: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)] | None = None
    """Shares of the stages' cost; each head goes after the block nearest to its share (SDN's rule)."""
    after: Annotated[dict[Block, Annotated[list[Block], Field(min_length=1)]], BeforeValidator(_numbers)] | None = None
    """Number of blocks of the backbone -> blocks with a head behind them, counted from 1."""
    every: Positive | None = None
    """Number of blocks from one head to the next; none after the last block."""
    origin: Origin = {}
    """Key -> origin mark, of keys whose values are not ours."""

    _marked = model_validator(mode="before")(marks_of_stated)

    @model_validator(mode="after")
    def _one(self) -> "Placement":
        if sum(each is not None for each in (self.shares, self.after, self.every)) != 1:
            raise ValueError("a placement has exactly one of 'shares', 'after' and 'every'")
        for total, blocks in (self.after or {}).items():
            if blocks != sorted(set(blocks)):
                raise ValueError(f"the blocks {blocks} must rise")
            if blocks[-1] >= total:
                raise ValueError(
                    f"there is no place for a head after block {blocks[-1]} of {total}; valid blocks: 1 to {total - 1}"
                )
        return self

    def told(self, n_blocks: int | None) -> dict[str, Any]:
        """As a network is told, for a backbone of so many blocks."""
        if self.after is not None:
            assert n_blocks is not None, "checked with the experiment"
            return {"after": self.after[n_blocks]}
        return {"shares": self.shares} if self.every is None else {"every": self.every}


def _by_phase(given: Any) -> Any:
    """Recipes by phase or `regime.phase`: a single name is the recipe of all phases, of an experiment or a regime."""
    if isinstance(given, str):
        return dict.fromkeys(PHASES, given)
    if not isinstance(given, dict):
        return given
    found: dict[Any, Any] = {}
    for key, named in given.items():
        if str(key).rpartition(".")[2] in PHASES and not isinstance(named, dict):
            found[key] = named
        else:
            own = named if isinstance(named, dict) else dict.fromkeys(PHASES, named)
            found |= {f"{key}.{phase}": name for phase, name in own.items()}
    return found


Recipes = Annotated[
    dict[str, Name],
    BeforeValidator(_by_phase, json_schema_input_type=dict[str, Name | dict[str, Name]] | Name),
]


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
    recipes: Recipes
    """Phase -> entry of `recipes`; a single name is the recipe of all phases. Regime -> the same, for that regime."""
    regimes: Distinct[Name] = ["disjoint", "joint", "mixed"]
    """Entries of `regimes`."""
    criteria: Distinct[Name] | None = None
    """Exit rules that are calibrated and evaluated (file names in src/manyexits/exits/criteria); null: confidence and
    entropy, or agreement for regression."""
    protocols: Distinct[Protocol] | None = None
    """Ways to choose its thresholds; null: those of the study."""
    seeds: Distinct[Seed] | None = None
    """Seeds; null: those of the study."""
    snapshots: Annotated[Distinct[Annotated[int, Field(ge=0, le=10**6)]], Field(min_length=1)] | None = None
    """After which number of epochs of each phase behind phase 1 the weights are kept, for analyses of the training; 0:
    before its first step. Variants keep none; null: nor does the base."""
    vary: dict[str, list[Any]] = {}
    """Key of this mapping -> values; each value makes a further experiment `{base}.{value}`."""
    vary_seeds: Distinct[Seed] | None = None
    """Seeds of these further experiments; null: the base's."""

    def recipe_of(self, regime: str, phase: str) -> str:
        """Recipe of a phase in a regime: its own, else that of all regimes. Nothing where none is stated, or phases
        that take turns have different ones."""
        named = {self.recipes.get(f"{regime}.{each}") or self.recipes.get(each, "") for each in turns(phase)}
        return named.pop() if len(named) == 1 else ""


class Guarantees(Strict):
    """Risks that thresholds with a guarantee tolerate."""

    tolerated: Distinct[Open] = [0.01, 0.02, 0.05, 0.1]
    """Risks, as shares of the samples."""
    delta: Open = 0.1
    """Probability with which the guarantee may be missed."""


class Represented(Strict):
    """How much of trained networks' activations on the test split is read, once for all analyses of them."""

    n: Several = 10_000
    """Samples, at most; some are drawn where there are more."""
    columns: Positive = 8000
    """Number of columns of a layer's activations, at most; some are drawn where there are more."""
    components: Positive = 32
    """Number of principal components that mutual information is measured in."""
    n_similarity: Several = 1000
    """Samples that similarity is measured on."""


ALL = "all"
"""In place of a list of experiments: every one of the study, in its order."""


def _listed(given: Any) -> Any:
    """The experiments of an artefact, as a list."""
    if isinstance(given, str) and given != ALL:
        raise ValueError(f"list experiments, as in [{given}], or write {ALL}")
    return [ALL] if given == ALL else given


class Artefact(Component):
    """A table or figure: the experiments that it draws, and its own options."""

    kind: str | None = None
    """File name in src/manyexits/artefacts/tables or figures; null: the entry's own name."""
    experiments: Annotated[Distinct[str], BeforeValidator(_listed, json_schema_input_type=list[str] | Literal["all"])]
    """Base experiments, in the order of rows or panels; all: every one of the study, in its order."""
    sweep: str | None = None
    """Key of the experiments' `vary` whose variants are drawn too."""
    variants: Distinct[str] | None = None
    """Those of the sweep's values that are drawn; null: all."""
