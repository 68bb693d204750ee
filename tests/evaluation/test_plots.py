import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tfadgm import SDGM, VAE
from tfadgm.data.dataset import Dataset
from tfadgm.evaluation import plots
from tfadgm.evaluation.abstention import risk_coverage


def dataset(shape: tuple[int, ...], classes: int = 3) -> Dataset:
    generator = np.random.default_rng(0)
    x, y = generator.random([30, *shape], np.float32), np.arange(30) % classes
    return Dataset(x, y, x, y, tuple(f"$_{index}" for index in range(classes)), "bernoulli")


SCORES = {"labeled_elbo": -9.0, "unlabeled_elbo": -8.0, "label_nll": 0.3, "test_nll": 0.4}
HISTORY = [{"epoch": epoch, "test_error": 10 - epoch, **SCORES} for epoch in range(1, 4)]


SLOW_SHAPES = (2,), (4, 4), (4, 4, 1), (2, 2, 2, 2)
DENSITY_SHAPES = (4, 4, 3), *SLOW_SHAPES
SHAPES = pytest.mark.parametrize(
    "shape", [(7,), (4, 4, 3), *(pytest.param(shape, marks=pytest.mark.slow) for shape in SLOW_SHAPES)]
)


@pytest.fixture(autouse=True)
def no_axis_is_empty(monkeypatch):
    """Looked at when a figure is closed."""
    close = plt.close

    def checked(*which):
        assert all(axis.has_data() for number in plt.get_fignums() for axis in plt.figure(number).axes)
        close(*which)

    monkeypatch.setattr(plt, "close", checked)


@SHAPES
def test_every_feature_shape_has_its_figures(tmp_path, shape):
    model = SDGM(shape, 3, hidden_units=(8,), latent_units=2, auxiliary_units=2)
    plots.draw_classifier(tmp_path, model, dataset(shape), HISTORY)
    names = {"curves.png", "samples.png", "confusion.png"} | ({"regions.png"} if shape == (2,) else set())
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize("shape", [(7,), *(pytest.param(shape, marks=pytest.mark.slow) for shape in DENSITY_SHAPES)])
def test_a_model_of_x_alone_has_its_figures(tmp_path, shape):
    model = VAE(shape, hidden_units=(8,), latent_units=2)
    plots.draw_density(tmp_path, model, dataset(shape), [{"epoch": 1, "elbo": -9.0}])
    images = {"reconstructions.png"} if len(shape) == 2 or shape[2:] in ((1,), (3,)) else set()
    assert {path.name for path in tmp_path.iterdir()} == {"curves.png", "samples.png"} | images


@pytest.mark.parametrize("count", [1, 7, 10, 15])
def test_few_images_are_reconstructed(count):
    few = dataset((4, 4))
    few = dataclasses.replace(few, x_test=few.x_test[:count], y_test=few.y_test[:count])
    model = VAE((4, 4), hidden_units=(8,), latent_units=2)
    plots.draw_reconstructions(model, few)
    shown = [np.asarray(axis.images[0].get_array()) for axis in plt.gcf().axes]
    plt.close("all")
    assert len(shown) == (20 if count <= 10 else 40)
    low, high = few.x.min(), few.x.max()
    for index in range(len(shown) // 2):
        row, column = divmod(index, 10)
        own = few.x_test[index % count]
        np.testing.assert_allclose(shown[20 * row + column], (own - low) / (high - low), atol=1e-6)
        mean = (model(own[None]).numpy()[0] - low) / (high - low)
        np.testing.assert_allclose(shown[20 * row + 10 + column], np.clip(mean, 0, 1), atol=1e-5)


@pytest.mark.slow
def test_a_hundred_classes_are_drawn(tmp_path):
    model = SDGM((4, 4), 100, hidden_units=(8,), latent_units=2, auxiliary_units=2)
    plots.draw_classifier(tmp_path, model, dataset((4, 4), 100), HISTORY)
    assert plt.get_fignums() == []


def test_names_that_begin_with_an_underscore_are_shown():
    """Matplotlib leaves them out of legends."""
    model = SDGM((2,), 2, hidden_units=(8,), latent_units=2, auxiliary_units=2)
    data = dataclasses.replace(dataset((2,), 2), class_names=("_x", "y"))
    plots.draw_regions(model, data)
    shown = [text.get_text().strip("\N{ZERO WIDTH SPACE}") for text in plt.gca().get_legend().get_texts()]
    plt.close("all")
    assert shown == ["_x", "y"]


@pytest.mark.parametrize(("accepted", "marked"), [(None, 0), ({"threshold": 0.8}, 1), ({"threshold": 2.0}, 0)])
def test_errors_are_drawn_over_accepted_answers(accepted, marked):
    """Of the two that reach the threshold, one in four by their weights is wrong."""
    curve = risk_coverage(np.array([0.9, 0.6, 0.8]), np.array([False, True, True]), np.array([3.0, 4.0, 1.0]))
    plots.draw_risk(curve, accepted)
    axis = plt.gcf().axes[0]
    assert axis.lines[0].get_ydata().round(2).tolist() == [0.0, 25.0, 62.5]
    points = [point for drawn in axis.collections for point in drawn.get_offsets().tolist()]
    assert points == [[50.0, 25.0]] * marked
    plt.close("all")
