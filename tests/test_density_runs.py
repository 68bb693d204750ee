"""Models of x alone from flags to report, and the command that estimates their likelihood."""

import dataclasses
import json
import sys

import keras
import numpy as np
import pytest

from tfadgm import evaluation, likelihood, runs
from tfadgm.cli import exit_status
from tfadgm.config import DENSITY, Config
from tfadgm.data.sources import digits, load_dataset
from tfadgm.errors import InputError
from tfadgm.evaluation import scores
from tfadgm.likelihood import drawn, log_likelihood, refit_statistics
from tfadgm.runs import format_report, run
from tfadgm.training import build_model, train

TINY = {"epochs": 2, "hidden_units": (8,), "latent_units": 4, "auxiliary_units": 2, "xla": False}


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    """250 training points and 40 test points, in every run."""
    whole = digits()
    few = dataclasses.replace(
        whole, x=whole.x[:250], y=whole.y[:250], x_test=whole.x_test[:40], y_test=whole.y_test[:40]
    )
    for module in (runs, evaluation):
        monkeypatch.setattr(module, "load_dataset", lambda *_: few)
    monkeypatch.setattr(runs, "REPORT_SAMPLES", 7)
    return few


def layers_of(model: str) -> int:
    return 1 if model == "nf_vae" else 2


@pytest.mark.parametrize("model", DENSITY)
def test_a_run_without_labels(tmp_path, capsys, monkeypatch, few_points, model):
    if model != "avae":
        monkeypatch.setattr(runs.figures, "draw_all", lambda folder, *_: folder.mkdir())
    config = Config.for_dataset("digits", model=model, stochastic_layers=layers_of(model), **TINY)
    assert config.name == f"digits-{model}-{layers_of(model)}-0"
    report = run(config, tmp_path / "run")
    assert "250 training points. 40 test points: for the report only." in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == report
    assert report["importance_samples"] == 7
    assert max(report["test_bound"], report["test_log_likelihood"]) < 0
    assert model == "iwae" or report["test_bound"] < report["test_log_likelihood"]  # 50 samples, and 7
    assert report["test_log_likelihood_standard_error"] > 0
    assert "test_error" not in report
    assert report["binarization"].startswith("training: drawn afresh every step")
    assert (report["nats_of"], report["draws"]) == ("binary draws", 1)
    kept = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    before = [weight.numpy() for weight in kept.weights]
    refit_statistics(kept, few_points.x)  # as the run has done
    for left, right in zip(before, kept.weights, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    drawn = {"curves.png", "samples.png", "reconstructions.png"} if model == "avae" else set()
    assert {path.name for path in (tmp_path / "run" / "figures").iterdir()} == drawn
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert header == "epoch,seconds,bound,loss,test_bound,test_log_likelihood"
    assert "log p(x), 7 importance samples" in format_report(report)


@pytest.mark.parametrize("model", ["avae", "lvae"])
def test_a_resumed_run_ends_where_the_uninterrupted_one_ends(tmp_path, few_points, model):
    config = Config.for_dataset("digits", model=model, **TINY)
    none = np.zeros(0, np.int64)
    whole, _ = train(config, few_points, none, tmp_path / "whole")
    train(dataclasses.replace(config, epochs=1), few_points, none, tmp_path / "parts")
    parts, _ = train(config, few_points, none, tmp_path / "parts", resume=True)
    for left, right in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_watched_bound_is_that_of_binarised_points(few_points):
    model = build_model(Config.for_dataset("digits", model="vae", **TINY), few_points, 0)
    x = drawn(model, few_points.x_test)
    assert set(np.unique(x)) == {0, 16}
    found = scores(model, few_points.x_test, few_points.y_test)
    assert found["bound"] == pytest.approx(float(model.log_likelihood_bound(x).mean()))
    exact = log_likelihood(model, x, 2000)["log_p"].mean()
    assert found["bound"] < found["log_likelihood"] < exact + 0.1
    assert set(scores(model, few_points.x_test[:0], few_points.y_test[:0]).values()) == {None}


def test_the_watched_bound_has_the_samples_of_training(few_points):
    model = build_model(Config.for_dataset("digits", model="iwae", importance_samples=20, **TINY), few_points, 0)
    x = drawn(model, few_points.x_test)
    bounds = [float(model.log_likelihood_bound(x, importance_samples=count).mean()) for count in (1, 20)]
    assert scores(model, few_points.x_test, few_points.y_test)["bound"] == pytest.approx(bounds[1])
    assert bounds[1] > bounds[0] + 0.1


def test_points_alone_are_enough(tmp_path, monkeypatch, few_points):
    for module in (runs, evaluation):
        monkeypatch.setattr(module, "load_dataset", load_dataset)
    path = tmp_path / "mine.npz"
    np.savez(path, x_unlabeled=few_points.x / 16, x_test=few_points.x_test / 16)
    report = run(Config.for_dataset(str(path), model="vae", **TINY), tmp_path / "run")
    assert report["test_bound"] < 0
    assert (tmp_path / "run" / "figures" / "samples.png").exists()
    assert evaluation.estimate(tmp_path / "run", 10)["points"] == 40
    assert evaluation.estimate(tmp_path / "run", 10, points=30)["points"] == 30  # beside the other
    with pytest.raises(InputError, match="Expected labels for a classifier"):
        run(Config.for_dataset(str(path)), tmp_path / "other")


def evaluate(monkeypatch, capsys, *flags: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["evaluation", *map(str, flags)])
    monkeypatch.setattr(likelihood, "_taken", lambda: 900)  # as in a process of its own
    status = exit_status("tfadgm.evaluation", evaluation.main)
    return status, *capsys.readouterr()


@pytest.mark.parametrize("model", ["avae", "m2"])
def test_the_command_estimates_every_point(tmp_path, monkeypatch, capsys, model):
    choices = {"labels": 20} if model == "m2" else {}
    run(Config.for_dataset("digits", model=model, **TINY, **choices), tmp_path / "run")
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
    bound = loaded.log_likelihood_bound(drawn(loaded, digits().x_test[:40]))
    assert bound.mean() < log_p.mean() < 0
    status, _, errors = evaluate(monkeypatch, capsys, tmp_path / "run", "--samples", 60, "--memory", 1000)
    assert status == 2
    assert errors.startswith("tfadgm.evaluation: Expected a memory of at least 11")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["/none"], "Expected the folder of a finished run. Received /none"),
        (["/none", "--samples", 0], "Expected samples to be 1 or more. Received: 0"),
        (["/none", "--points", 0], "Expected points to be 1 or more. Received: 0"),
        ([], "Expected flags as in --help"),
    ],
)
def test_bad_input_is_one_line(monkeypatch, capsys, flags, message):
    status, _, errors = evaluate(monkeypatch, capsys, *flags)
    assert status == 2
    assert errors.startswith(f"tfadgm.evaluation: {message}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("model", "choice"),
    [
        ("sdgm", {"stochastic_layers": 2}),
        ("adgm", {"importance_samples": 5}),
        ("m2", {"mc_samples": 2}),
        ("nf_vae", {"stochastic_layers": 2}),
        ("vae", {"samples": 5}),
        ("avae", {"labels": 50}),
        ("lvae", {"adversarial_radius": 1.0}),
    ],
)
def test_what_a_model_does_not_have_is_refused(model, choice):
    (name,) = choice
    with pytest.raises(InputError, match=f"Expected {name} to be left out with {model}. Received"):
        Config(model=model, **choice)
