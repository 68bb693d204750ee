import struct

import numpy as np
import pytest
import tensorflow as tf

from tfadgm.data.dataset import UNLABELED
from tfadgm.data.images import batches, own_images
from tfadgm.data.sources import kind_of, load_dataset
from tfadgm.errors import InputError
from tfadgm.nn.images import decode, is_readable

RANDOM = np.random.default_rng(0)


def picture(height: int = 20, width: int = 30, channels: int = 3) -> np.ndarray:
    return RANDOM.integers(0, 256, [height, width, channels]).astype(np.uint8)


def bmp(image: np.ndarray) -> bytes:
    """A 24-bit BMP, which TensorFlow reads but does not write; the width is a multiple of four."""
    height, width, _ = image.shape
    body = image[::-1, :, ::-1].tobytes()
    head = struct.pack("<2sIHHI", b"BM", 54 + len(body), 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(body), 2835, 2835, 0, 0) + body


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else tf.io.encode_png(content).numpy())


@pytest.fixture
def folder(tmp_path):
    colour = picture()
    write(tmp_path, {
        "ants/a.png": colour, "ants/b.JPG": tf.io.encode_jpeg(picture(40, 10)).numpy(),
        "bees/é c.png": picture(8, 8, 1),
        "bees/d.bmp": bmp(picture(12, 16)), "unlabeled/e.png": picture(300, 200), "unlabeled/f.png": picture(9, 9, 4),
        "test/bees/g.png": picture(), "notes.txt": b"no image", "ants/.DS_Store": b"no image",
    })  # fmt: skip
    return tmp_path


def test_a_folder_of_mixed_images(folder):
    data = load_dataset(f"{folder}/")
    assert data.class_names == ("ants", "bees")
    assert data.ids.tolist() == [
        "ants/a.png", "ants/b.JPG", "bees/d.bmp", "bees/é c.png", "unlabeled/e.png", "unlabeled/f.png",
    ]  # fmt: skip
    assert data.y.tolist() == [0, 0, 1, 1, UNLABELED, UNLABELED]
    assert (data.x.shape, data.x.dtype) == ((6, 32, 32, 3), np.uint8)
    assert (data.x_test.shape, data.y_test.tolist()) == ((1, 32, 32, 3), [1])
    assert data.notes == ("7 images of 32x32, colour",)


def test_a_list_of_images(folder):
    rows = ["path,label", "ants/a.png,ant", "bees/d.bmp,bee", "unlabeled/e.png,", "ants/b.JPG,ant"]
    (folder / "list.csv").write_text("\n".join(rows))
    data = load_dataset(str(folder / "list.csv"), image_size=8)
    assert (data.class_names, data.y.tolist()) == (("ant", "bee"), [0, 1, UNLABELED, 0])
    assert data.x.shape == (4, 8, 8, 3)
    assert data.ids.tolist() == ["ants/a.png", "bees/d.bmp", "unlabeled/e.png", "ants/b.JPG"]


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "ants/../../secret.png"])
def test_a_list_does_not_lead_out(folder, path):
    (folder / "list.csv").write_text(f"path,label\nants/a.png,ant\n{path},bee\n")
    with pytest.raises(InputError, match="Expected paths of images within .* Received: "):
        load_dataset(str(folder / "list.csv"))


def test_small_images_of_one_size_keep_it(tmp_path):
    images = [picture(10, 12, 1) for _ in range(3)]
    write(tmp_path, {"a/0.png": images[0], "b/1.png": images[1], "unlabeled/2.png": images[2]})
    data = own_images(tmp_path)
    np.testing.assert_array_equal(data.x, images)
    assert data.notes == ("3 images of 10x12, grey",)
    assert own_images(tmp_path, size=16).x.shape == (3, 16, 16, 1)


def test_what_cannot_be_read_is_named_and_left_out(folder):
    write(folder, {
        "ants/broken.png": b"no image at all", "ants/half.png": tf.io.encode_png(picture()).numpy()[:200],
        "bees/empty.png": b"",
    })  # fmt: skip
    data = load_dataset(f"{folder}/")
    assert len(data.x) == 6
    for name in ("broken", "half", "empty"):
        assert any(name in note for note in data.notes)
    with pytest.raises(InputError, match="Expected images that can be read. Received: .*broken.png"):
        load_dataset(f"{folder}/", strict=True)


def test_a_small_file_that_claims_to_be_huge_is_not_decoded(folder):
    head = tf.io.encode_png(picture()).numpy()
    write(folder, {"ants/bomb.png": head[:16] + struct.pack(">II", 60_000, 60_000) + head[24:]})
    assert any("bomb.png: no PNG" in note for note in load_dataset(f"{folder}/").notes)


def test_links_do_not_lead_out(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    write(outside, {"secret.png": picture()})
    (folder / "ants" / "link.png").symlink_to(outside / "secret.png")
    assert "ants/link.png" not in load_dataset(f"{folder}/").ids


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "Expected images .* Received none"),
        ({"ants/a.png": picture()}, "Expected folders of two classes or more in .* Received: ants"),
        ({"ants/a.png": b"broken", "bees/b.png": b"broken"}, "Received: 2 that cannot"),
        ({"ants/a.png": picture(), "bees/b.png": b"broken"}, "Expected an image of class 'bees' for training"),
        ({"ants/a.png": picture(), "test/bees/b.png": picture()}, "Expected an image of class 'bees' for training"),
    ],
)
def test_folders_that_cannot_be_used_are_one_line(tmp_path, files, message):
    write(tmp_path, files)
    with pytest.raises(InputError, match=message) as error:
        own_images(tmp_path)
    assert "\n" not in str(error.value)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="Expected a folder of images. Received: .*none"):
        load_dataset(f"{tmp_path}/none/")
    assert kind_of(f"{tmp_path}") == "images"


def test_new_images_come_with_their_names(folder):
    names, images = zip(*batches(folder / "unlabeled", (32, 32, 3)), strict=True)
    assert names == (["e.png", "f.png"],)
    np.testing.assert_array_equal(images[0], load_dataset(f"{folder}/").x[-2:])


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_of_the_right_size_are_the_pixels(channels):
    image = picture(6, 8, channels)
    for data in (tf.io.encode_png(image), bmp(picture(6, 8)) if channels == 3 else tf.io.encode_png(image)):
        assert bool(is_readable(data))
    np.testing.assert_array_equal(decode(tf.io.encode_png(image), [6, 8, channels]), image)


def test_the_middle_of_an_image_stays_there():
    image = np.zeros([64, 64, 1], np.uint8)
    image[24:40, 24:40] = 255
    small = decode(tf.io.encode_png(image), [16, 16]).numpy()
    assert small[8, 8] == 255
    assert small[0, 0] == 0
    np.testing.assert_array_equal(small, small[::-1, ::-1])
