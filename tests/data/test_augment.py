import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from ktlight.data.augment import Augment, crop_box, gather_pad_crop, pad_crop, resized_crop, shifts, view_uniforms
from ktlight.errors import UserError

from .conftest import random_pixels


def slow_pad_crop(image, uniforms, padding, flip):
    """Oracle: one pixel after another."""
    size = image.shape[-1]
    top, left = int(uniforms[0] * (2 * padding + 1)), int(uniforms[1] * (2 * padding + 1))
    result = np.zeros_like(image)
    for row in range(size):
        for column in range(size):
            source = (row + top - padding, column + left - padding)
            if min(source) >= 0 and max(source) < size:
                result[:, row, column] = image[:, source[0], source[1]]
    return result[:, :, ::-1] if flip and uniforms[-1] < 0.5 else result


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("share, padding", [(0.0, 0), (0.25, 2), (1.0, 8)])
def test_pad_crop_equals_slow_loop(flip, share, padding):
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
    uniforms = view_uniforms(0, 1, np.arange(12))
    crops = pad_crop(images, uniforms, Augment("pad_crop", padding=share, flip=flip))
    rows = np.array([3, 0, 11, 3])
    places = torch.from_numpy(np.stack([rows, *shifts(uniforms[:4], padding, Augment(flip=flip))]))
    gathered = gather_pad_crop(torch.from_numpy(images), places, padding).numpy()
    for image, numbers, crop in [
        *zip(images, uniforms, crops, strict=True),
        *zip(images[rows], uniforms[:4], gathered, strict=True),
    ]:
        np.testing.assert_array_equal(crop, slow_pad_crop(image, numbers, padding, flip))


def test_resized_crop_is_torchvisions_for_the_same_box():
    image = torch.from_numpy(random_pixels(0, 40, 50)).permute(2, 0, 1)
    augment = Augment("resized_crop", flip=True)
    for uniforms in view_uniforms(0, 0, np.arange(20)):
        box = crop_box(40, 50, uniforms, augment.scale, augment.ratio)
        expected = v2.functional.resized_crop(image, *box, [16, 16], v2.InterpolationMode.BILINEAR, antialias=True)
        if uniforms[-1] < 0.5:
            expected = v2.functional.horizontal_flip(expected)
        assert torch.equal(resized_crop(image, uniforms, augment, 16), expected)


@pytest.mark.parametrize("height, width", [(40, 50), (200, 30), (7, 60), (1, 1)])
def test_boxes_have_torchvisions_distribution(height, width):
    scale, ratio = (0.2, 1.0), (3 / 4, 4 / 3)
    torch.manual_seed(0)
    transform = v2.RandomResizedCrop(8, scale, ratio)
    image = torch.zeros(3, height, width)
    theirs = np.array(
        [[transform.make_params([image])[key] for key in ("top", "left", "height", "width")] for _ in range(1500)]
    )
    ours = np.array(
        [crop_box(height, width, numbers, scale, ratio) for numbers in view_uniforms(0, 0, np.arange(1500))]
    )
    assert (
        (ours[:, :2] >= 0).all()
        and (ours[:, 0] + ours[:, 2] <= height).all()
        and (ours[:, 1] + ours[:, 3] <= width).all()
    )
    spread = theirs.std(0) / np.sqrt(len(theirs))
    assert (abs(ours.mean(0) - theirs.mean(0)) <= 6 * spread + 1e-9).all()


def test_views_differ_by_seed_view_network_and_row():
    rows = np.arange(50)
    views = [view_uniforms(*numbers[:2], rows, numbers[2]) for numbers in np.ndindex(2, 3, 3)]
    assert len(np.unique(np.concatenate(views).ravel())) == len(views) * views[0].size


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"scale": (0.5, 0.2)}, "scale"),
        ({"ratio": (0.0, 1.0)}, "ratio"),
    ],
)
def test_fields_out_of_range(fields, message):
    with pytest.raises(UserError, match=message):
        Augment(**fields)
