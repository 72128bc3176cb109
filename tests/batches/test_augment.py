"""Batched augmentation against torchvision, image by image with the same numbers, and draw by draw in distribution."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vision

from manyexits.batches import augment, moves, trivial
from manyexits.batches.augment import Draws, Mix
from manyexits.study.recipe import Recipe

NOTHING: dict = {}
"""What a recipe says of augmentation where it says nothing: all of it is off."""
EVERYTHING = NOTHING | {
    "crop_padding": 4,
    "flip": True,
    "rotation": 20.0,
    "contrast": 0.4,
    "trivial_augment": True,
    "erasing": 0.5,
}
MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25, 0.2, 0.3])
ZERO, ONE = torch.zeros(3), torch.ones(3)
quick = settings(max_examples=30, deadline=None)
sizes = st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9))


def stated(told: dict) -> Recipe:
    """A recipe with these values alone."""
    return Recipe.model_construct(**told)


def padded(pixels: int) -> Recipe:
    """A recipe that pads by so much before it crops."""
    return stated({"crop_padding": pixels})


PLAIN = stated({})
"""A recipe that neither crops nor has TrivialAugment first."""


def images_of(batch, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, generator=generator)


def draws_of(**chosen):
    return Draws(**{field.name: chosen.get(field.name) for field in dataclasses.fields(Draws)})


def mix_of(batch, share, box=(0, 0, 0, 0)):
    """The same mix for all images of a batch."""
    return Mix(np.full(batch, float(share)), np.tile(np.array(box), (batch, 1)))


def pixels(floats):
    """Grey levels (B, H, W, 3) of what was neither shifted nor scaled, by `ZERO` and `ONE`."""
    return (floats * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


# -- the same numbers give the same pixels ----------------------------------------------------------------------------


@quick
@given(sizes, st.integers(1, 4), st.randoms(use_true_random=False))
def test_crops_are_those_of_torchvision(size, padding, random):
    images = images_of(*size)
    offset = np.zeros((size[0], 2), dtype=np.int64)
    for row in offset:
        row[:] = random.randint(0, 2 * padding), random.randint(0, 2 * padding)
    found = pixels(augment.apply(images, draws_of(offset=offset), padded(padding), ZERO, ONE))
    assert found.shape == images.shape
    for image, (top, left), cropped in zip(images.permute(0, 3, 1, 2), offset.tolist(), found, strict=True):
        expected = vision.crop(vision.pad(image, [padding]), top, left, *size[1:])
        assert torch.equal(cropped, expected.permute(1, 2, 0))


@quick
@given(sizes, st.randoms(use_true_random=False))
def test_flips_are_those_of_torchvision(size, random):
    images = images_of(*size)
    flipped = np.array([random.randint(0, 1) for _ in images], dtype=np.int64)
    found = pixels(augment.apply(images, draws_of(flipped=flipped), PLAIN, ZERO, ONE))
    for image, flip, changed in zip(images, flipped, found, strict=True):
        expected = vision.hflip(image.permute(2, 0, 1)).permute(1, 2, 0) if flip else image
        assert torch.equal(changed, expected)


def test_a_crop_comes_before_the_flip():
    image = torch.tensor([[[10], [20], [30]]], dtype=torch.uint8).expand(1, 3, 3)[None]
    draws = draws_of(offset=np.array([[1, 0]]), flipped=np.array([1]))  # one pixel to the right, then mirrored
    assert pixels(augment.apply(image, draws, padded(1), ZERO, ONE))[0, 0, :, 0].tolist() == [20, 10, 0]


@quick
@given(st.tuples(st.integers(0, 3), st.integers(2, 40), st.integers(2, 40)), st.randoms(use_true_random=False))
def test_parts_are_scaled_as_torchvision_does_on_pil_images(size, random):
    batch, height, width = size
    images, boxes = images_of(*size), np.zeros((batch, 4), dtype=np.int64)
    for row in boxes:
        h, w = random.randint(1, height), random.randint(1, width)
        row[:] = random.randint(0, height - h), random.randint(0, width - w), h, w
    found = moves.cut(images, boxes)
    for image, box, scaled in zip(images, boxes.tolist(), found, strict=True):
        shape, mode = [height, width], vision.InterpolationMode.BICUBIC
        expected = vision.resized_crop(Image.fromarray(image.numpy()), *box, shape, mode, antialias=True)
        # Pillow's weights are whole numbers: a grey level of the first direction can make two of the second
        assert np.abs(np.asarray(expected).astype(int) - scaled.numpy()).max() <= 2


def test_hardly_a_pixel_of_a_scaled_part_is_another_than_torchvisions():
    images, generator = images_of(50, 64, 64), np.random.default_rng(0)
    sizes = generator.integers(1, 65, (50, 2))
    boxes = np.concatenate([generator.integers(0, 65 - sizes), sizes], axis=1)
    shape, mode = [64, 64], vision.InterpolationMode.BICUBIC
    for image, box, scaled in zip(images, boxes.tolist(), moves.cut(images, boxes), strict=True):
        expected = vision.resized_crop(Image.fromarray(image.numpy()), *box, shape, mode, antialias=True)
        assert (np.asarray(expected) != scaled.numpy()).mean() < 0.01


def test_the_whole_image_as_a_part_is_the_image():
    images = images_of(2, 7, 5)
    assert torch.equal(moves.cut(images, np.array([[0, 0, 7, 5]] * 2)), images)


@quick
@given(sizes, st.randoms(use_true_random=False))
def test_rotations_are_those_of_torchvision(size, random):
    images = images_of(*size)
    angle = np.array([random.uniform(-180, 180) for _ in images], dtype=np.float64)
    found = pixels(augment.apply(images, draws_of(angle=angle), PLAIN, ZERO, ONE))
    for image, degrees, turned in zip(images.permute(0, 3, 1, 2), angle.tolist(), found, strict=True):
        assert torch.equal(turned, vision.rotate(image, degrees).permute(1, 2, 0))


@quick
@given(sizes, st.randoms(use_true_random=False))
def test_contrasts_are_those_of_torchvision(size, random):
    images = images_of(*size)
    contrast = np.array([random.uniform(0, 3) for _ in images], dtype=np.float64)
    found = pixels(augment.apply(images, draws_of(contrast=contrast), PLAIN, ZERO, ONE)).int()
    for image, factor, changed in zip(images.permute(0, 3, 1, 2), contrast.tolist(), found, strict=True):
        expected = vision.adjust_contrast(image, factor).permute(1, 2, 0).int()
        assert (changed - expected).abs().max() <= 1  # products of float32 in another order


@quick
@given(sizes, st.randoms(use_true_random=False))
def test_erased_rectangles_are_those_of_torchvision(size, random):
    batch, height, width = size
    images = images_of(*size)
    erased = np.zeros((batch, 4), dtype=np.int64)
    for row in erased:
        h, w = random.randint(0, height), random.randint(0, width)
        row[:] = random.randint(0, height - h), random.randint(0, width - w), h, w
    found = augment.apply(images, draws_of(erased=erased), PLAIN, MEAN, STD)
    plain = augment.apply(images, draws_of(), PLAIN, MEAN, STD)
    for image, (i, j, h, w), changed in zip(plain, erased.tolist(), found, strict=True):
        assert torch.equal(changed, vision.erase(image, i, j, h, w, torch.zeros(1, 1, 1)))


def test_images_are_normalised_before_they_are_erased():
    images = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    found = augment.apply(images, draws_of(erased=np.array([[0, 1, 2, 1]])), PLAIN, MEAN, STD)
    assert found[0, :, :, 1].tolist() == [[0.0, 0.0]] * 3
    np.testing.assert_allclose(found[0, :, 0, 0], [0.5 / 0.25, 0.6 / 0.2, 0.7 / 0.3], rtol=1e-6)


@quick
@given(sizes)
def test_normalisation_is_that_of_torchvision(size):
    images = images_of(*size)
    expected = vision.normalize(images.permute(0, 3, 1, 2) / 255, MEAN.tolist(), STD.tolist())
    found = augment.normalise(images, MEAN, STD)
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


def test_all_steps_in_their_order_are_those_of_torchvision():
    images = images_of(6, 12, 10, seed=3)
    draws = draws_of(
        offset=np.array([[0, 0], [8, 8], [4, 4], [1, 7], [3, 0], [5, 2]]),
        flipped=np.array([0, 1, 0, 1, 1, 0]),
        operation=np.array([[0, 1], [11, 16], [11, -31], [12, 5], [10, 31], [13, -2]]),
        erased=np.array([[0, 0, 0, 0], [1, 2, 3, 4], [0, 0, 12, 10], [11, 9, 1, 1], [0, 0, 0, 0], [2, 2, 5, 5]]),
    )
    changes = {
        0: lambda image: image,
        1: lambda image: vision.solarize(image, 127.5),
        2: lambda image: vision.solarize(image, 0.0),
        3: vision.autocontrast,
        4: lambda image: vision.posterize(image, 2),
        5: vision.equalize,
    }
    found = augment.apply(images, draws, padded(4), MEAN, STD)
    for index, image in enumerate(images.permute(0, 3, 1, 2)):
        expected = vision.crop(vision.pad(image, [4]), *draws.offset[index].tolist(), 12, 10)
        expected = vision.hflip(expected) if draws.flipped[index] else expected
        expected = vision.normalize(changes[index](expected) / 255, MEAN.tolist(), STD.tolist())
        expected = vision.erase(expected, *draws.erased[index].tolist(), torch.zeros(1, 1, 1))
        torch.testing.assert_close(found[index], expected, atol=2e-6, rtol=0)


def test_trivial_augment_may_see_the_whole_image_before_it_is_cropped():
    images = images_of(1, 6, 6, seed=5) // 2 + 40
    draws = draws_of(offset=np.array([[1, 4]]), operation=np.array([[12, 1]]))
    whole = vision.autocontrast(images.permute(0, 3, 1, 2))  # of all pixels, not of those that are left
    expected = vision.crop(vision.pad(whole, [2]), 1, 4, 6, 6).permute(0, 2, 3, 1)
    first = stated({"crop_padding": 2, "trivial_first": True})
    assert torch.equal(pixels(augment.apply(images, draws, first, ZERO, ONE)), expected)
    assert not torch.equal(pixels(augment.apply(images, draws, padded(2), ZERO, ONE)), expected)


def test_the_recipe_says_how_trivial_augment_finds_pixels():
    images, draws = images_of(1, 9, 9, seed=6), draws_of(operation=np.array([[1, 20]]))
    found = {
        how: pixels(augment.apply(images, draws, stated({"trivial_interpolation": how}), ZERO, ONE))
        for how in ("nearest", "bicubic")
    }
    for how, image in found.items():
        moved = trivial.apply(images.permute(0, 3, 1, 2).contiguous(), draws.operation, how)
        assert torch.equal(image, moved.permute(0, 2, 3, 1))
    assert not torch.equal(*found.values())


def test_nothing_random_is_normalisation_alone():
    images = images_of(5, 6, 7)
    draws = augment.draw(stated(NOTHING), np.random.default_rng(0), 5, (6, 7))
    assert draws == draws_of()
    assert torch.equal(augment.apply(images, draws, PLAIN, MEAN, STD), augment.normalise(images, MEAN, STD))


def test_the_images_themselves_are_left_alone():
    images = images_of(8, 16, 16)
    before = images.clone()
    draws = augment.draw(stated(EVERYTHING), np.random.default_rng(1), 8, (16, 16))
    augment.apply(images, draws, padded(4), MEAN, STD)
    assert torch.equal(images, before)


# -- mixing -----------------------------------------------------------------------------------------------------------


def test_mixup_is_the_weighted_mean_of_image_and_partner():
    images, partners = torch.full((2, 3, 2, 2), 8.0), torch.zeros(2, 3, 2, 2)
    assert torch.equal(augment.mix(images, partners, mix_of(2, 0.75)), torch.full((2, 3, 2, 2), 6.0))
    assert torch.equal(augment.mix(images, partners, mix_of(2, 1.0)), images)


def test_mixup_and_cutmix_are_those_of_torchvision():
    """torchvision pairs each image with the one before it."""
    images = torch.rand(5, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(5)
    partners = images.roll(1, 0)
    for make, mix in (
        (v2.MixUp(num_classes=5), mix_of(5, 0.3)),
        (v2.CutMix(num_classes=5), mix_of(5, 1 - 4 * 3 / 48, (2, 1, 6, 4))),
    ):
        (share, *_), ((top, left, bottom, right), *_) = mix.share, mix.box
        told = {"lam": share, "lam_adjusted": share, "batch_size": 5, "labels": labels}
        told["box"] = (left, top, right, bottom)
        torch.testing.assert_close(augment.mix(images, partners, mix), make.transform(images, told))


def test_cutmix_pastes_the_box_of_the_partner():
    images, partners = torch.zeros(1, 1, 3, 4).expand(1, 3, 3, 4), torch.ones(1, 3, 3, 4)
    mixed = augment.mix(images, partners, mix_of(1, 0.5, (1, 2, 3, 4)))
    assert mixed[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert images.sum() == 0


def test_an_empty_box_leaves_the_images():
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(augment.mix(images, torch.zeros(2, 3, 4, 4), mix_of(2, 1.0, (2, 2, 2, 2))), images)


def test_each_image_is_mixed_by_its_own_numbers_as_timm_does():
    """timm's Mixup in its mode `elem` pairs each image with its mirror image in the batch."""
    from timm.data.mixup import Mixup, cutmix_bbox_and_lam

    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    theirs = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, mode="elem", num_classes=6, label_smoothing=0.0)
    drawn, cut = np.array([0.2, 1.0, 0.5, 0.6, 0.9, 0.3]), np.array([True, False, False, True, True, False])
    theirs._params_per_elem = lambda _: (drawn.copy(), cut)
    np.random.seed(4)
    boxes, shares = np.zeros((6, 4), dtype=np.int64), drawn.copy()
    for index in np.flatnonzero(cut):  # timm draws the centres of its boxes one after the other
        (top, bottom, left, right), shares[index] = cutmix_bbox_and_lam((3, 8, 8), drawn[index])
        boxes[index] = top, left, bottom, right
    np.random.seed(4)
    expected = images.clone()
    theirs._mix_elem(expected)
    torch.testing.assert_close(augment.mix(images, images.flip(0), Mix(shares, boxes)), expected)


@pytest.mark.parametrize("batch", [0, 1])
def test_batches_of_no_and_one_image_are_mixed(batch):
    images = torch.rand(batch, 3, 4, 4)
    for mix in (mix_of(batch, 0.5), mix_of(batch, 0.75, (0, 0, 2, 2))):
        torch.testing.assert_close(augment.mix(images, images.flip(0), mix), images)


# -- draws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_draws_have_one_row_per_image_and_apply_to_it(batch):
    draws = augment.draw(stated(EVERYTHING), np.random.default_rng(0), batch, (8, 9))
    assert draws.offset.shape == draws.operation.shape == (batch, 2)
    assert draws.flipped.shape == (batch,)
    assert draws.erased.shape == (batch, 4)
    assert augment.apply(images_of(batch, 8, 9), draws, padded(4), MEAN, STD).shape == (batch, 3, 8, 9)


def test_equal_generators_draw_the_same_and_others_do_not():
    drawn = [augment.draw(stated(EVERYTHING), np.random.default_rng(seed), 50, (16, 16)) for seed in (7, 7, 8)]
    for field in dataclasses.fields(Draws):
        first, second, third = (getattr(draws, field.name) for draws in drawn)
        assert np.array_equal(first, second)
        assert not np.array_equal(first, third)
    recipe = NOTHING | {"mixup": 0.8, "cutmix": 1.0}
    for per in ("batch", "element"):
        told = stated(recipe | {"mix_per": per})
        mixes = [augment.draw_mix(told, np.random.default_rng(seed), 9, (16, 16)) for seed in (7, 7, 8)]
        assert np.array_equal(mixes[0].share, mixes[1].share)
        assert np.array_equal(mixes[0].box, mixes[1].box)
        assert not np.array_equal(mixes[0].share, mixes[2].share)


@quick
@given(st.lists(st.integers(0, 9), max_size=6))
def test_the_numbers_of_some_images_give_those_images(positions):
    images = images_of(10, 8, 8)
    draws = augment.draw(stated(EVERYTHING), np.random.default_rng(2), 10, (8, 8))
    some = draws.at(np.array(positions, dtype=np.int64))
    whole = augment.apply(images, draws, padded(4), MEAN, STD)
    assert torch.equal(augment.apply(images[positions], some, padded(4), MEAN, STD), whole[positions])


def test_numbers_that_were_not_drawn_stay_away():
    assert draws_of(flipped=np.array([0, 1, 1])).at(np.array([2])) == draws_of(flipped=np.array([1]))


RANDOM = "crop_padding resized_crop flip rotation contrast trivial_augment erasing mixup cutmix".split()


@pytest.mark.parametrize("key", RANDOM)
def test_each_field_makes_a_recipe_random(key):
    assert not augment.is_random(stated(NOTHING))
    assert augment.is_random(stated(NOTHING | {key: 1}))


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("crop_padding", "offset"),
        ("flip", "flipped"),
        ("rotation", "angle"),
        ("contrast", "contrast"),
        ("trivial_augment", "operation"),
        ("erasing", "erased"),
    ],
)
def test_each_field_of_a_recipe_draws_its_own_numbers_only(key, field):
    chosen = 1 if key in ("crop_padding", "flip", "trivial_augment") else 1.0
    draws = augment.draw(stated(NOTHING | {key: chosen}), np.random.default_rng(0), 3, (8, 8))
    assert [f.name for f in dataclasses.fields(Draws) if getattr(draws, f.name) is not None] == [field]


def test_a_recipe_without_mixing_draws_no_mix():
    assert augment.draw_mix(stated(NOTHING), np.random.default_rng(0), 4, (8, 8)) is None
    recipe = NOTHING | {"mixup": 1.0, "cutmix": 1.0, "mix_probability": 0.0}
    assert augment.draw_mix(stated(recipe), np.random.default_rng(0), 4, (8, 8)) is None


# -- distributions, against torchvision's own draws -------------------------------------------------------------------

N = 4000
ALIKE = 1e-4
"""Smallest p of the two-sample Kolmogorov-Smirnov tests; seeds are fixed, so they always decide alike."""


def alike(first, second):
    return stats.ks_2samp(np.asarray(first, float), np.asarray(second, float)).pvalue > ALIKE


@pytest.fixture
def seeded():
    state = torch.get_rng_state()
    torch.manual_seed(5)
    yield
    torch.set_rng_state(state)


def test_offsets_are_distributed_as_those_of_random_crop(seeded):
    crop = v2.RandomCrop(32, padding=4)
    image = torch.zeros(3, 32, 32)
    theirs = [crop.make_params([image]) for _ in range(N)]
    ours = augment.draw(stated(NOTHING | {"crop_padding": 4}), np.random.default_rng(0), N, (32, 32)).offset
    assert set(ours.ravel()) == set(range(9))
    assert alike(ours[:, 0], [told["top"] for told in theirs])
    assert alike(ours[:, 1], [told["left"] for told in theirs])
    assert abs(np.corrcoef(ours.T)[0, 1]) < 0.06


def test_flips_are_distributed_as_those_of_random_horizontal_flip(seeded):
    flip = v2.RandomHorizontalFlip()
    image = torch.tensor([[[0.0, 1.0]]])
    theirs = [float(flip(image)[0, 0, 0]) for _ in range(N)]
    ours = augment.draw(stated(NOTHING | {"flip": True}), np.random.default_rng(0), N, (32, 32)).flipped
    assert set(ours) == {0, 1}
    assert alike(ours, theirs)


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (16, 48)])
def test_rectangles_are_distributed_as_those_of_random_erasing(seeded, shape):
    erasing = v2.RandomErasing(p=1.0)
    theirs = [erasing.make_params([torch.zeros(3, *shape)]) for _ in range(N)]
    theirs = np.array([[told[key] for key in "ijhw"] for told in theirs if told["v"] is not None])
    ours = augment.draw(stated(NOTHING | {"erasing": 1.0}), np.random.default_rng(0), N, shape).erased
    ours = ours[ours[:, 2] > 0]
    assert abs(len(ours) - len(theirs)) < 0.01 * N
    for measure in (
        lambda top, left, height, width: height * width,
        lambda top, left, height, width: height / width,
        lambda top, left, height, width: height,
        lambda top, left, height, width: width,
        lambda top, left, height, width: top,
        lambda top, left, height, width: left,
        lambda top, left, height, width: top + height,
        lambda top, left, height, width: left + width,
    ):
        assert alike(measure(*ours.T), measure(*theirs.T))
    assert (ours[:, 0] + ours[:, 2] <= shape[0]).all()
    assert (ours[:, 1] + ours[:, 3] <= shape[1]).all()


def test_the_share_of_erased_images_is_the_probability():
    erased = augment.draw(stated(NOTHING | {"erasing": 0.1}), np.random.default_rng(0), 20_000, (64, 64)).erased
    share = (erased[:, 2] > 0).mean()
    assert abs(share - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 20_000)
    assert (erased[erased[:, 2] == 0] == 0).all()


def test_no_rectangle_fits_an_image_of_one_pixel():
    erased = augment.draw(stated(NOTHING | {"erasing": 1.0}), np.random.default_rng(0), 500, (1, 1)).erased
    images = images_of(500, 1, 1)
    found = augment.apply(images, draws_of(erased=erased), PLAIN, MEAN, STD)
    assert torch.equal(found, augment.normalise(images, MEAN, STD))


@pytest.mark.parametrize(("alpha", "shape"), [(1.0, (32, 32)), (0.3, (24, 40))])
def test_boxes_and_shares_are_distributed_as_those_of_cutmix(seeded, alpha, shape):
    cutmix = v2.CutMix(alpha=alpha, num_classes=2)
    theirs = [cutmix.make_params([torch.zeros(2, 3, *shape)]) for _ in range(N)]
    generator = np.random.default_rng(1)
    ours = [augment.draw_mix(stated(NOTHING | {"cutmix": alpha}), generator, 1, shape) for _ in range(N)]
    assert alike([mix.share[0] for mix in ours], [told["lam_adjusted"] for told in theirs])
    for own, other in enumerate((1, 0, 3, 2)):  # torchvision says x before y
        assert alike([mix.box[0, own] for mix in ours], [told["box"][other] for told in theirs])
    for mix in ours:
        inside = torch.zeros(shape)
        top, left, bottom, right = mix.box[0]
        inside[top:bottom, left:right] = 1
        assert mix.share[0] == pytest.approx(1 - inside.mean().item())


def test_the_shares_of_mixup_follow_its_beta_distribution():
    generator = np.random.default_rng(2)
    mixes = [augment.draw_mix(stated(NOTHING | {"mixup": 0.8}), generator, 1, (8, 8)) for _ in range(N)]
    assert not np.array([mix.box for mix in mixes]).any()
    assert stats.kstest([mix.share[0] for mix in mixes], stats.beta(0.8, 0.8).cdf).pvalue > ALIKE


SWITCHED = NOTHING | {"mixup": 1.0, "cutmix": 1.0, "mix_probability": 0.6, "mix_switch": 0.25}


def test_probability_and_switch_decide_how_often_batches_are_mixed():
    generator = np.random.default_rng(3)
    mixes = [augment.draw_mix(stated(SWITCHED), generator, 2, (64, 64)) for _ in range(N)]
    mixed = [mix for mix in mixes if mix is not None]
    assert all(mix.share[0] == mix.share[1] and (mix.box[0] == mix.box[1]).all() for mix in mixed)
    cut = [mix for mix in mixed if mix.box.any()]
    assert abs(len(mixed) / N - 0.6) < 4 * np.sqrt(0.24 / N)
    assert abs(len(cut) / len(mixed) - 0.25) < 4 * np.sqrt(0.1875 / len(mixed)) + 0.01  # some boxes are empty


def test_probability_and_switch_decide_how_many_images_are_mixed():
    mix = augment.draw_mix(stated(SWITCHED | {"mix_per": "element"}), np.random.default_rng(3), N, (64, 64))
    mixed, cut = (mix.share < 1).mean(), mix.box.any(1).mean()
    assert abs(mixed - 0.6) < 4 * np.sqrt(0.24 / N) + 0.01
    assert abs(cut - 0.15) < 4 * np.sqrt(0.1275 / N) + 0.01
    assert stats.kstest(mix.share[(mix.share < 1) & ~mix.box.any(1)], stats.uniform.cdf).pvalue > ALIKE
    size = mix.box[:, 2:] - mix.box[:, :2]
    where = mix.box.any(1)
    np.testing.assert_allclose(mix.share[where], 1 - size[where].prod(1) / 64**2)


@pytest.mark.parametrize("shape", [(64, 64), (48, 200), (375, 500), (4, 1)])
def test_boxes_are_distributed_as_those_of_random_resized_crop(seeded, shape):
    crop = v2.RandomResizedCrop(32, scale=(0.2, 1.0))
    theirs = [crop.make_params([torch.zeros(3, *shape)]) for _ in range(N)]
    theirs = np.array([[told[key] for key in ("top", "left", "height", "width")] for told in theirs])
    ours = augment.draw_boxes(0.2, np.random.default_rng(0), np.tile(np.array(shape), (N, 1)))
    for own, other in zip(ours.T, theirs.T, strict=True):
        assert alike(own, other)
    assert alike(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3])
    assert (ours[:, :2] + ours[:, 2:] <= shape).all()
    assert (ours[:, :2] >= 0).all()


def test_angles_and_contrasts_are_distributed_as_torchvisions():
    draws = augment.draw(stated(NOTHING | {"rotation": 15.0, "contrast": 1.5}), np.random.default_rng(0), N, (4, 4))
    assert stats.kstest(draws.angle, stats.uniform(-15, 30).cdf).pvalue > ALIKE
    assert stats.kstest(draws.contrast, stats.uniform(0, 2.5).cdf).pvalue > ALIKE  # no factor below 0, as ColorJitter
