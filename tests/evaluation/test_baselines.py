"""The simpler methods that a report sets beside a run."""

import numpy as np
import pytest

from tests.support.toys import stripes, toys  # noqa: F401  a fixture
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED
from tfadgm.data.labels import without_labels
from tfadgm.evaluation import baselines
from tfadgm.nn.preprocessing import Scaling
from tfadgm.resolve import resolve
from tfadgm.training import supervised


@pytest.fixture
def config(toys) -> Config:  # noqa: F811
    return resolve(Config.for_dataset(**toys), stripes())


def test_the_supervised_baseline_does_not_inherit_a_falling_step_size(config, monkeypatch):
    """It trains for a number of steps of its own, in which a schedule of the run's few epochs would be over."""
    made = []
    build_model = supervised.build_model
    monkeypatch.setattr(supervised, "build_model", lambda *arguments: made.append(build_model(*arguments)) or made[-1])
    monkeypatch.setattr(supervised, "STEPS", 30)
    errors = [baselines.supervised_error(config.replace(decay=decay), stripes()) for decay in (0.0, 1.0)]
    assert errors[0] == errors[1]
    assert [float(model.optimizer.learning_rate) for model in made] == pytest.approx([config.learning_rate] * 2)


def test_the_baselines_scale_as_the_run_does(config, monkeypatch):
    """By its likelihood, which a user may have chosen."""
    met = []
    adapt = Scaling.adapt
    monkeypatch.setattr(
        Scaling, "adapt", lambda self, x, likelihood: met.append(likelihood) or adapt(self, x, likelihood)
    )
    data = stripes()
    positive = type(data)(abs(data.x), data.y, abs(data.x_test), data.y_test, data.class_names, "gaussian")
    for likelihood in ("gaussian", "bernoulli"):
        baselines.error("self-training", config.replace(likelihood=likelihood), positive)
    assert met == ["gaussian", "bernoulli"]


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_the_baselines_learn_what_is_easy(config, name):
    assert baselines.error(name, config, stripes()) < 45


def test_those_that_learn_from_labels_alone_see_no_other_point(config):
    """The answers do not change with the points that have no label."""
    data = stripes()
    moved = data.x + 100 * (data.y == UNLABELED)[:, None]
    for name in ("logistic regression", "nearest neighbor", "boosting", "LabelSpreading", "self-training"):
        path, _ = baselines.BASELINES[name]
        found = [baselines.probabilities(name, x, data.y, data.x_test, 3) for x in (data.x, moved)]
        assert np.allclose(*found, atol=0.01) == ("semi_supervised" not in path), name


def test_the_supervised_network_begins_anew_with_each_set_of_labels(config, monkeypatch):
    monkeypatch.setattr(supervised, "STEPS", 20)
    data = stripes()
    less = without_labels(data, data.label_indices[:5])
    batch = config.replace(labeled_batch=15)  # as many as either has
    found = [model.predict_on_batch(data.x_test) for model in supervised.supervised(batch, [less, data, less])]
    np.testing.assert_array_equal(found[0], found[2])
    assert abs(found[0] - found[1]).max() > 0.01
    (alone,) = (model.predict_on_batch(data.x_test) for model in supervised.supervised(batch, [data]))
    np.testing.assert_allclose(found[1], alone, atol=1e-6)


def test_of_many_points_they_learn_from_some_and_all_labels(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_POINTS", 30)
    data = stripes()
    some = baselines.some_points(data)
    assert len(some.x) == 30
    assert some.y[some.label_indices].tolist() == data.y[data.label_indices].tolist()
    np.testing.assert_array_equal(some.x[some.label_indices], data.x[data.label_indices])
    monkeypatch.setattr(baselines, "MOST_POINTS", 10)  # fewer than labels
    assert len(baselines.some_points(data).x) == len(data.label_indices)
