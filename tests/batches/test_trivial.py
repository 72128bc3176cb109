"""TrivialAugmentWide on batches against torchvision's own, image by image."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms.v2 import TrivialAugmentWide

from manyexits.batches import trivial

THEIRS = TrivialAugmentWide()
SPACE = THEIRS._AUGMENTATION_SPACE
NUMBER = {name: number for number, name in enumerate(trivial.OPERATIONS)}
NUMBER_OF = {name: number for number, name in enumerate(SPACE)}
SIGNED_BINS = [sign * size for size in range(1, 32) for sign in (1, -1)]
SHAPES = [(32, 32), (64, 64), (24, 40), (3, 5), (2, 2), (1, 1)]


def images_of(batch, height, width, seed=0):
    """Random images, of which every third is dull: few levels, so that contrast and equalisation have work to do."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8, generator=generator)
    images[::3] = images[::3] // 4 + 60
    return images


def theirs(image, number, signed_bin):
    """One image under torchvision's transform of that number, magnitude and sign."""
    name = list(SPACE)[number]
    make, signed = SPACE[name]
    magnitudes = make(31, *image.shape[-2:])
    magnitude = 0.0 if magnitudes is None else float(magnitudes[abs(signed_bin) - 1])
    magnitude *= -1 if signed and signed_bin < 0 else 1
    return THEIRS._apply_image_or_video_transform(
        image, name, magnitude, interpolation=THEIRS.interpolation, fill=THEIRS._fill
    )


def test_operations_are_those_of_torchvision_in_their_order():
    expected = (
        "Identity ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness Posterize Solarize"
    )
    assert list(SPACE) == [*expected.split(), "AutoContrast", "Equalize"]
    ours = ["".join(part.capitalize() for part in name.split("_")) for name in trivial.OPERATIONS]
    assert [name.lower() for name in ours] == [name.lower() for name in SPACE]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("operation", trivial.OPERATIONS)
def test_every_magnitude_and_sign_gives_the_pixels_of_torchvision(operation, shape):
    images = images_of(len(SIGNED_BINS), *shape, seed=NUMBER[operation])
    drawn = np.array([[NUMBER[operation], signed_bin] for signed_bin in SIGNED_BINS])
    found = trivial.apply(images, drawn)
    expected = torch.stack([theirs(image, *pair) for image, pair in zip(images, drawn.tolist(), strict=True)])
    if operation in ("color", "contrast", "sharpness"):  # one fused multiplication and addition may round otherwise
        assert (found.int() - expected.int()).abs().max() <= 1
        assert (found != expected).float().mean() < 0.001
    else:
        assert torch.equal(found, expected)


@pytest.mark.parametrize("operation", [name for name in trivial.OPERATIONS if name != "identity"])
def test_every_operation_changes_images(operation):
    images = images_of(3, 16, 16)
    assert not torch.equal(trivial.apply(images, np.array([[NUMBER[operation], 25]] * 3)), images)


def test_a_mixed_batch_is_changed_image_by_image():
    images = images_of(200, 20, 12)
    drawn = trivial.draw(np.random.default_rng(0), 200)
    assert set(drawn[:, 0]) == set(range(14))
    found = trivial.apply(images, drawn)
    for image, pair, changed in zip(images, drawn.tolist(), found, strict=True):
        assert (changed.int() - theirs(image, *pair).int()).abs().max() <= 1


def test_shears_by_hand():
    """At the largest magnitude each row lies .99 of a pixel further right than the one above, the first by .99 / 2."""
    image = torch.zeros(1, 3, 4, 6, dtype=torch.uint8)
    image[..., 1] = 200
    sheared = trivial.apply(image, np.array([[NUMBER["shear_x"], -31]]))[0, 0]
    assert [row.nonzero().flatten().tolist() for row in sheared] == [[1], [2], [3], [4]]


def test_translations_by_hand():
    """Bin 4 is 32 * 3 / 30 = 3.2 pixels, cut to 3."""
    image = torch.arange(1, 7, dtype=torch.uint8).expand(1, 3, 2, 6).contiguous()
    right = trivial.apply(image, np.array([[NUMBER["translate_x"], 4]]))
    left = trivial.apply(image, np.array([[NUMBER["translate_x"], -4]]))
    assert right[0, 0, 0].tolist() == [0, 0, 0, 1, 2, 3]
    assert left[0, 0, 0].tolist() == [4, 5, 6, 0, 0, 0]
    assert not trivial.apply(image, np.array([[NUMBER["translate_y"], 4]])).any()


def test_a_quarter_turn_by_hand():
    """Bin 21 is 135 * 20 / 30 = 90 degrees, counterclockwise."""
    image = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).expand(1, 3, 2, 2).contiguous()
    turned = trivial.apply(image, np.array([[NUMBER["rotate"], 21]]))
    assert turned[0, 2].tolist() == [[2, 4], [1, 3]]


def test_levels_by_hand():
    image = torch.tensor([0, 63, 127, 128, 210, 255], dtype=torch.uint8).expand(1, 3, 1, 6).contiguous()

    def changed(operation, signed_bin):
        return trivial.apply(image, np.array([[NUMBER[operation], signed_bin]]))[0, 1, 0].tolist()

    assert changed("brightness", -31) == [0, 0, 1, 1, 2, 2]  # 1 - .99
    assert changed("brightness", 31) == [0, 125, 252, 254, 255, 255]  # 1 + .99
    assert changed("posterize", 31) == [0, 0, 64, 128, 192, 192]  # two bits
    assert changed("solarize", 16) == [0, 63, 127, 127, 45, 0]  # from 127.5 on
    assert changed("solarize", 1) == [0, 63, 127, 128, 210, 0]  # from 255 on


@pytest.mark.parametrize("batch", [0, 1])
def test_batches_of_no_and_one_image(batch):
    images = images_of(batch, 8, 8)
    drawn = trivial.draw(np.random.default_rng(1), batch)
    assert drawn.shape == (batch, 2)
    found = trivial.apply(images, drawn)
    assert found.shape == images.shape
    assert found.dtype == torch.uint8


def test_the_images_themselves_are_left_alone():
    images = images_of(140, 10, 10)
    before = images.clone()
    trivial.apply(images, np.array([[number, 17] for number in range(14)] * 10))
    assert torch.equal(images, before)


def test_equal_generators_draw_the_same():
    drawn = [trivial.draw(np.random.default_rng(seed), 100) for seed in (3, 3, 4)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_operations_magnitudes_and_signs_are_drawn_as_torchvision_draws_them(monkeypatch):
    """A signed magnitude of torchvision's is told back as its bin; its sign decides only where it has one."""
    told = []

    def note(image, name, magnitude, **_):
        told.append((name, magnitude))
        return image

    monkeypatch.setattr(THEIRS, "_apply_image_or_video_transform", note)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    for _ in range(6000):
        THEIRS(torch.zeros(3, 4, 4, dtype=torch.uint8))
    torch.set_rng_state(state)
    drawn = trivial.draw(np.random.default_rng(0), 6000)
    assert set(drawn[:, 0]) == set(range(14))
    assert set(np.abs(drawn[:, 1])) == set(range(1, 32))

    counts = np.bincount(drawn[:, 0], minlength=14), np.bincount([NUMBER_OF[name] for name, _ in told], minlength=14)
    assert stats.chi2_contingency(counts).pvalue > 1e-4
    for name in ("ShearX", "Rotate", "Color"):
        largest = float(SPACE[name][0](31, 4, 4)[-1])
        bins = drawn[drawn[:, 0] == NUMBER_OF[name], 1]
        ours = np.sign(bins) * (np.abs(bins) - 1) / 30
        assert stats.ks_2samp(ours, [magnitude / largest for other, magnitude in told if other == name]).pvalue > 1e-4
    signs = np.sign(drawn[:, 1])
    assert abs((signs > 0).mean() - 0.5) < 4 * np.sqrt(0.25 / 6000)
    assert abs(np.corrcoef(signs, drawn[:, 0])[0, 1]) < 0.05


def test_all_channels_move_alike():
    grey = images_of(4, 16, 16)[:, :1].expand(4, 3, 16, 16).contiguous()
    for operation in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y"):
        moved = trivial.apply(grey, np.array([[NUMBER[operation], signed_bin] for signed_bin in (5, -9, 14, 30)]))
        assert (moved == moved[:, :1]).all()
