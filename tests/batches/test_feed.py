"""What steps see: each image once an epoch, the same for any number of ranks and from any step on."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import RECIPE
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.batches.feed import Feed
from manyexits.batches.views import Part, Views
from manyexits.data import prepared as dataset
from manyexits.study.recipe import Recipe

CPU = torch.device("cpu")
COUNTER = (1, 0, 0)
PLAIN = {"crop_padding": 0}
MIXED = PLAIN | {"mixup": 0.4}
RECIPES = {
    "plain": PLAIN,
    "moved": {"crop_padding": 2, "flip": True, "erasing": 0.5, "rotation": 10.0, "trivial_augment": True},
    "cut": {"crop_padding": 0, "resized_crop": 0.3, "contrast": 0.4},
    "mixed": {"crop_padding": 1, "mixup": 0.4, "cutmix": 1.0, "mix_per": "element", "mix_probability": 0.7},
    "mixed alike": {"crop_padding": 1, "mixup": 0.4, "cutmix": 1.0, "mix_probability": 0.5},
}


@pytest.fixture(scope="module")
def views(prepared) -> Views:
    """144 training images of three classes."""
    return Views(dataset.read(prepared), CPU)


def scored(views: Views, score) -> Views:
    """The same images with scores instead of classes."""
    data = views.data
    told = data.manifest["settings"] | {"scores": [0, 5]}
    train = dataclasses.replace(data.train, labels=score(data.train.labels))
    return Views(dataclasses.replace(data, manifest=data.manifest | {"settings": told}, train=train), CPU)


def feed(views: Views, rank=0, ranks=1, counter=COUNTER, **told) -> Feed:
    return Feed(views, Recipe.model_validate(RECIPE | {"devices": ranks} | told), counter, rank, ranks)


def all_images(views: Views) -> tuple[torch.Tensor, torch.Tensor]:
    """The training split in order, as it is evaluated."""
    whole = list(views.whole(views.data.train))
    return torch.cat([part.inputs for part in whole]), torch.cat([part.targets for part in whole])


def assert_equal(ours: list[Part], theirs: list[Part]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.seed == other.seed
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


def joined(slices: list[Part]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([part.inputs for part in slices]), torch.cat([part.targets for part in slices])


# -- an epoch ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 24, 50, 144])
def test_an_epoch_has_each_image_once_beside_those_that_fill_no_batch(views, batch):
    images, labels = all_images(views)
    steps = list(feed(views, batch=batch, **PLAIN).epoch(1))
    assert len(steps) == 144 // batch
    seen = set()
    for (part,) in steps:
        assert part.inputs.shape == (batch, 3, 8, 8)
        for image, target in zip(part.inputs, part.targets, strict=True):
            (found,) = (images == image).all((1, 2, 3)).nonzero()[:, 0].tolist()
            assert target.tolist() == [float(labels[found] == each) for each in range(3)]
            seen.add(found)
    assert len(seen) == 144 // batch * batch


def test_another_epoch_phase_or_seed_has_another_order(views):
    begins = [
        joined(next(feed(views, counter=counter, **PLAIN).epoch(epoch)))[0]
        for counter, epoch in [(COUNTER, 1), (COUNTER, 2), ((1, 2, 0), 1), ((1, 0, 1), 1), ((2, 0, 0), 1)]
    ]
    assert not any(torch.equal(a, b) for n, a in enumerate(begins) for b in begins[:n])
    assert torch.equal(begins[0], joined(next(feed(views, **PLAIN).epoch(1)))[0])


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(RECIPES)), st.integers(0, 4), st.integers(1, 3), st.sampled_from([None, 12]))
def test_beginning_in_the_middle_gives_what_going_through_gives(views, name, begin, epoch, size):
    told = RECIPES[name] | {"batch": 36, "per_device_batch": size}
    through, later = list(feed(views, **told).epoch(epoch)), list(feed(views, **told).epoch(epoch, begin))
    assert len(later) == 4 - begin
    for ours, theirs in zip(later, through[begin:], strict=True):
        assert_equal(ours, theirs)


@pytest.mark.parametrize("batch", [145, 1000])
def test_a_batch_larger_than_the_data_is_refused(views, batch):
    with pytest.raises(ValueError, match=rf"^batch {batch} is larger than the 144 training samples; choose a smaller"):
        feed(views, batch=batch)


# -- slices and ranks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("ranks", "size"), [(1, 6), (2, 12), (2, 3), (3, 4), (24, 1)])
def test_the_slices_of_all_ranks_are_the_effective_batch_of_one_process(views, name, ranks, size):
    told = RECIPES[name] | {"batch": 24}
    (whole,) = next(feed(views, **told).epoch(2, 3))
    one = next(feed(views, per_device_batch=size, **told).epoch(2, 3))
    by_rank = [next(feed(views, rank, ranks, per_device_batch=size, **told).epoch(2, 3)) for rank in range(ranks)]
    assert {len(slices) for slices in by_rank} == {24 // (ranks * size)}
    # a pass of all ranks holds neighbouring slices
    in_turn = [slices[number] for number in range(len(by_rank[0])) for slices in by_rank]
    assert_equal(in_turn, one)
    inputs, targets = joined(in_turn)
    torch.testing.assert_close(inputs, whole.inputs)
    torch.testing.assert_close(targets, whole.targets)
    assert len({part.seed for part in in_turn}) == len(in_turn)  # no two slices drop the same units


# -- targets ----------------------------------------------------------------------------------------------------------


def test_classes_become_shares_of_an_image_and_of_its_partner(views):
    ((plain,), (mixed,)) = (next(feed(views, **told).epoch(1)) for told in (PLAIN, MIXED))
    assert set(plain.targets.flatten().tolist()) == {0.0, 1.0}
    own, other = plain.targets, plain.targets.flip(0)
    differ = own.argmax(1) != other.argmax(1)
    share = (mixed.targets * own)[differ].sum(1)[0].item()  # one for the whole batch
    assert 0 < share < 1
    torch.testing.assert_close(mixed.targets, share * own + (1 - share) * other)
    torch.testing.assert_close(mixed.inputs, share * plain.inputs + (1 - share) * plain.inputs.flip(0))


def test_scores_become_a_column_of_targets(views):
    with_scores = scored(views, lambda labels: labels * 1.5 + 0.25)
    (ours,), (classes,) = (next(feed(each, **PLAIN).epoch(1)) for each in (with_scores, views))
    assert ours.targets.shape == (24, 1)
    assert ours.targets.dtype == torch.float32
    assert ours.targets[:, 0].tolist() == [1.5 * label + 0.25 for label in classes.targets.argmax(1).tolist()]
    assert torch.equal(ours.inputs, classes.inputs)


@pytest.mark.parametrize("name", ["mixed", "mixed alike"])
@pytest.mark.parametrize("size", [None, 1, 8])
def test_mixed_scores_are_the_expected_ones_under_mixed_classes(views, name, size):
    values = torch.tensor([0.25, 1.75, 3.25])
    told = RECIPES[name] | {"per_device_batch": size}
    with_scores = scored(views, lambda labels: values.double().numpy()[labels])
    steps = zip(feed(with_scores, **told).epoch(1), feed(views, **told).epoch(1), strict=True)
    for part, expected in ((*pair,) for ours, classes in steps for pair in zip(ours, classes, strict=True)):
        torch.testing.assert_close(part.targets, expected.targets @ values[:, None])


# -- kept features ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_scores", [False, True])
@pytest.mark.parametrize(("ranks", "size"), [(1, None), (1, 8), (2, 6), (24, 1)])
def test_kept_features_are_the_rows_of_the_chosen_samples(views, ranks, size, with_scores):
    views = scored(views, lambda labels: labels + 0.5) if with_scores else views
    images, _ = all_images(views)
    for rank in range(min(ranks, 3)):
        plain, kept = (feed(views, rank, ranks, per_device_batch=size, **PLAIN) for _ in range(2))
        kept.keep([images, (images[:, :1], torch.arange(144), images.mean((2, 3)))])
        for expected, found in zip(plain.epoch(2, 3), kept.epoch(2, 3), strict=True):
            for one, other in zip(expected, found, strict=True):
                assert other.inputs is None
                whole, state = other.features
                assert torch.equal(whole, one.inputs)
                assert isinstance(state, tuple)
                assert torch.equal(state[0], one.inputs[:, :1])
                assert torch.equal(images[state[1]], one.inputs)
                assert torch.equal(state[2], images.mean((2, 3))[state[1]])
                assert torch.equal(other.targets, one.targets)
                assert other.seed == one.seed


def test_with_kept_features_no_image_is_read(views):
    class Unread(type(views.data.train)):
        def fetch(self, request):
            raise AssertionError("read")

    train = views.data.train
    unread = Unread(**{field.name: getattr(train, field.name) for field in dataclasses.fields(train)})
    hidden = Views(dataclasses.replace(views.data, train=unread), CPU)
    with pytest.raises(AssertionError, match="read"):
        next(feed(hidden, **PLAIN).epoch(1))
    kept = feed(hidden, **PLAIN)
    kept.keep([torch.arange(144.0)[:, None]])
    found = torch.cat([part.features[0][:, 0] for (part,) in kept.epoch(1)])
    assert sorted(found.tolist()) == np.arange(144).tolist()


@pytest.mark.parametrize("name", RECIPES)
def test_only_a_plain_recipe_shows_an_image_the_same_each_time(views, name):
    told = feed(views, **RECIPES[name])
    assert told.changes == (name != "plain")
