"""Toy runs for tests of training: about files and orders, with steps that cost next to nothing."""

import dataclasses

import numpy as np
import pytest

from tests.support.toys import TOYS, stripes, toys  # noqa: F401  a fixture
from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.data.labels import choose_labels
from tfadgm.training import trainer
from tfadgm.training.build import build_model


def tiny(**choices) -> Config:
    """A run of a toy, whose steps cost next to nothing: these tests are about files and orders."""
    return Config.for_dataset(**{**TOYS, "epochs": 4, "decay": 0.0, **choices})


@pytest.fixture(autouse=True)
def use_toys(toys):  # noqa: F811
    return toys


@pytest.fixture(scope="module")
def whole_data() -> Dataset:
    """60 points, every one with its label."""
    data = stripes()
    return dataclasses.replace(data, y=(data.x[:, 0] > 0).astype(np.int64))


@pytest.fixture(scope="module")
def dataset(whole_data) -> Dataset:
    return choose_labels(whole_data, 20, 0)


@pytest.fixture
def eager(monkeypatch):
    """Steps without tracing, which takes longer than these trainings."""

    def built(*arguments):
        model = build_model(*arguments)
        model.run_eagerly = True
        return model

    monkeypatch.setattr(trainer, "build_model", built)
