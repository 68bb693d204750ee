"""One export of a small model, for all tests of serving, and exports without their processes."""

from __future__ import annotations

import functools
import json
import pickle
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.conftest import make_model, randomise
from tfadgm import serving
from tfadgm.errors import VerificationError
from tfadgm.models import Classifier
from tfadgm.serving import archive, runners, verification
from tfadgm.serving.servable import Servable
from tfadgm.serving.signatures import SIGNATURES

THRESHOLD = 0.4  # of the probability of an answer that is accepted
NAMES = ("ape", "bee", "cat")


def new_model(kind: str = "SDGM", **options):
    return randomise(make_model(kind, hidden_units=(8,), **options))


model_of = functools.cache(new_model)


def make_servable(kind: str = "SDGM", temperature: float = 1.5, **options) -> Servable:
    """A model that tests share: one that changes it asks for a `new_model`."""
    return Servable(model_of(kind, **options), NAMES, temperature, THRESHOLD)


@keras.saving.register_keras_serializable("tests")
class Plain(Classifier):
    """A classifier that is not generative, with a layer that its predictions do not need."""

    def __init__(self, feature_shape, classes, **options):
        super().__init__(feature_shape, classes, **options)
        self.q_y_x = self.categorical(classes, self.scaling.units)
        self.unused = self.categorical(classes, self.scaling.units)
        self.build()

    def class_logits(self, x, sampler):
        return self.q_y_x(x, bn_mode=sampler.bn_mode)[None]


def make_plain(feature_shape=(2, 3), **options) -> Classifier:
    keras.utils.set_random_seed(0)
    model = Plain(feature_shape, 3, hidden_units=(8,), xla=False, **options)
    model.adapt(16 * np.random.default_rng(0).random([50, *feature_shape]).astype(np.float32))
    return model


def info_of(path: Path) -> dict:
    return json.loads((path / "assets.extra" / "model_info.json").read_text())


@pytest.fixture
def servable() -> Servable:
    return make_servable()


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Path:
    """The folder of version 1 of `make_servable()` as the model `tiny`, verified in processes of their own."""
    servable = make_servable()
    output = tmp_path_factory.mktemp("models")
    return serving.export(
        servable.model, output, name="tiny", class_names=NAMES,
        temperature=servable.temperature, threshold=THRESHOLD, info={"labels": 6},
    )  # fmt: skip


@pytest.fixture
def keep(monkeypatch):
    """Leaves only signatures that are named in the table, whose export takes less time."""

    def keep(*names: str) -> None:
        for name in set(SIGNATURES) - set(names):
            monkeypatch.delitem(SIGNATURES, name)

    return keep


@pytest.fixture
def unverified(monkeypatch, exported):
    """Exports of `make_servable()` for tests of everything around them: the graph is a copy, nothing is verified."""
    told = {"requests": 0, "largest_difference": {"keras": 0.0}, "bytes": 1, "seconds": 0.0, "loaders": []}
    monkeypatch.setattr(verification, "verify", lambda path, servable=None: told)
    extra = shutil.ignore_patterns("assets.extra")
    monkeypatch.setattr(
        archive, "write", lambda servable, path: shutil.copytree(exported, path, ignore=extra, dirs_exist_ok=True)
    )


def run_here(runs, folder: Path) -> None:
    """In place of processes of their own, which take seconds more: all loaders are the C API in this process."""
    model, operations, calls = pickle.loads((folder / "job.pickle").read_bytes())
    answers: list[dict] = []
    for kind, *libraries in runs:
        try:
            if libraries or not answers:
                ask = runners.c_api_runner(model, *map(Path, libraries), operations=operations)
                answers = [ask(feeds, fetches) for feeds, fetches in calls]
        except runners.NoLibraryError as reason:
            raise verification.LoaderMissing(reason) from reason
        except RuntimeError as reason:
            raise VerificationError(f"Expected the model to load and run. Received: {reason}") from reason
        (folder / f"{kind}.pickle").write_bytes(pickle.dumps(answers))


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(verification, "_run_side_by_side", run_here)


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> Path:
    """The folder of an export of `make_plain(feature_shape=(6,))`, which has two signatures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "_run_side_by_side", run_here)
        model = make_plain(feature_shape=(6,))
        return serving.export(model, tmp_path_factory.mktemp("plain"), name="plain", class_names=NAMES)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, [5, 2, 3]).astype(np.uint8)


@pytest.fixture(scope="session")
def saved_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    make_servable().model.save(folder / "model.keras")
    told = {"model": "sdgm", "dataset": "mine.npz", "labels": 6, "seed": 0, "training_points": 9, "epochs": 1}
    told |= {"test_error": 1.0, "test_nll": 0.1, "test_ece": 0.01, "classes": list(NAMES)}
    (folder / "report.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def run_dir(tmp_path, saved_run) -> Path:
    """A run folder as train.py leaves it."""
    return shutil.copytree(saved_run, tmp_path / "mine")
