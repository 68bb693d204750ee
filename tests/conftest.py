"""Shared fixtures: small models of every kind, and tiny data. A default test that takes too long fails."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # a test process for each core
    for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

import keras
import numpy as np
import pytest
import tensorflow as tf
from xdist.scheduler import LoadScopeScheduling

import tfadgm
from tfadgm.evaluation import folds
from tfadgm.models import DeepGenerativeClassifier

SLOWEST = 10.0  # seconds that a test may take unless it is marked slow
FEATURES, CLASSES = 6, 3
KINDS = "ADGM", "SDGM", "M2"
ALL = pytest.mark.parametrize("kind", KINDS)
SLOW_ALL = pytest.mark.parametrize(
    "kind", ["SDGM", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("ADGM", "M2"))]
)


class ByFixtures(LoadScopeScheduling):
    """The tests of a file stay on one process, and those of serving too: what they share is made once."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        return "serving" if path.startswith("tests/serving/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> LoadScopeScheduling:
    return ByFixtures(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    """Fails a test that takes longer, by the clock and by the processor: a busy machine is not its fault."""
    started, before = time.perf_counter(), sum(os.times()[:4])
    result = yield
    seconds = min(time.perf_counter() - started, sum(os.times()[:4]) - before)
    if seconds > SLOWEST and not item.get_closest_marker("slow"):
        pytest.fail(f"Expected at most {SLOWEST:.0f} s. Received {seconds:.1f}: make the test smaller, or mark it slow")
    return result


@pytest.fixture(scope="session", autouse=True)
def no_estimate() -> Iterator[None]:
    """Five more trainings a run are for the tests of folds alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "estimate", lambda config, dataset, model: {"left_out": "Left out."})
        yield


def make_model(kind: str, **options) -> DeepGenerativeClassifier:
    """A model of [2, 3] features and three classes, small enough for brute force."""
    keras.utils.set_random_seed(0)
    defaults = {"hidden_units": (8, 7), "latent_units": 2, "likelihood": "bernoulli", "xla": False}
    if kind != "M2":
        defaults["auxiliary_units"] = 2
    defaults |= {"feature_shape": (2, 3), "classes": CLASSES}
    return getattr(tfadgm, kind)(**{**defaults, **options})


def randomise(model: DeepGenerativeClassifier, seed: int = 0) -> DeepGenerativeClassifier:
    """Gives every weight, averages of batch normalisation included, a value that is not its initial one."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype != "float32" or weight.path.endswith(("shift", "scale", "class_marginal")):
            continue
        value = 0.4 * generator.normal(size=weight.shape)
        weight.assign(np.exp(value) if "variance" in weight.path else value)
    return model


def stream(x: np.ndarray, y: np.ndarray, unlabeled: np.ndarray) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors({"labeled": (x, y), "unlabeled": unlabeled}).repeat()


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, [5, 2, 3]).astype(np.float32)


@pytest.fixture
def y() -> np.ndarray:
    return np.array([0, 1, 2, 1, 0])
