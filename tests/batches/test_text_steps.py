"""Batches of texts: every text once, like lengths together, drawn anew in every epoch."""

import numpy as np
import pytest
import torch
from conftest import RECIPE
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.batches.feed import Feed
from manyexits.batches.text_steps import TextSteps
from manyexits.batches.views import Views
from manyexits.data import tokens
from manyexits.data.prepared import Prepared
from manyexits.data.texts import Texts, Tokens
from manyexits.study.recipe import Recipe


def views(lengths, most=512) -> Views:
    """Of texts of these lengths, special tokens included."""
    made = tokens.words(["a"], 16)
    ids, ends = tokens.encode(made, [(" ".join("a" * (length - 2)),) for length in lengths])
    whole = np.arange(len(lengths))
    split = Texts(Tokens(ids, ends, tokens.frame(made, "it")), whole % 3, whole, most)
    data = Prepared({"settings": {"classes": 3}}, split, split, split)
    return Views(data, torch.device("cpu"))


def recipe(batch: int, **changed) -> Recipe:
    return Recipe.model_validate(RECIPE | {"batch": batch, "crop_padding": 0} | changed)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(2, 60), min_size=1, max_size=90), st.integers(1, 9))
def test_an_epoch_shows_every_text_once_but_for_what_fills_no_batch(lengths, batch):
    samples = TextSteps(views(lengths), recipe(batch))
    order = samples.order(np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(len(lengths)))


def test_a_batch_holds_like_lengths_and_epochs_differ():
    lengths = np.random.default_rng(0).integers(2, 200, 1000)
    samples = TextSteps(views(lengths), recipe(20))
    first, second = (samples.order(np.random.default_rng(seed)) for seed in (0, 1))
    spread = [np.ptp(lengths[batch]) for batch in first.reshape(-1, 20)]
    assert np.mean(spread) < 20  # of 198
    assert {frozenset(batch) for batch in first.reshape(-1, 20).tolist()}.isdisjoint(
        frozenset(batch) for batch in second.reshape(-1, 20).tolist()
    )
    means = [lengths[batch].mean() for batch in first.reshape(-1, 20)]
    assert sorted(means) != means  # nor do they rise


@pytest.mark.parametrize("ranks", [1, 2])
def test_slices_of_all_ranks_are_the_batch(ranks):
    shown = views([5, 9, 3, 7, 4, 8, 6, 10], most=8)
    asked = recipe(4, devices=ranks)
    whole = Feed(shown, recipe(4), (1, 2, 0)).at(1, 0)[0]
    shares = [Feed(shown, asked, (1, 2, 0), rank, ranks).at(1, 0)[0] for rank in range(ranks)]
    assert torch.equal(torch.cat([part.targets for part in shares]), whole.targets)
    for begin, part in zip(range(0, 4, 4 // ranks), shares, strict=True):
        ids, segments, mask = part.inputs
        assert ids.shape[1] == int(mask.sum(1).max()) <= 8  # padded to the longest of the slice
        own = whole.inputs[0][begin : begin + len(ids), : ids.shape[1]]
        assert torch.equal(ids[mask], own[mask])
        assert not segments.any()
