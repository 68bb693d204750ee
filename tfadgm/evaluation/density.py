"""The task of density models: log p(x) of test points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.evaluation.likelihood import log_likelihood, preparation, prepare_inputs, refit_statistics, summary
from tfadgm.evaluation.task import History, Task
from tfadgm.models import DensityModel

WATCHED_POINTS, WATCHED_SAMPLES = 500, 50  # of the estimate of log p(x) that training watches
REPORT_SAMPLES = 100  # importance samples of the report; `tfadgm evaluate` takes as many as one likes


def announce(config: Config, dataset: Dataset) -> str:
    return f"{len(dataset.x)} training points. {len(dataset.x_test)} test points: for the report only."


def finish(config: Config, dataset: Dataset, model: DensityModel) -> tuple[DensityModel, dict[str, Any]]:
    refit_statistics(model, dataset.x)
    return model, {}


def metrics(model: DensityModel, dataset: Dataset) -> dict[str, float | None]:
    if not len(dataset.x_test):
        return {"elbo": None, "log_likelihood": None}
    x = prepare_inputs(model, dataset.x_test)
    elbo = model.log_likelihood_bound(x, importance_samples=model.importance_samples)
    many = model.log_likelihood_bound(x[:WATCHED_POINTS], importance_samples=WATCHED_SAMPLES)
    return {"elbo": float(elbo.mean()), "log_likelihood": float(many.mean())}


def report(config: Config, dataset: Dataset, model: DensityModel) -> dict[str, Any]:
    """Nats of the scaled features; None where there are no test points."""
    told: dict[str, Any] = {
        "test_elbo": None,
        "test_bound": None,  # of version 0.1: test_elbo; goes with 0.3
        "test_log_likelihood": None,
        "test_log_likelihood_standard_error": None,
        "test_effective_samples": None,
        "importance_samples": REPORT_SAMPLES,
        **preparation(model),
    }
    if len(dataset.x_test):
        x = prepare_inputs(model, dataset.x_test)
        found = summary(log_likelihood(model, x, REPORT_SAMPLES))
        elbo = model.log_likelihood_bound(x, importance_samples=model.importance_samples)
        told["test_elbo"] = told["test_bound"] = float(elbo.mean())
        told["test_log_likelihood"] = found["log_likelihood"]
        told["test_log_likelihood_standard_error"] = found["standard_error"]
        told["test_effective_samples"] = found["median_effective_samples"]
    return told


def table(report: dict[str, Any]) -> str:
    if report["test_elbo"] is None:
        return "No test points to report on."
    error = report["test_log_likelihood_standard_error"]
    return (
        f"{report['model'].upper()}, nats a test point{', of scaled features' * (report['likelihood'] == 'gaussian')}\n"
        f"{'lower bound':<40}{report['test_elbo']:>10.2f}\n"
        f"{'log p(x), ' + str(report['importance_samples']) + ' importance samples':<40}"
        f"{report['test_log_likelihood']:>10.2f} ± {error:.2f}"
    )


def draw(folder: Path, model: Any, dataset: Dataset, history: History, report: dict[str, Any]) -> None:
    from tfadgm.evaluation import plots

    plots.draw_density(folder, model, dataset, history)


TASK = Task(announce, finish, metrics, report, lambda folder, model, dataset, report: None, table, draw)
