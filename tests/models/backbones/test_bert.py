"""BERT and its kin as stages are transformers' own models, padding or not."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from manyexits.models import weights
from manyexits.models.backbones import bert

SMALL = {"n_blocks": 3, "width": 32, "heads": 4, "inner": 48, "vocabulary": 90, "positions": 24, "length": 24}
KINDS = list(bert.NAMES)


def theirs(kind, make=AutoModelForSequenceClassification, **more):
    """transformers' model of the same size, with weights that are nowhere zero."""
    names = bert.COMMON | bert.NAMES[kind]
    told = SMALL | {"segments": 2, "embedding": 32, "positions": 24 + bert.RESERVED.get(kind, 0)}
    told = {names[option]: value for option, value in told.items() if option in names}
    torch.manual_seed(0)
    model = make.from_config(AutoConfig.for_model(kind, **told, **more), attn_implementation="sdpa").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    """A kind, transformers' model, and our stages with its weights."""
    original = theirs(request.param, num_labels=7)
    ours = bert.build(7, kind=request.param, **SMALL).eval()
    ours.load_state_dict({ours.original[name]: value for name, value in original.state_dict().items()})
    return request.param, original, ours


def batch(kind):
    """Four texts, of which three are padded."""
    ids, mask = torch.randint(5, 90, (4, 12)), torch.ones(4, 12, dtype=torch.bool)
    for row, length in enumerate((12, 7, 3, 9)):
        mask[row, length:] = False
        ids[row, length:] = 1 if kind == "roberta" else 0
    segments = torch.zeros(4, 12, dtype=torch.long)
    if kind in ("bert", "electra"):
        segments[:, 5:] = 1
    return ids, segments, mask


@torch.no_grad()
def test_every_state_and_the_outputs_are_the_original_s(pair):
    kind, original, ours = pair
    ids, segments, mask = batch(kind)
    told = {} if kind == "distilbert" else {"token_type_ids": segments}
    expected = original(input_ids=ids, attention_mask=mask, output_hidden_states=True, **told)
    state = (ids, segments, mask)
    for stage, hidden in zip(ours.stages, expected.hidden_states[1:], strict=True):
        state = stage(state)
        assert torch.allclose(state[0][mask], hidden[mask], atol=1e-6)
        assert torch.equal(ours.tap(state), state[0][:, 0])
    assert torch.allclose(ours.classifier(state), expected.logits, atol=1e-6)
    assert expected.logits.abs().max() > 1e-2


@torch.no_grad()
def test_padding_changes_nothing(pair):
    kind, _, ours = pair
    ids, segments, mask = batch(kind)
    whole = ours((ids, segments, mask))
    for row, length in enumerate((12, 7, 3, 9)):
        alone = ours(tuple(part[row : row + 1, :length] for part in (ids, segments, mask)))
        assert torch.allclose(alone[0], whole[row], atol=1e-5)


@torch.no_grad()
def test_the_mean_is_over_what_is_no_padding():
    ours = bert.build(7, **SMALL, tapped="mean").eval()
    state = ours.stages[0](batch("bert"))
    expected = torch.stack([tokens[mask].mean(0) for tokens, mask in zip(*state, strict=True)])
    assert torch.allclose(ours.tap(state), expected, atol=1e-6)


@torch.no_grad()
def test_an_exit_can_sit_behind_the_embeddings(pair):
    kind, _, ours = pair
    other = bert.build(7, kind=kind, **SMALL | {"n_blocks": 4}, embedding_stage=True).eval()
    other.load_state_dict({other.original[name]: ours.state_dict()[here] for name, here in ours.original.items()})
    assert len(other.stages) == 4
    inputs = batch(kind)
    assert torch.equal(other(inputs), ours(inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_of_the_encoder_gives_its_weights_and_no_others(kind, tmp_path):
    published = theirs(kind, AutoModelForMaskedLM)
    from safetensors.torch import save_file

    state = {name: value.clone() for name, value in published.state_dict().items()}
    if kind == "bert":  # one for masked words has no pooler
        whole = theirs(kind).state_dict()
        state |= {name: value.clone() for name, value in whole.items() if "pooler" in name}
    save_file(state, tmp_path / "model.safetensors")
    ours = bert.build(7, kind=kind, **SMALL)
    drawn = {name: value.clone() for name, value in ours.state_dict().items()}
    weights.load(tmp_path / "model.safetensors", ours, "new")
    prefix = f"{published.base_model_prefix}."
    taken = {name: value for name, value in state.items() if name.startswith(prefix)}
    for name, value in taken.items():
        assert torch.equal(ours.state_dict()[ours.original[name]], value)
    for name, here in ours.original.items():
        if name not in taken:
            assert torch.equal(ours.state_dict()[here], drawn[here]), name


def test_what_cannot_be_is_refused():
    for told, said in (
        ({"width": 33}, "a width of 33 cannot be shared by 4 heads"),
        ({"length": 25}, "'length' 25 is more than the 24 positions"),
        ({"embedding": 8}, "'embedding' belongs to electra, and the kind is bert"),
        ({"n_blocks": 1, "embedding_stage": True}, "the embeddings are the only block"),
    ):
        with pytest.raises(ValueError, match=said):
            bert.build(7, **SMALL | told)
    ours = bert.build(7, **SMALL)
    with pytest.raises(ValueError, match="reads texts, but the dataset holds images"):
        ours.check(torch.zeros(1, 3, 8, 8))
