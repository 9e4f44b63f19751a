"""Class folders, against torchvision."""

import logging
import os

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from ktlight.data.imagefolder import EXTENSIONS, read_folder

from .conftest import encode, random_pixels


def put(folder, name, seed, format="PNG"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encode(random_pixels(seed), format))


@pytest.fixture
def mixed(tmp_path):
    """Formats, capitals, nested, linked and looping folders, linked files, and files that are no images."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for number, (suffix, format) in enumerate(
        [("bmp", "BMP"), ("tif", "TIFF"), ("TIFF", "TIFF"), ("ppm", "PPM"), ("webp", "WEBP"), ("JPG", "JPEG")]
    ):
        put(root / "ant", f"{9 - number}.{suffix}", number, format)
    put(root / "ant" / "b", "x.png", 10)  # its path sorts after the next one's, its folder before
    put(root / "ant" / "b-c", "y.png", 11)
    put(root / "ant", "z.png", 12)
    (root / "ant" / "notes.txt").write_text("no image")
    put(elsewhere / "bees" / "deep", "0.png", 20)
    put(elsewhere, "linked.png", 21)
    (root / "bee").symlink_to(elsewhere / "bees")
    (root / "ant" / "linked.png").symlink_to(elsewhere / "linked.png")
    (root / "ant" / "twice").symlink_to(elsewhere / "bees")
    return root


def test_rows_are_torchvisions(mixed, caplog):
    assert set(EXTENSIONS) == set(IMG_EXTENSIONS)
    with caplog.at_level(logging.INFO):
        table = read_folder(str(mixed))
    expected = ImageFolder(mixed)
    assert [(table.images.place(row), label) for row, label in enumerate(table.labels)] == expected.samples
    assert table.class_names == tuple(expected.classes) == ("ant", "bee")
    for row, (image, _) in enumerate(expected):
        np.testing.assert_array_equal(table.image(row).permute(1, 2, 0), np.asarray(image))
    assert f"left out of {mixed}, no images by their names: 1 .txt" in caplog.text
    assert len(table) == 12 and table.images.sizes.min() > 0


def test_a_link_back_is_not_followed_for_ever(mixed):
    rows = len(read_folder(str(mixed)))
    (mixed / "ant" / "back").symlink_to(mixed / "ant")
    (mixed / "ant" / "up").symlink_to(mixed)
    (mixed / "ant" / "hidden").mkdir()
    (mixed / ".cache").mkdir()
    table = read_folder(str(mixed))
    assert table.class_names == ("ant", "bee")
    assert len(table) == rows + 1  # up leads to the other class, which lies in no folder on the way


def test_identity_follows_the_content(mixed):
    before = read_folder(str(mixed)).fingerprint
    file = mixed / "ant" / "z.png"
    stat = file.stat()
    put(mixed / "ant", "z.png", 13)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert read_folder(str(mixed)).fingerprint != before
    put(mixed / "ant", "z.png", 12)
    assert read_folder(str(mixed)).fingerprint == before


def test_rotated_photos_are_told_once(tmp_path, caplog):
    (tmp_path / "ant").mkdir()
    for number in range(3):
        image = Image.fromarray(random_pixels(number))
        exif = image.getexif()
        exif[0x0112] = 6 if number else 1
        image.save(tmp_path / "ant" / f"{number}.jpg", exif=exif)
    with caplog.at_level(logging.INFO):
        read_folder(str(tmp_path)).tell_rotations()
    assert f"2 of 3 sampled images of {tmp_path} carry a rotation flag (EXIF); they are read as stored" in caplog.text
    assert read_folder(str(tmp_path)).image(1).shape == (3, 10, 12)
