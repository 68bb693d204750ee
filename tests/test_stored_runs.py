"""Runs of every release load: their models answer as then, their configurations are read, their trainings go on.

A release adds a folder to `tests/stored`, with the answers that its own code gave.
"""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import tfadgm  # noqa: F401  Keras finds the models by it
from tfadgm.data.toy import digits
from tfadgm.evaluation.estimate import estimate
from tfadgm.resolve import resolve
from tfadgm.run import Run
from tfadgm.training.trainer import Training

STORED = Path(__file__).parent / "stored"
RUNS = pytest.mark.parametrize(
    "folder", [pytest.param(STORED / "0.1" / name, id=f"0.1-{name}") for name in ("sdgm", "avae")]
)


@pytest.fixture(scope="module")
def answers() -> dict[str, np.ndarray]:
    with np.load(STORED / "0.1" / "answers.npz") as arrays:
        return dict(arrays)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)


def test_a_classifier_of_0_1_answers_as_then(answers):
    model, x = keras.models.load_model(STORED / "0.1" / "sdgm" / "model.keras"), digits().x_test[:20]
    close(model.predict(x, verbose=0), answers["probabilities"])
    close(model.log_likelihood_bound(x), answers["bound"])
    close(model.generate([0, 1, 2], (5, 6)), answers["generated"])
    close(model.embed(x), answers["a"])
    assert [part.name for part in model.regularizers] == ["distribution_alignment", "vat"]
    assert (model.total_count, model.global_clipnorm) == (4, 5.0)


def test_a_density_of_0_1_answers_as_then(answers):
    model = keras.models.load_model(STORED / "0.1" / "avae" / "model.keras")
    close(model.log_likelihood_bound(digits().x_test[:20]), answers["avae_bound"])
    close(model.generate(3, (5, 6)), answers["avae_generated"])


@RUNS
def test_its_configuration_and_report_are_read(folder):
    run = Run(folder)
    assert run.config.hidden_units == (8,)
    assert run.report["epochs"] == run.config.epochs == 2
    assert run.load_model().task == ("density" if folder.name == "avae" else "classification")


@RUNS
def test_its_training_can_go_on(folder, tmp_path):
    """The checkpoint is of this run by its fingerprint, and its rows have the names of today."""
    shutil.copytree(folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    config, dataset = run.resumed({"epochs": 3}), run.load_dataset()
    training = Training(resolve(config, dataset), dataset.without_tests(), run.folder)
    training.begin(resume=True, values=run.values(config))
    assert (training.progress.epoch, int(training.model.step)) == (2, 2 * training.steps)
    assert {"unlabeled_elbo", "elbo"} & training.progress.history[0].keys()


@pytest.mark.slow
@RUNS
def test_its_training_goes_on(folder, tmp_path, answers):
    """The checkpoint is of this run by its fingerprint, and another epoch ends where it ended then."""
    shutil.copytree(folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    config, dataset = run.resumed({"epochs": 3}), run.load_dataset()
    training = Training(resolve(config, dataset), dataset.without_tests(), run.folder)
    training.begin(resume=True, values=run.values(config))
    training.fit(verbose=0)
    losses = [row["loss"] for row in training.progress.history]
    np.testing.assert_allclose(losses, answers[f"{folder.name}_losses"][:3], rtol=1e-3)


@pytest.mark.slow
def test_its_likelihood_is_estimated(tmp_path):
    shutil.copytree(STORED / "0.1" / "avae", tmp_path / "run")
    assert estimate(tmp_path / "run", 20, points=10)["points"] == 10
