"""A task: what a kind of model is for, and so what is measured, reported and drawn of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.models import BaseModel

History = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Task:
    """The functions of a task; a model names its own by its attribute `task`.

    Args:
        announce: the first line of a run.
        finish: what is kept of a trained model, and what a report tells of that.
        metrics: what training watches on test points, for the record only.
        report: what a model learned, beside what every run reports.
        label: writes what the model says of the unlabeled training points into the folder of the run.
        table: a report as a person reads it.
        draw: writes pictures of a run and its report into a folder.
    """

    announce: Callable[[Config, Dataset], str]
    finish: Callable[[Config, Dataset, Any], tuple[Any, dict[str, Any]]]
    metrics: Callable[[Any, Dataset], dict[str, float | None]]
    report: Callable[[Config, Dataset, Any], dict[str, Any]]
    label: Callable[[Path, Any, Dataset, dict[str, Any]], None]
    table: Callable[[dict[str, Any]], str]
    draw: Callable[[Path, BaseModel, Dataset, History, dict[str, Any]], None]
