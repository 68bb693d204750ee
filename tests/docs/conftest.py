"""What makes the examples of the documentation run in seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import pytest
import tensorflow as tf

from tfadgm import config, estimator
from tfadgm.data import sources, toy
from tfadgm.evaluation import baselines, classification, plots
from tfadgm.training import build, trainer

TINY = {"hidden_units": (4,), "latent_units": 2, "xla": False}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Presets of tiny networks, few points, one epoch at most, no baselines, bounds and pictures."""
    preset, draw_moons, fit, digits = config.preset, toy.draw_moons, keras.Model.fit, toy.digits()

    def fit_once(model: keras.Model, *arguments: Any, **options: Any) -> Any:
        return fit(model, *arguments, **{**options, "epochs": 1, "verbose": 0})

    monkeypatch.setattr(config, "preset", lambda dataset, model: preset(dataset, model) | TINY)
    monkeypatch.setattr(toy, "draw_moons", lambda points, seed: draw_moons(30, seed))
    few = dataclasses.replace(
        digits, x=digits.x[:100], y=digits.y[:100], x_test=digits.x_test[:9], y_test=digits.y_test[:9]
    )
    monkeypatch.setitem(sources.SOURCES, "digits", lambda data_dir, seed: few)
    monkeypatch.setattr(keras.Model, "fit", fit_once)
    monkeypatch.setattr(build, "count_flops", lambda model, batch: 1e6)
    monkeypatch.setattr(baselines, "supervised_error", lambda config, dataset: 50.0)
    monkeypatch.setattr(classification, "SCIKIT_POINTS", (0, 0))
    monkeypatch.setattr(classification, "mean_elbo", lambda model, x: -1.0)
    monkeypatch.setattr(plots, "draw_classifier", lambda *arguments: None)
    for module in (estimator, classification):
        monkeypatch.setattr(module, "calibrate", lambda model: {"temperature": 1.0})
    monkeypatch.setattr(trainer, "epochs_at_once", lambda *_: 1)
    tf.config.run_functions_eagerly(True)  # a trace takes longer than a step of such networks
    yield
    tf.config.run_functions_eagerly(False)
