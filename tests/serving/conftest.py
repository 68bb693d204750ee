"""One export of a small model, for all tests of serving."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import make_model, randomise
from tfadgm import serving
from tfadgm.serving import verification
from tfadgm.serving.signatures import Servable

NAMES = ("ape", "bee", "cat")


def make_servable(kind: str = "SDGM", temperature: float = 1.5, **options) -> Servable:
    return Servable(randomise(make_model(kind, **options)), NAMES, temperature)


@pytest.fixture
def servable() -> Servable:
    return make_servable()


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of version 1 of `make_servable()` as the model `tiny`, verified."""
    servable = make_servable()
    output = tmp_path_factory.mktemp("models")
    return serving.export(
        servable.model, output, name="tiny", class_names=NAMES, temperature=servable.temperature, info={"labels": 6}
    )


@pytest.fixture
def unverified(monkeypatch):
    """Exports without their processes, for tests of everything around them."""
    told = {"requests": 0, "largest_difference": {"keras": 0.0}, "bytes": 1, "seconds": 0.0}
    monkeypatch.setattr(verification, "verify", lambda path, servable=None: told)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, [5, 2, 3]).astype(np.uint8)


@pytest.fixture
def run_dir(tmp_path) -> Path:
    """A run folder as train.py leaves it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    make_servable().model.save(folder / "model.keras")
    told = {"model": "sdgm", "dataset": "mine.npz", "labels": 6, "seed": 0, "training_points": 9, "epochs": 1}
    told |= {"test_error": 1.0, "test_nll": 0.1, "test_ece": 0.01, "classes": list(NAMES)}
    (folder / "report.json").write_text(json.dumps(told))
    return folder
