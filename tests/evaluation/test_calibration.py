"""Temperatures: recovered where they are known, and never below 1."""

import numpy as np
import pytest

from tests.serving.conftest import make_servable
from tfadgm.evaluation.calibration import best_temperature, calibrate, temper


def overconfident(temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that want `temperature`, and classes drawn from what it makes of them."""
    generator = np.random.default_rng(0)
    logits = 3 * generator.standard_normal([20_000, 4])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    true = temper(probabilities, temperature)
    y = (generator.random([20_000, 1]) > true.cumsum(1)[:, :-1]).sum(1)
    return probabilities.astype(np.float32), y


@pytest.mark.parametrize("temperature", [1.5, 4.0])
def test_a_known_temperature_is_found(temperature):
    assert best_temperature(*overconfident(temperature)) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_probabilities_are_never_sharpened(temperature):
    assert best_temperature(*overconfident(temperature)) == pytest.approx(1.0, abs=0.02)


def test_temper_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    np.testing.assert_allclose(temper(probabilities, 1.0), probabilities)
    np.testing.assert_allclose(temper(probabilities, 2.0), [[0.75, 0.25], [1 / 3, 2 / 3]])


def test_calibration_of_a_model_is_repeatable_and_does_not_harm():
    model = make_servable().model
    found = calibrate(model, points=300)
    assert found == calibrate(model, points=300)
    assert found["nll_after"] <= found["nll_before"]
    assert found["temperature"] >= 1
