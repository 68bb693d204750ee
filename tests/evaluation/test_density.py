"""Density models from flags to report, and the command that estimates their likelihood."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from tfadgm import cli, pipeline, run
from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED
from tfadgm.data.sources import load_dataset
from tfadgm.data.toy import digits
from tfadgm.errors import InputError
from tfadgm.evaluation import density, likelihood
from tfadgm.evaluation.density import metrics
from tfadgm.evaluation.estimate import estimate
from tfadgm.evaluation.likelihood import log_likelihood, prepare_inputs, refit_statistics
from tfadgm.models import MODELS, BaseModel
from tfadgm.pipeline import format_report
from tfadgm.resolve import resolve
from tfadgm.training import trainer
from tfadgm.training.build import build_model

TINY = {"epochs": 2, "hidden_units": (8,), "latent_units": 4, "xla": False}
QUICK = ("vae",)
DENSITY = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name, cls in MODELS.items()
    if cls.task == "density"
]


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    """250 training points and 40 test points, in every run; nothing traced."""
    whole = digits()
    few = dataclasses.replace(
        whole, x=whole.x[:250], y=whole.y[:250], x_test=whole.x_test[:40], y_test=whole.y_test[:40]
    )
    monkeypatch.setattr(run, "load_dataset", lambda *_, **__: few)
    monkeypatch.setattr(density, "REPORT_SAMPLES", 7)
    monkeypatch.setattr(density, "WATCHED_POINTS", 10)

    def eager(*arguments):
        model = build_model(*arguments)
        model.run_eagerly = True
        return model

    monkeypatch.setattr(trainer, "build_model", eager)
    monkeypatch.setattr(BaseModel, "traced", lambda self, function, **_: function)
    return dataclasses.replace(few, y=np.full_like(few.y, UNLABELED))


def tiny(model: str, **choices) -> Config:
    if model == "avae":
        choices["auxiliary_units"] = 2
    return Config.for_dataset("digits", model=model, **{**TINY, **choices})


def built(config: Config, dataset) -> keras.Model:
    return build_model(resolve(config, dataset), dataset)


@pytest.mark.parametrize("model", DENSITY)
def test_a_run_without_labels(tmp_path, capsys, monkeypatch, few_points, model):
    if model == "vae":
        monkeypatch.setattr(pipeline, "_draw", lambda *_: None)
    layers = 1 if model == "nf_vae" else 2
    config = tiny(model, stochastic_layers=layers)
    assert config.name == f"digits-{model}-{layers}-0"
    report = pipeline.run(config, tmp_path / "run")
    assert "250 training points. 40 test points: for the report only." in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == report
    assert (report["importance_samples"], report["labels"]) == (7, 0)
    assert max(report["test_elbo"], report["test_log_likelihood"]) < 0
    assert report["test_bound"] == report["test_elbo"]  # the old key, for one release
    assert model == "iwae" or report["test_elbo"] < report["test_log_likelihood"]  # 50 samples, and 7
    assert report["test_log_likelihood_standard_error"] > 0
    assert "test_error" not in report
    assert report["binarization"].startswith("training: drawn afresh every step")
    assert (report["nats_of"], report["draws"]) == ("binary draws", 1)
    kept = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    before = [weight.numpy() for weight in kept.weights]
    refit_statistics(kept, few_points.x)  # as the run has done
    for left, right in zip(before, kept.weights, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    drawn = set() if model == "vae" else {"curves.png", "samples.png", "reconstructions.png"}
    assert {path.name for path in (tmp_path / "run" / "figures").glob("*")} == drawn
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert header == "epoch,seconds,elbo,loss,test_elbo,test_log_likelihood"
    assert "log p(x), 7 importance samples" in format_report(report)


@pytest.mark.slow
def test_a_resumed_run_ends_where_the_uninterrupted_one_ends(tmp_path, few_points):
    config = resolve(tiny("lvae"), few_points)
    whole, _ = trainer.train(config, few_points, tmp_path / "whole", verbose=0)
    trainer.train(config.replace(epochs=1), few_points, tmp_path / "parts", verbose=0)
    parts, _ = trainer.train(config, few_points, tmp_path / "parts", resume=True, verbose=0)
    for left, right in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_the_watched_bound_is_that_of_binarised_points(few_points, monkeypatch):
    monkeypatch.setattr(density, "WATCHED_POINTS", 500)
    model = built(tiny("vae"), few_points)
    x = prepare_inputs(model, few_points.x_test)
    assert set(np.unique(x)) == {0, 16}
    found = metrics(model, few_points)
    assert found["elbo"] == pytest.approx(float(model.log_likelihood_bound(x).mean()))
    exact = log_likelihood(model, x, 2000)["log_p"].mean()
    assert found["elbo"] < found["log_likelihood"] < exact + 0.1
    assert set(metrics(model, few_points.without_tests()).values()) == {None}


def test_the_watched_bound_has_the_samples_of_training(few_points):
    model = built(tiny("iwae", importance_samples=20), few_points)
    x = prepare_inputs(model, few_points.x_test)
    bounds = [float(model.log_likelihood_bound(x, importance_samples=count).mean()) for count in (1, 20)]
    assert metrics(model, few_points)["elbo"] == pytest.approx(bounds[1])
    assert bounds[1] > bounds[0] + 0.1


def test_points_alone_are_enough(tmp_path, monkeypatch, few_points):
    monkeypatch.setattr(run, "load_dataset", load_dataset)
    monkeypatch.setattr(pipeline, "_draw", lambda *_: None)
    path = tmp_path / "mine[1].npz"  # a name, not a pattern
    np.savez(path, x_unlabeled=few_points.x / 16, x_test=few_points.x_test / 16)
    report = pipeline.run(Config.for_dataset(str(path), model="vae", **TINY), tmp_path / "run[1]")
    assert report["test_elbo"] < 0
    assert estimate(tmp_path / "run[1]", 10)["points"] == 40
    assert estimate(tmp_path / "run[1]", 10, points=30)["points"] == 30  # beside the other
    with pytest.raises(InputError, match="Expected labels for a classifier"):
        pipeline.run(Config.for_dataset(str(path)), tmp_path / "other")


def evaluate(monkeypatch, capsys, *flags: object) -> tuple[int, str, str]:
    monkeypatch.setattr(likelihood, "_taken", lambda: 900)  # as in a process of its own
    status = cli.exit_status("tfadgm evaluate", lambda: cli.evaluate(list(map(str, flags))))
    return status, *capsys.readouterr()


@pytest.mark.parametrize("model", ["vae", pytest.param("m2", marks=pytest.mark.slow)])
def test_the_command_estimates_every_point(tmp_path, monkeypatch, capsys, model):
    monkeypatch.setattr(pipeline, "_draw", lambda *_: None)
    pipeline.run(tiny(model, **({"labels": 20} if model == "m2" else {})), tmp_path / "run")
    capsys.readouterr()
    status, printed, _ = evaluate(monkeypatch, capsys, tmp_path / "run", "--samples", 50)
    assert status == 0
    assert "over 40 test points, 50 importance samples each" in printed
    with np.load(tmp_path / "run" / "log_likelihood-50.npz") as file:
        log_p = file["log_p"]
    told = json.loads((tmp_path / "run" / "log_likelihood-50.json").read_text())
    assert log_p.shape == (40,)
    assert told["log_likelihood"] == pytest.approx(log_p.mean())
    loaded = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    bound = loaded.log_likelihood_bound(prepare_inputs(loaded, digits().x_test[:40]))
    assert bound.mean() < log_p.mean() < 0
    status, _, errors = evaluate(monkeypatch, capsys, tmp_path / "run", "--samples", 60, "--memory", 1000)
    assert status == 2
    assert errors.startswith("tfadgm evaluate: Expected a memory of at least 11")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["/none"], "Expected the model of a run in /none"),
        (["/none", "--samples", 0], "Expected samples to be 1 or more. Received: 0"),
        (["/none", "--points", 0], "Expected points to be 1 or more. Received: 0"),
        (["/none", "--seed", 2**31], "Expected seed to be from 0 to 2147483647. Received: 2147483648"),
        ([], "Expected flags as in --help"),
    ],
)
def test_bad_input_is_one_line(monkeypatch, capsys, flags, message):
    status, _, errors = evaluate(monkeypatch, capsys, *flags)
    assert status == 2
    assert errors.startswith(f"tfadgm evaluate: {message}")
    assert errors.count("\n") == 1
