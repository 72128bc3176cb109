"""Exit heads as DEFINITIONS of the field have them: SDN's mixed pooling, and deeper ones."""

import re

import pytest
import torch
from torch import nn

from manyexits.models.backbones import Tap
from manyexits.models.heads import MixedPool, head
from manyexits.models.methods import Now, pbee, sdn


def test_mixed_pooling_weighs_maximum_and_average():
    pool = MixedPool(1)
    with torch.no_grad():
        pool.alpha.fill_(0.25)
    x = torch.tensor([[[[0.0, 1.0], [2.0, 9.0]]]])
    assert pool(x).item() == pytest.approx(0.25 * 9 + 0.75 * 3)


def test_alpha_starts_uniform():
    torch.manual_seed(0)
    alphas = torch.tensor([MixedPool(4).alpha.item() for _ in range(500)])
    assert alphas.min() >= 0
    assert alphas.max() <= 1
    assert alphas.mean() == pytest.approx(0.5, abs=0.05)


def test_a_plain_head_is_one_linear_layer_on_16_places():
    built = head(Tap((32, 8, 8)), 10, 0)
    (linear,) = [layer for layer in built if isinstance(layer, nn.Linear)]
    assert (linear.in_features, linear.out_features) == (32 * 16, 10)
    assert built(torch.zeros(2, 32, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("depth", "convolutions"),
    [
        (1, [(64, 32, 2)]),
        (2, [(64, 64, 2), (64, 32, 1)]),
        (3, [(64, 64, 2), (64, 64, 1), (64, 32, 1)]),
        (4, [(64, 32, 1), (32, 32, 1), (32, 32, 2), (32, 16, 1)]),
        (5, [(64, 32, 1), (32, 32, 1), (32, 32, 1), (32, 32, 1), (32, 32, 1)]),
    ],
)
def test_deeper_heads_have_the_authors_convolutions(depth, convolutions):
    built = head(Tap((64, 32, 32)), 10, depth)
    found = [layer for layer in built if isinstance(layer, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.stride[0]) for c in found] == convolutions
    assert all(c.kernel_size == (3, 3) and c.padding == (0, 0) and c.bias is not None for c in found)
    assert built(torch.zeros(1, 64, 32, 32)).shape == (1, 10)


def test_features_that_are_too_small_for_the_convolutions_are_refused():
    with pytest.raises(ValueError, match="a head of depth 5 does not fit features of 2 pixels"):
        head(Tap((64, 10, 10)), 10, depth=5)


@pytest.mark.parametrize("shape", [(64, 30, 2), (64, 2, 30), (1, 30, 30), (3, 30, 30)])
@pytest.mark.parametrize("depth", range(6))
def test_a_head_fits_or_is_refused_whatever_the_shape_of_the_features(shape, depth):
    try:
        found = head(Tap(shape), 10, depth)(torch.zeros(2, *shape)).shape
    except ValueError as error:
        found = str(error)
    refusal = rf"a head of depth {depth} does not fit features of \d \w+; choose a smaller depth"
    assert found == (2, 10) or (depth > 0 and re.fullmatch(refusal, found))


def test_the_loss_is_the_plain_mean():
    loss = sdn.build(10).loss
    now = Now(1, (1, 2, 3), (0.2, 0.5, 1.0), 3)
    assert loss(torch.tensor([[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]]), (), now).item() == 4.0
    assert loss(torch.tensor([[4.0]]), (), Now(1, (1,), (1.0,), 1)).item() == 4.0


def test_pbee_weighs_each_loss_by_the_number_of_its_exit():
    losses = torch.tensor([[1.0, 2.0, 6.0], [3.0, 4.0, 8.0]])  # means 2, 3, 7
    expected = {(1, 2, 3): (2 + 2 * 3 + 3 * 7) / 6, (2, 3): (2 * 3 + 3 * 7) / 5, (3,): 7.0}
    for exits, loss in expected.items():
        now = Now(1, exits, tuple(0.1 * exit_ for exit_ in exits), max(exits))
        found = pbee.loss(losses[:, [exit_ - 1 for exit_ in exits]], (), now)
        assert found.item() == pytest.approx(loss)


@pytest.mark.parametrize(
    ("depth", "layers"),
    [
        (0, [(192, 10)]),
        (1, [(192, 1024), (1024, 10)]),
        (2, [(192, 8192), (8192, 8192), (8192, 10)]),
        (3, [(192, 8192), (8192, 8192), (8192, 8192), (8192, 10)]),
        (4, [(192, 8192), (8192, 8192), (8192, 8192), (8192, 8192), (8192, 10)]),
    ],
)
def test_token_heads_have_the_authors_hidden_layers(depth, layers):
    with torch.device("meta"):  # shapes alone
        found = list(head(Tap((192,)), 10, depth, None))
    assert [(layer.in_features, layer.out_features) for layer in found[::2]] == layers
    assert all(isinstance(layer, nn.GELU) and layer.approximate == "none" for layer in found[1::2])
    assert len(found) == 2 * depth + 1


def test_a_token_head_is_linear_maps_with_gelu_between():
    torch.manual_seed(0)
    built, x = head(Tap((3,)), 2, 1, 5), torch.randn(4, 3)
    first, _, last = built
    hidden = x @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    assert torch.allclose(built(x), hidden @ last.weight.T + last.bias, atol=1e-6)


def test_the_width_of_hidden_layers_is_a_setting():
    built = head(Tap((192,)), 10, 2, 16)
    assert [layer.out_features for layer in built if isinstance(layer, nn.Linear)] == [16, 16, 10]
    with pytest.raises(ValueError, match="'hidden' is the width of heads on tokens, but these features are maps"):
        head(Tap((8, 4, 4)), 10, 2, 16)
    with pytest.raises(ValueError, match="a head of depth 0 has none; remove the key"):
        head(Tap((192,)), 10, 0, 16)


def test_a_token_head_deeper_than_the_authors_is_refused():
    with pytest.raises(ValueError, match="there is no head of depth 5 on tokens; choose 0 to 4"):
        head(Tap((192,)), 10, 5, None)


def test_the_head_follows_the_shape_of_the_features():
    on_maps, on_tokens = (sdn.build(10).head(1, 2, Tap(shape)) for shape in ((8, 6, 6), (8,)))
    assert isinstance(on_maps[0], MixedPool)
    assert [type(layer) for layer in on_tokens] == [nn.Linear]
