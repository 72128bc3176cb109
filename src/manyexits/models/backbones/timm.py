"""timm's models (Wightman, 2019) whose network is a chain of blocks: ViT, DeiT, Mixer, ConvNeXt, EfficientNet, ResNet …

A stage is one block. What the model computes before its first block (patches, positions, stem) belongs to the first
stage, what it computes after the last (norm, pooling, head) to the classifier. Both are the model's own
`forward_features` and `forward_head` on a copy of it that lacks the rest, so nothing is written a second time; that the
chain is the model's own forward is checked whenever one is built.
"""

import copy
from typing import Annotated, Any

import timm
import torch
from pydantic import Field
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from manyexits.batches.state import State
from manyexits.models.backbones import Backbone
from manyexits.study.components import nearest

CHAINS = (("blocks",), ("stages",), ("layer1", "layer2", "layer3", "layer4"))
"""Where timm's models keep their blocks."""

ARGUMENTS = {
    "pixels": ("img_size",),
    "patch": ("patch_size",),
    "dropout": ("pos_drop_rate", "proj_drop_rate"),
    "attention_dropout": ("attn_drop_rate",),
    "drop_path": ("drop_path_rate",),
}
"""Our options -> timm's arguments. torchvision's ViT has one `dropout` where timm has the two: after the position
embedding, and after the attention's and both of the MLP's linear layers."""

TORCHVISION = {
    "class_token": "cls_token",
    "conv_proj.": "patch_embed.proj.",
    "encoder.pos_embedding": "pos_embed",
    "encoder.layers.encoder_layer_": "blocks.",
    ".ln_1.": ".norm1.",
    ".self_attention.in_proj_": ".attn.qkv.",
    ".self_attention.out_proj.": ".attn.proj.",
    ".ln_2.": ".norm2.",
    ".mlp.0.": ".mlp.fc1.",
    ".mlp.linear_1.": ".mlp.fc1.",
    ".mlp.3.": ".mlp.fc2.",
    ".mlp.linear_2.": ".mlp.fc2.",
    "encoder.ln.": "norm.",
    "heads.head.": "head.",
}
"""Parts of the names in torchvision's ViT -> in timm's; its file of ViT-B/16 still has `linear_1` and `linear_2`."""


class NoChainError(ValueError):
    """A model of timm is no chain of blocks."""

    def __init__(self, name: str, why: object) -> None:
        super().__init__(
            f"timm's {name} is no chain kept in `blocks`, `stages` or `layer1` to `layer4`: {why}; choose another"
            " model, such as a ViT, ConvNeXt or ResNet"
        )


class Before(nn.Module):
    """What a model computes before its first block, from images (B, 3, H, W)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """The state that the first block reads."""
        return self.model.forward_features(images)


class After(nn.Module):
    """What a model computes after its last block: what is left of its features, then its head."""

    def __init__(self, final: nn.Sequential, model: Any) -> None:
        super().__init__()
        self.final, self.model = final, model

    def forward(self, state: Tensor) -> Tensor:
        """Logits (B, C) from the state after the last block."""
        return self.model.forward_head(self.final(state))


class Chain(Backbone):
    """A model of timm as stages. Its state is a map (B, D, H, W), or tokens (B, N, D) with any class token first."""

    def __init__(self, model: Any, stages: list[nn.Module], classifier: nn.Module, pixels: int | None) -> None:
        super().__init__(stages, classifier, model.pretrained_cfg["classifier"], pixels)
        names = {id(value): name for name, value in model.state_dict(keep_vars=True).items()}
        self.original = {names[id(value)]: name for name, value in self.state_dict(keep_vars=True).items()}
        self.class_token = getattr(model, "cls_token", None) is not None
        self.prefix = getattr(model, "num_prefix_tokens", 0)
        """Tokens that stand before those of the patches: class token, distillation token, registers."""
        self.resample = False
        """Whether position embeddings of weights for another image size are resampled."""

    def understood(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of timm, or of torchvision's ViT, under timm's names.

        Where the backbone says so, position embeddings for another number of patches are resampled as timm does it.
        """
        if "class_token" in weights:
            weights = {_of_torchvision(name): value for name, value in weights.items()}
        stem: Any = self.get_submodule("stages.0.0.model")
        if self.resample and "pos_embed" in weights and weights["pos_embed"].shape[1] != stem.pos_embed.shape[1]:
            resampled = resample_abs_pos_embed(
                weights["pos_embed"],
                new_size=list(stem.patch_embed.grid_size),
                num_prefix_tokens=0 if stem.no_embed_class else self.prefix,
            )
            weights = weights | {"pos_embed": resampled}
        return weights

    def tap(self, state: State) -> Tensor:
        """A map as it is; of tokens the class token (B, D), or the mean over the patches where there is none."""
        assert isinstance(state, Tensor)
        if state.dim() == 4:
            return state
        return state[:, 0] if self.class_token else state[:, self.prefix :].mean(1)


def build(
    outputs: int,
    *,
    name: str,
    n_blocks: Annotated[int, Field(ge=1)] | None = None,
    pixels: Annotated[int, Field(ge=1)] | None = None,
    patch: Annotated[int, Field(ge=1)] | None = None,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    attention_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    resample_positions: bool = False,
) -> Backbone:
    """A model of timm as stages, without pretrained weights.

    Args:
        outputs: of the classifier.
        name: as `timm.list_models()` has it.
        n_blocks: number of its blocks, for placements that go by it; checked.
        pixels: height and width of images where the model is made for one size; null: timm's own.
        patch: height and width of a patch; null: timm's own.
        dropout: after the position embedding and every linear layer of attention and MLP, as torchvision's ViT has it.
        attention_dropout: on the attention weights.
        drop_path: rate of stochastic depth at the last block, rising from 0 at the first.
        resample_positions: whether position embeddings of pretrained weights for another image size are resampled;
            otherwise such weights are refused.

    Raises:
        ValueError: for a name that timm does not know, an option that the model does not take, a number of blocks that
            it does not have, and a model that is no chain.
    """
    if name not in timm.list_models():
        raise ValueError(f"timm has no {name!r}; nearest names: {nearest(name, timm.list_models(), 5)}")
    if pixels and patch and pixels % patch:
        raise ValueError(f"images of {pixels} pixels cannot be cut into patches of {patch}; choose a divisor as patch")
    options = {"pixels": pixels, "patch": patch, "dropout": dropout}
    options |= {"attention_dropout": attention_dropout, "drop_path": drop_path}
    model = _create(name, outputs, {option: value for option, value in options.items() if value})
    about = model.pretrained_cfg
    size = pixels or (about["input_size"][-1] if about.get("fixed_input_size") else None)
    images = torch.randn(2, 3, size or 64, size or 64)
    try:
        chain = _cut(name, model, images, size)
        _check(name, model, chain, images)
    except NoChainError:
        raise
    except Exception as error:  # a model that is no chain can fail anywhere in its own code
        raise NoChainError(name, f"its parts do not run alone ({str(error).partition(chr(10))[0]})") from error
    if n_blocks not in (None, len(chain.stages)):
        raise ValueError(f"timm's {name} has {len(chain.stages)} blocks, not {n_blocks}; correct n_blocks")
    if resample_positions and getattr(model, "pos_embed", None) is None:
        raise ValueError(f"timm's {name} has no position embedding; remove resample_positions")
    chain.resample = resample_positions
    chain.train()
    return chain


def _create(name: str, outputs: int, stated: dict[str, Any]) -> Any:
    """A model in evaluation mode, with the options stated."""
    told = {argument: value for option, value in stated.items() for argument in ARGUMENTS[option]}
    try:
        return timm.create_model(name, num_classes=outputs, **told).eval()
    except (TypeError, ValueError, AssertionError) as error:
        with_what = ", ".join(f"{option} {value}" for option, value in stated.items()) or "its own settings"
        raise ValueError(f"timm's {name} cannot be built with {with_what} ({error})") from error


def _cut(name: str, model: Any, images: Tensor, size: int | None) -> Chain:
    """A model in parts that share its weights; the model itself stays as it is."""
    children = dict(model.named_children())
    containers = next((names for names in CHAINS if set(names) <= set(children)), None)
    if containers is None:
        raise NoChainError(name, "it has none of these")
    before = list(children)[: list(children).index(containers[0])]
    after = [part for part in children if part not in (*before, *containers)]
    final = [part for part in _called(model, images) if part in after]

    blocks = [block for part in containers for entry in _entries(children[part]) for block in _entries(entry)]
    stem = Before(_without(model, [*containers, *after]))
    head = _without(model, [*before, *containers, *final])
    for key, _ in list(head.named_parameters(recurse=False)):
        setattr(head, key, None)  # class token and positions belong to the stem
    classifier = After(nn.Sequential(), head)
    for part in final:
        classifier.final.add_module(part, children[part])
    stages = [nn.Sequential(stem, blocks[0]), *blocks[1:]]

    chain = Chain(model, stages, classifier, size)
    if lost := sorted(set(model.state_dict()) - set(chain.original)):
        raise NoChainError(name, f"{lost[0]} stands neither in its blocks nor before or after them")
    return chain


def _of_torchvision(name: str) -> str:
    """timm's name of a weight of torchvision's VisionTransformer, before or after it renamed the MLP's layers."""
    for theirs, here in TORCHVISION.items():
        name = name.replace(theirs, here)
    return name


def _entries(part: nn.Module) -> list[nn.Module]:
    """The parts of a container of blocks; a block is its own only part.

    A container is a list of modules that have parts themselves, or a module with such `blocks` at its end; what it has
    before them is joined to the first.
    """
    children = dict(part.named_children())
    if isinstance(part, nn.Sequential | nn.ModuleList) and all(list(child.children()) for child in children.values()):
        return list(children.values())
    if list(children)[-1:] == ["blocks"] and isinstance(children["blocks"], nn.Sequential | nn.ModuleList):
        first, *others = children.pop("blocks").children()
        return [nn.Sequential(*children.values(), first), *others]
    return [part]


def _called(model: Any, images: Tensor) -> list[str]:
    """The model's own parts that compute its features, in order."""
    calls: list[str] = []
    hooks = [
        child.register_forward_hook(lambda *_, part=part: calls.append(part)) for part, child in model.named_children()
    ]
    with torch.no_grad():
        model.forward_features(images)
    for hook in hooks:
        hook.remove()
    return calls


def _without(model: Any, parts: list[str]) -> Any:
    """A copy that shares the model's weights and parts, but in which some parts do nothing."""
    shared = (*model.children(), *model.parameters(recurse=False), *model.buffers(recurse=False))
    copied = copy.deepcopy(model, {id(part): part for part in shared})
    for part in parts:
        setattr(copied, part, nn.Sequential())
    return copied


@torch.no_grad()
def _check(name: str, model: Any, chain: Chain, images: Tensor) -> None:
    """Refuse a chain whose answers are not the model's, in evaluation mode.

    All weights are moved for this, and put back: a head that starts at zero would make any chain right.
    """
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    state = images
    for number, stage in enumerate(chain.stages, start=1):
        state = stage(state)
        if not isinstance(state, Tensor) or state.dim() not in (3, 4) or len(state) != len(images):
            raise NoChainError(name, f"after block {number} its state is neither maps nor tokens")
        if state.dim() == 4 and state.shape[2] != state.shape[3]:  # the images are square
            raise NoChainError(name, f"its maps {tuple(state.shape[1:])} do not have their channels first")
    if not torch.allclose(chain.classifier(state), model(images), rtol=1e-5, atol=1e-5):
        raise NoChainError(name, "run one after the other, its blocks give another answer")
    model.load_state_dict(kept)
