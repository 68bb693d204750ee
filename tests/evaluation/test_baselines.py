"""The simpler methods that a report sets beside a run."""

import pytest

from tests.support.toys import stripes, toys  # noqa: F401  a fixture
from tfadgm.config import Config
from tfadgm.evaluation import baselines
from tfadgm.nn.preprocessing import Scaling
from tfadgm.resolve import resolve


@pytest.fixture
def config(toys) -> Config:  # noqa: F811
    return resolve(Config.for_dataset(**toys), stripes())


def test_the_supervised_baseline_does_not_inherit_a_falling_step_size(config, monkeypatch):
    """It trains for a number of steps of its own, in which a schedule of the run's few epochs would be over."""
    made = []
    build_model = baselines.build_model
    monkeypatch.setattr(baselines, "build_model", lambda *arguments: made.append(build_model(*arguments)) or made[-1])
    monkeypatch.setattr(baselines, "SUPERVISED_STEPS", 30)
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
        baselines.self_training_error(config.replace(likelihood=likelihood), positive)
    assert met == ["gaussian", "bernoulli"]


def test_the_baselines_learn_what_is_easy(config):
    assert baselines.self_training_error(config, stripes()) < 45
    assert baselines.label_spreading_error(config, stripes()) < 25
