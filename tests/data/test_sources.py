import os
from pathlib import Path

import numpy as np
import pytest

from tfadgm.data import sources, tfds, toy
from tfadgm.data.dataset import UNLABELED
from tfadgm.errors import InputError


def test_digits_are_split_without_overlap():
    data = toy.digits()
    assert (data.x.shape, data.x_test.shape) == ((1257, 8, 8), (540, 8, 8))
    rows = {row.tobytes() for row in data.x}
    assert sum(row.tobytes() in rows for row in data.x_test) == 0
    assert np.bincount(data.y_test).min() >= 50


def test_moons_train_and_test_points_are_drawn_separately():
    data = toy.moons(seed=3)
    assert data.x.shape == (10_006, 2)
    assert (data.y != UNLABELED).sum() == 6
    assert not {row.tobytes() for row in data.x} & {row.tobytes() for row in data.x_test}
    assert (data.x != toy.moons(seed=4).x).any()
    assert (data.x_test == toy.moons(seed=4).x_test).all()


def test_labeled_moons_lie_on_their_moon():
    """Each labeled point is nearer to the mean of its class's three nearest points than to the other's."""
    x, y = toy.draw_moons(2000, seed=0)
    distances = np.linalg.norm(toy.MOONS_LABELED[:, None] - x, axis=-1)
    nearest = [np.sort(distances[:, y == index], 1)[:, :3].mean(1) for index in (0, 1)]
    assert np.stack(nearest).argmin(0).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.skipif(
    not any(Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser().glob("mnist/*/*.json")),
    reason="no prepared MNIST: set TFDS_DATA_DIR",
)
def test_mnist_is_whole():
    data = tfds.mnist()
    assert (data.x.shape, data.x_test.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert data.x.dtype == np.uint8
    assert np.bincount(data.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_an_unusable_folder_of_mnist_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Expected mnist from TensorFlow Datasets") as error:
        tfds.mnist(str(tmp_path / "file"))
    assert "\n" not in str(error.value)


def test_a_new_source_is_its_name(monkeypatch):
    monkeypatch.setitem(sources.SOURCES, "mine", lambda data_dir, seed: toy.moons(data_dir, seed + 1))
    assert (sources.load_dataset("mine", None, 3).x == toy.moons(seed=4).x).all()


def test_unknown_data_are_named():
    with pytest.raises(
        InputError,
        match="Expected dataset to be one of digits, .* tfds:NAME of TensorFlow Datasets, the path of a file",
    ):
        sources.load_dataset("cifar")
