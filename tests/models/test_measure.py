"""What is measured of a split of texts: each text's outputs are its own, whatever stands beside it."""

import dataclasses
from functools import partialmethod

import numpy as np
import pytest
import torch
from conftest import NETWORK, READER
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.batches.views import Views, blanks
from manyexits.data import prepared as dataset
from manyexits.models import build
from manyexits.models.measure import measure

CLOSE = 2e-6
"""What rounding may change of an output; it depends on how long a text is padded."""


@pytest.fixture(scope="module")
def read(prepared_texts):
    """Texts, their views and a network."""
    told = NETWORK | {"backbone": READER}
    data = dataset.read(prepared_texts, network=told)
    network, generator = build.network(told, blanks(data), seed=1).eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():  # as it starts, it hardly listens to its texts
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return data, Views(data, torch.device("cpu")), network


def outputs(model, views, split):
    *_, found = measure(model, views, split, collect=True)
    return found


def test_outputs_are_those_of_each_text_alone_in_the_order_of_the_split(read):
    data, views, model = read
    split = data.train
    assert len(set(split.lengths.tolist())) > 5
    found = outputs(model, views, split)
    alone = [
        outputs(model, views, dataclasses.replace(split, indices=split.indices[[row]])) for row in range(len(split))
    ]
    assert (found - torch.cat(alone)).abs().max() < CLOSE
    assert (found[0] - found[1]).abs().max() > 0.01


def test_sums_are_those_of_the_outputs(read):
    data, views, model = read
    loss, gain, found = measure(model, views, data.train, collect=True)
    labels = torch.from_numpy(data.train.labels[data.train.indices])
    for k in range(found.shape[1]):
        assert loss[k].item() == pytest.approx(
            torch.nn.functional.cross_entropy(found[:, k], labels).item() * len(labels)
        )
        assert gain[k].item() == (found[:, k].argmax(1) == labels).sum()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 48))
def test_no_company_changes_an_output(read, seed, size):
    data, views, model = read
    whole = outputs(model, views, data.train)
    chosen = np.random.default_rng(seed).permutation(len(data.train))[:size]
    some = dataclasses.replace(data.train, indices=data.train.indices[chosen])
    assert (outputs(model, views, some) - whole[chosen]).abs().max() < CLOSE


def test_the_shares_of_two_ranks_are_the_whole(read, monkeypatch):
    data, views, model = read
    monkeypatch.setattr(Views, "whole", partialmethod(Views.whole, size=7))
    whole, *_ = measure(model, views, data.train)
    shares = [measure(model, views, data.train, rank, 2)[0] for rank in (0, 1)]
    assert torch.allclose(sum(shares), whole)
    assert all((share > 0).all() for share in shares)


def test_little_is_padded(read):
    data, *_ = read
    split, order = data.train.by_length()
    assert (np.diff(split.lengths) >= 0).all()
    assert split.lengths.tolist() == data.train.lengths[order].tolist()
    masks = [batch.mask for batch, _ in split.batches(8)]
    assert sum(mask.size for mask in masks) - sum(mask.sum() for mask in masks) < 0.1 * split.lengths.sum()
