"""How good a model is: its task, metrics, baselines, log-likelihood and pictures."""

from tfadgm.evaluation import classification, density
from tfadgm.evaluation.task import Task

TASKS: dict[str, Task] = {"classification": classification.TASK, "density": density.TASK}
