import matplotlib.pyplot as plt
import numpy as np
import pytest

from tfadgm import SDGM, figures
from tfadgm.data.sources import Dataset


def dataset(shape: tuple[int, ...], classes: int = 3) -> Dataset:
    generator = np.random.default_rng(0)
    x, y = generator.random([30, *shape], np.float32), np.arange(30) % classes
    return Dataset(x, y, x, y, tuple(f"$_{index}" for index in range(classes)), "bernoulli")


SCORES = {"labeled_bound": -9.0, "unlabeled_bound": -8.0, "label_nll": 0.3, "test_nll": 0.4}
HISTORY = [{"epoch": epoch, "test_error": 10 - epoch, **SCORES} for epoch in range(1, 4)]


@pytest.mark.parametrize("shape", [(2,), (7,), (4, 4), (4, 4, 1), (4, 4, 3), (2, 2, 2, 2)])
def test_every_feature_shape_has_its_figures(tmp_path, shape):
    model = SDGM(shape, 3, hidden_units=(8,), latent_units=2, auxiliary_units=2)
    figures.draw_all(tmp_path, model, dataset(shape), np.arange(9), HISTORY)
    names = {"curves.png", "samples.png", "confusion.png"} | ({"regions.png"} if shape == (2,) else set())
    assert {path.name for path in tmp_path.iterdir()} == names
    for path in tmp_path.iterdir():
        image = plt.imread(path)
        assert image.std() > 0.01, f"{path.name} is empty"


def test_a_hundred_classes_are_drawn(tmp_path):
    model = SDGM((4, 4), 100, hidden_units=(8,), latent_units=2, auxiliary_units=2)
    figures.draw_all(tmp_path, model, dataset((4, 4), 100), np.arange(9), HISTORY)
    assert plt.get_fignums() == []
