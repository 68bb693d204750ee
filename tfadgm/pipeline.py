"""A run from its configuration to its report, in the order in which the data flow:

config -> data with the chosen labels -> resolved config -> config.json -> model -> training -> report, figures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.errors import InputError, line
from tfadgm.evaluation import TASKS
from tfadgm.files import digest
from tfadgm.models import BaseModel
from tfadgm.resolve import reasons, resolve
from tfadgm.run import Run, labeled_dataset
from tfadgm.training.callbacks import write_history
from tfadgm.training.checkpoint import Progress
from tfadgm.training.trainer import Training


def run(config: Config, run_dir: Path, resume: bool = False, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Trains `config` into `run_dir` and returns the report that it also writes there.

    Args:
        config: of a new run.
        run_dir: its folder.
        resume: whether to go on with the run that is there; `config` then counts for nothing.
        changes: what a resumed run is asked to have, see `Run.resumed`.

    Raises:
        InputError: if flags, data or the folder cannot be used; a new folder is then not left behind.
        TrainingError: if training fails; the folder keeps its last good checkpoint.

    Examples:
        >>> report = run(Config.for_dataset("moons", epochs=1), tmp_path / "moons")
        6 labels of ... training points, 2 classes. ...
        >>> report["labels"], report["epochs"]
        (6, 1)
    """
    folder = Run(run_dir)
    with folder.open(resume):
        if resume:
            config = folder.resumed(changes or {})
        dataset = labeled_dataset(config)
        asked, config = config, resolve(config, dataset)
        values = folder.values(config)
        training = Training(config, dataset.without_tests(), run_dir)
        training.begin(resume, values)
        model, task = training.model, TASKS[training.model.task]
        print("\n".join([task.announce(config, dataset), *reasons(asked, config, dataset)]), flush=True)
        _judge_by(dataset, training.progress)
        folder.begin(config)
        training.fit(epoch_metrics=lambda model: task.metrics(model, dataset))
        model, told = task.finish(config, dataset, model)
        report = make_report(config, dataset, model, training.progress) | told
        folder.save_model(model)
        task.label(run_dir, model, dataset, report)
        write_history(run_dir / "metrics.csv", training.progress.history)
        folder.save_report(report)
        _draw(folder, model, dataset, training.progress, report)
    return report


def make_report(config: Config, dataset: Dataset, model: BaseModel, progress: Progress) -> dict[str, Any]:
    """What `report.json` holds: the run, then what it learned."""
    labels, points = len(dataset.label_indices), len(dataset.x)
    steps = int(model.step)
    batch = min(config.labeled_batch, labels) + min(config.unlabeled_batch, points)
    return {
        "model": config.model,
        "dataset": config.dataset,
        "labels": labels,
        "seed": config.seed,
        "training_points": points,
        "likelihood": model.likelihood,
        "epochs": progress.epoch,
        "steps": steps,
        "seconds": round(progress.seconds, 2),
        "examples_per_second": round(steps * batch / max(progress.seconds, 1e-9), 1),
        **TASKS[model.task].report(config, dataset, model),
    }


def format_report(report: dict[str, Any]) -> str:
    """The table that a run prints."""
    return TASKS["classification" if "classes" in report else "density"].table(report)


def _judge_by(dataset: Dataset, progress: Progress) -> None:
    """Drops what earlier epochs told of test points, where those of today are others."""
    tests = digest(dataset.x_test, dataset.y_test) if len(dataset.x_test) else ""
    if progress.tests and progress.tests != tests:
        print("The test points are not those that this run began with: what it told of them is dropped.", flush=True)
        progress.history[:] = [
            {name: value for name, value in row.items() if not name.startswith("test_")} for row in progress.history
        ]
    progress.tests = tests


def _draw(folder: Run, model: BaseModel, dataset: Dataset, progress: Progress, report: dict[str, Any]) -> None:
    """Draws the pictures. They come last: a run is complete without them."""
    try:
        TASKS[model.task].draw(folder.figures, model, dataset, progress.history, report)
    except InputError as error:
        print(f"No figures. {error}", flush=True)
    except Exception as error:  # whatever Matplotlib raises of unusual names and shapes
        print(f"No figures. {type(error).__name__}: {line(error)}", flush=True)
