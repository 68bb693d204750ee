"""The house is open: a toy of each kind, added here, trains, reports, resumes, tunes and exports.

What `tests/support/toys.py` needs to add each of them is all that a real one needs.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Softmax, toys  # noqa: F401  a fixture
from tfadgm import M2, cli, pipeline
from tfadgm.config import Config
from tfadgm.errors import InputError
from tfadgm.run import Run
from tfadgm.training import supervised

FLAGS = ["--dataset", "stripes", "--hidden-units", "4", "--no-xla", "--epochs", "3", "--unlabeled-batch", "30",
         "--learning-rate", "0.1", "--ema-momentum", "0"]  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch, toys):  # noqa: F811
    monkeypatch.setattr(supervised, "STEPS", 5)
    monkeypatch.setattr(pipeline, "_draw", lambda *_: None)


def train(folder: Path, *flags: str) -> dict:
    cli.train([*FLAGS, *flags, "--run-dir", str(folder)])
    return Run(folder).report


def test_a_method_a_source_and_a_regularizer(tmp_path, capsys):
    """With a hyperparameter each, which have flags, ranges and places in files without another line."""
    report = train(
        tmp_path / "run", "--model", "softmax", "--sharpness", "2.5", "--entropy-weight", "0.5", "--epochs", "20"
    )
    assert report["test_error"] < 50
    run = Run(tmp_path / "run")
    assert (run.config.sharpness, run.config.entropy_weight) == (2.5, 0.5)
    model = run.load_model()
    assert isinstance(model, Softmax)
    assert (model.sharpness, [(part.name, part.weight) for part in model.regularizers]) == (2.5, [("entropy", 0.5)])
    assert "entropy" in (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    cli.train(["--run-dir", str(tmp_path / "run"), "--resume", "--epochs", "21"])
    assert run.report["epochs"] == 21
    assert "SOFTMAX, 20 labels of 60 points" in capsys.readouterr().out


def test_their_hyperparameters_are_checked_and_told(capsys, monkeypatch):
    with pytest.raises(InputError, match="Expected sharpness to be above 0. Received: -1.0"):
        cli.train([*FLAGS, "--model", "softmax", "--sharpness", "-1"])
    with pytest.raises(InputError, match="Expected sharpness to be left out with m2. Received: 2.0"):
        cli.train([*FLAGS, "--model", "m2", "--sharpness", "2"])
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        cli.train(["--help"])
    assert "what logits are multiplied by (softmax) (default: 1.0)" in capsys.readouterr().out


def test_a_trunk(tmp_path):
    train(tmp_path / "run", "--model", "m2", "--trunk", "wide", "--latent-units", "2")
    model, x = Run(tmp_path / "run").load_model(), np.zeros([3, 3], np.float32)
    assert type(model.q_y_x.trunk).__name__ == "Wide"
    assert model.predict(x, verbose=0).shape == (3, 2)
    kernel = model.q_y_x.trunk.inner[0].kernel
    kernel.assign(kernel + 1)
    before = model.predict(x, verbose=0)
    model.save(tmp_path / "again.keras")
    import keras

    np.testing.assert_allclose(keras.models.load_model(tmp_path / "again.keras").predict(x, verbose=0), before)


def test_an_unknown_trunk_is_refused():
    with pytest.raises(InputError, match="Expected trunk to be one of mlp, conv, wide. Received: 'deep'"):
        Config.of(trunk="deep")


def test_a_changed_argument_takes_effect_in_bounds():
    """Values are frozen into traces: a change drops them."""
    model = M2((3,), 2, hidden_units=(4,), latent_units=2, likelihood="gaussian")
    x = np.random.default_rng(0).normal(size=[5, 3]).astype(np.float32)
    first = model.log_likelihood_bound(x)
    model.prediction_samples = 1
    assert (model.log_likelihood_bound(x) != first).any()


def test_a_changed_argument_takes_effect_in_predictions_and_steps():
    x = np.random.default_rng(0).normal(size=[5, 3]).astype(np.float32)
    softmax = Softmax((3,), 2, hidden_units=(4,), xla=False)
    before = softmax.predict(x, verbose=0)
    softmax.sharpness = 9.0
    assert (softmax.predict(x, verbose=0) != before).any()
    softmax.compile(optimizer="sgd")
    batch = {"labeled": (x, np.arange(5) % 2), "unlabeled": x}
    data = tf.data.Dataset.from_tensors(batch).repeat()
    losses = []
    for sharpness in (1.0, 100.0):
        softmax.sharpness = sharpness
        losses.append(softmax.fit(data, steps_per_epoch=1, shuffle=False, verbose=0).history["loss"][0])
    assert losses[1] > 2 * losses[0]


def test_they_are_tuned(tmp_path, capsys, monkeypatch):
    from tuner.__main__ import main

    monkeypatch.setattr(sys, "argv", ["tuner"])
    main(
        [
            "--dataset",
            "stripes",
            "--model",
            "softmax",
            "--show-space",
            "--objective",
            "disagreement",
            "--range",
            "sharpness=0.5:2.0",
        ]
    )
    told = capsys.readouterr().out
    assert "sharpness" in told
    assert "latent_units" not in told


@pytest.mark.slow  # exports and verifies; tests/serving has a quick one
def test_they_are_exported(tmp_path):
    train(tmp_path / "run", "--model", "softmax")
    cli.export([str(tmp_path / "run"), "--output", str(tmp_path / "models"), "--name", "toy"])
    info = json.loads((tmp_path / "models" / "toy" / "1" / "assets.extra" / "model_info.json").read_text())
    assert "serving_default" in info["verified"]["signatures"]
    assert "generate" not in info["verified"]["signatures"]
