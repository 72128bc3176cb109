"""timm's models (Wightman, 2019) whose network is a chain of blocks: ViT, DeiT, Mixer, ConvNeXt, EfficientNet, ResNet …

A stage is one block. What the model computes before its first block (patches, positions, stem) belongs to the first
stage, what it computes after the last (norm, pooling, head) to the classifier. Both are the model's own
`forward_features` and `forward_head` on a copy of it that lacks the rest, so nothing is written a second time; that the
chain is the model's own forward is checked whenever one is built.
"""

from collections.abc import Callable
from functools import partial
from math import isqrt
from typing import Annotated, Any, Literal, cast

import timm
import torch
from pydantic import Field
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from manyexits.batches.state import State
from manyexits.models.backbones import Backbone, _parts, in_mode
from manyexits.study.components import nearest

TRIED = 64
"""Height and width at which a model that takes any is tried; if it cannot run there, at its own."""

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

POSITIONS = ("pos_embed", "position", "rel_pos", "attn_mask", "attention_bias", "tokens")
"""Parts of the names of weights whose shapes depend on the size of the images."""


class Chain(Backbone):
    """A model of timm as stages. Its state is a map (B, D, H, W), or with its channels last where the model has them
    there, or tokens (B, N, D) with any class token first."""

    compare: Callable[[Tensor], None]
    """Refuses the chain where its answers to images of this size are not the model's."""

    def __init__(self, model: Any, stages: list[nn.Module], classifier: nn.Module, pixels: int | None) -> None:
        super().__init__(stages, classifier, model.pretrained_cfg["classifier"], pixels)
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        names = {id(value): name for name, value in model.state_dict(keep_vars=True).items()}
        self.original = {names[id(value)]: name for name, value in self.state_dict(keep_vars=True).items()}
        self.class_token = getattr(model, "cls_token", None) is not None
        self.prefix = getattr(model, "num_prefix_tokens", 0)
        """Tokens that stand before those of the patches: class token, distillation token, registers."""
        self.resamples = getattr(model, "pos_embed", None) is not None and hasattr(model, "no_embed_class")
        """Whether its position embeddings can be resampled."""
        self.resample = False
        """Whether position embeddings of weights for another image size are resampled."""
        self.output_start: Literal["zeros", "torch"] | None = None
        """What the layer, or layers, that give the outputs start at; None: as timm draws them."""

    def check(self, inputs: State) -> None:
        """Refuse images that the model cannot take, or on which it is no chain.

        Raises:
            ValueError: for images of another size than its own, or on which it does not run.
        """
        super().check(inputs)
        assert isinstance(inputs, Tensor)
        self.compare(inputs)

    def begin(self) -> None:
        """Draw the layers that give the outputs as `output_start` says."""
        layers = (self.output_layers,) if isinstance(self.output_layers, str) else self.output_layers
        for layer in layers if self.output_start else ():
            place = self.original[f"{layer}.weight"].removesuffix(".weight")
            linear = cast(nn.Linear, self.get_submodule(place))
            linear.reset_parameters()
            if self.output_start == "zeros":
                for parameter in linear.parameters():
                    nn.init.zeros_(parameter)

    def renamed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of timm, or of torchvision's ViT, under timm's names."""
        if "class_token" in weights:
            return {_of_torchvision(name): value for name, value in weights.items()}
        return weights

    def understood(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights under timm's names.

        Where the backbone says so, position embeddings for another number of patches are resampled as timm does it.
        """
        weights = self.renamed(weights)
        stem: Any = self.get_submodule("stages.0.0.model")
        given = weights.get("pos_embed") if self.resample else None
        if given is None or given.dim() != 3 or given.shape[1] == stem.pos_embed.shape[1]:
            return weights
        prefix = 0 if stem.no_embed_class else self.prefix
        patches = given.shape[1] - prefix
        if patches < 1 or isqrt(patches) ** 2 != patches:
            return weights  # of no square grid: refused for its shape
        size = list(stem.patch_embed.grid_size)
        return weights | {"pos_embed": resample_abs_pos_embed(given, new_size=size, num_prefix_tokens=prefix)}

    def for_another_size(self, names: list[str]) -> str:
        """Position embeddings can be resampled; tables of relative positions, and what mixes tokens, cannot."""
        if "pos_embed" in names and not self.resample and self.resamples:
            return " set the backbone's resample_positions: true,"
        sized = any(part in name for name in names for part in POSITIONS)
        return " set the backbone's pixels to the size of the images that they are for," if sized else ""

    def tap(self, state: State) -> Tensor:
        """A map as it is; of tokens the class token (B, D), or the mean over the patches where there is none."""
        assert isinstance(state, Tensor)
        if state.dim() == 4:
            return state.permute(0, 3, 1, 2) if self.channels_last else state
        return state[:, 0] if self.class_token else state[:, self.prefix :].mean(1)


def build(
    outputs: int,
    *,
    name: str,
    n_blocks: Annotated[int, Field(ge=1, le=4096)] | None = None,
    pixels: Annotated[int, Field(ge=1, le=4096)] | None = None,
    patch: Annotated[int, Field(ge=1, le=4096)] | None = None,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    attention_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    resample_positions: bool = False,
    output_layer: Literal["zeros", "torch"] | None = None,
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
        output_layer: what the layer that gives the outputs starts at: zeros, as torchvision's ViT, or torch, PyTorch's
            own draw [C: ViT-S from scratch, ViT-B with a new classifier]; null: as timm draws it.

    Raises:
        ValueError: for a name that timm does not know, an option that the model does not take, a number of blocks that
            it does not have, and a model that is no chain.
    """
    if name not in timm.list_models():
        raise ValueError(f"timm has no {name!r}; nearest names: {nearest(name, timm.list_models(), 5)}")
    options = {"pixels": pixels, "patch": patch, "dropout": dropout}
    options |= {"attention_dropout": attention_dropout, "drop_path": drop_path}
    model = _create(name, outputs, {option: value for option, value in options.items() if value})
    about = model.pretrained_cfg
    own = about["input_size"][-1]
    size = pixels or (own if about.get("fixed_input_size") else None)
    _check_patches(name, model, size)
    tried, final = _final(name, model, [size] if size else [TRIED, own])
    chain = _chain(name, model, final, size, _images(tried, tried))
    chain.compare = partial(_compare, name, model, chain, (tried, tried))
    if n_blocks not in (None, len(chain.stages)):
        raise ValueError(f"timm's {name} has {len(chain.stages)} blocks, not {n_blocks}; correct n_blocks")
    if resample_positions and not chain.resamples:
        raise ValueError(f"timm's {name} has no position embedding that can be resampled; remove resample_positions")
    chain.resample, chain.output_start = resample_positions, output_layer
    chain.train()
    return chain


def _create(name: str, outputs: int, stated: dict[str, Any]) -> Any:
    """A model in evaluation mode, with the options stated."""
    told = {argument: value for option, value in stated.items() for argument in ARGUMENTS[option]}
    try:
        return timm.create_model(name, num_classes=outputs, **told).eval()
    except Exception as error:  # a model's own code can fail anywhere
        with_what = ", ".join(f"{option} {value}" for option, value in stated.items()) or "its own settings"
        raise ValueError(f"timm's {name} cannot be built with {with_what} ({_parts.reason(error)})") from error


def _check_patches(name: str, model: Any, pixels: int | None) -> None:
    """Refuse images whose edges no patch would hold; whoever states the size of a patch, the model has it."""
    sides = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    for side in sides if pixels and isinstance(sides, tuple) else ():
        if pixels % side:
            below = pixels // side * side
            raise ValueError(
                f"timm's {name}: images of {pixels} pixels cannot be cut into patches of {side}; choose pixels"
                f" {f'{below} or ' if below else ''}{below + side}, or a divisor of {pixels} as patch"
            )


def _images(height: int, width: int) -> Tensor:
    """Two of random pixels, always the same."""
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def _final(name: str, model: Any, sizes: list[int]) -> tuple[int, list[str]]:
    """The first size of images on which a model runs, and the parts of its own that compute its features, in order."""
    for size in sizes:
        calls: list[str] = []
        hooks = [
            child.register_forward_hook(lambda *_, part=part, calls=calls: calls.append(part))
            for part, child in model.named_children()
        ]
        try:
            with torch.no_grad():
                features = model.forward_features(_images(size, size))
                called = list(calls)
                model.forward_head(features)
            return size, called
        except Exception as error:  # a model's own code can fail anywhere
            failed = error
        finally:
            for hook in hooks:
                hook.remove()
    tried = " or ".join(f"{size} x {size}" for size in sizes)
    raise _parts.NoChainError(name, f"it does not run on images of {tried} pixels ({_parts.reason(failed)})")


def _chain(name: str, model: Any, called: list[str], size: int | None, images: Tensor) -> Chain:
    """A model as a chain of its blocks, or of its groups of blocks where these do more than run them."""
    try:
        chain = _cut(name, model, called, size)
        _check(name, model, chain, images)
    except _parts.NoChainError as error:
        try:
            chain = _cut(name, model, called, size, whole=True)
            _check(name, model, chain, images)
        except _parts.NoChainError:
            raise error from None
    return chain


def _cut(name: str, model: Any, called: list[str], size: int | None, whole: bool = False) -> Chain:
    """A model in parts that share its weights, groups of blocks whole or not; the model itself stays as it is."""
    children = dict(model.named_children())
    containers = next((names for names in _parts.CHAINS if set(names) <= set(children)), None)
    if containers is None:
        raise _parts.NoChainError(name, "it has none of these")
    before = list(children)[: list(children).index(containers[0])]
    after = [part for part in children if part not in (*before, *containers)]
    final = [part for part in called if part in after]

    blocks = [block for part in containers for block in _parts.blocks(children[part], whole)]
    stem = _parts.Before(_parts.without(model, [*containers, *after]))
    head = _parts.without(model, [*before, *containers, *final])
    for key, _ in list(head.named_parameters(recurse=False)):
        setattr(head, key, None)  # class token and positions belong to the stem
    classifier = _parts.After(nn.Sequential(), head)
    for part in final:
        classifier.final.add_module(part, children[part])
    stages = [nn.Sequential(stem, blocks[0]), *blocks[1:]]

    chain = Chain(model, stages, classifier, size)
    if lost := sorted(set(model.state_dict()) - set(chain.original)):
        raise _parts.NoChainError(name, f"{lost[0]} stands neither in its blocks nor before or after them")
    return chain


def _of_torchvision(name: str) -> str:
    """timm's name of a weight of torchvision's VisionTransformer, before or after it renamed the MLP's layers."""
    for theirs, here in TORCHVISION.items():
        name = name.replace(theirs, here)
    return name


def _compare(name: str, model: Any, chain: Chain, tried: tuple[int, int], inputs: Tensor) -> None:
    """Check a chain once more at the size that it runs at, if that is another than the one at which it was tried."""
    height, width = inputs.shape[2:]
    if (height, width) == tried:
        return
    images = _images(height, width)
    try:
        with torch.no_grad(), in_mode(model, training=False):
            model(images)
    except Exception as error:  # a model's own code can fail anywhere
        own = model.pretrained_cfg["input_size"][-1]
        raise ValueError(
            f"timm's {name} does not run on images of {width} x {height} pixels ({_parts.reason(error)}); prepare the"
            f" dataset at another size, such as {own} x {own}, or choose another model"
        ) from error
    with in_mode(chain, training=False), in_mode(model, training=False):
        _check(name, model, chain, images)


@torch.no_grad()
def _check(name: str, model: Any, chain: Chain, images: Tensor) -> None:
    """Refuse a chain whose answers are not the model's, in evaluation mode.

    All weights are moved for this, and put back: a head that starts at zero would make any chain right.
    """
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    try:
        answer = _answer(name, chain, images)
        if not torch.allclose(answer, model(images), rtol=1e-5, atol=1e-5):
            raise _parts.NoChainError(name, "run one after the other, its blocks give another answer")
    finally:
        model.load_state_dict(kept)


def _answer(name: str, chain: Chain, images: Tensor) -> Tensor:
    """What a chain says, if all of its states are what heads can read."""
    state = images
    square = images.shape[2] == images.shape[3]
    for number, stage in enumerate((*chain.stages, chain.classifier), start=1):
        try:
            state = stage(state)
        except Exception as error:  # a model that is no chain can fail anywhere in its own code
            raise _parts.NoChainError(name, f"its parts do not run alone ({_parts.reason(error)})") from error
        if number > len(chain.stages):
            break
        if not isinstance(state, Tensor) or state.dim() not in (3, 4) or len(state) != len(images):
            raise _parts.NoChainError(name, f"after block {number} its state is neither maps nor tokens")
        if square and state.dim() == 4 and (maps := chain.tap(state)).shape[2] != maps.shape[3]:
            raise _parts.NoChainError(name, f"its maps {tuple(state.shape[1:])} do not have their channels first")
    return state
