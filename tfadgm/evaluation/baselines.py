"""What a user would do instead with the same labels: the answers of simpler classifiers on the same split."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.streams import batch_indices
from tfadgm.evaluation.metrics import class_probabilities
from tfadgm.inference.elbo import clip_by_global_norm
from tfadgm.models import Classifier
from tfadgm.resolve import fitted_scaling
from tfadgm.training.build import build_model

SUPERVISED_STEPS = 1000
SUPERVISED = "labels alone"


def supervised_error(config: Config, dataset: Dataset) -> float:
    """Percent of the test points: the same classifier network q(y|x), trained by cross-entropy on the labels alone."""
    (model,) = supervised(config, [dataset])
    return float(100 * np.mean(class_probabilities(model, dataset.x_test).argmax(1) != dataset.y_test))


def supervised(config: Config, datasets: Sequence[Dataset]) -> Iterator[Any]:
    """The classifier network of `config`, trained on the labels alone of one after another of `datasets`.

    Its step size is constant: it has no unlabeled epochs over which it could fall. Each time it is the same model,
    whose first weights are those of a run.
    """
    model: Any = build_model(config.replace(ema_momentum=0.0, decay=0.0), datasets[0])
    batch = min(config.labeled_batch, *(len(dataset.label_indices) for dataset in datasets))
    variables = [*model.variables, *model.optimizer.variables]
    first = [variable.numpy() for variable in variables]

    @tf.function(autograph=False, reduce_retracing=True)
    def fit(x: tf.Tensor, y: tf.Tensor) -> None:
        def follow(step: tf.Tensor) -> list[tf.Tensor]:
            rows = batch_indices(step, tf.shape(y, tf.int64)[0], batch, config.seed, stream=0)
            _classifier_step(model, tf.gather(x, rows), tf.gather(y, rows), step)
            return [step + 1]

        tf.while_loop(lambda step: step < SUPERVISED_STEPS, follow, [tf.constant(0, tf.int64)])

    for dataset in datasets:
        for variable, value in zip(variables, first, strict=True):
            variable.assign(value)
        labels = dataset.label_indices
        fit(tf.constant(dataset.x[labels]), tf.constant(dataset.y[labels]))
        yield model


def _classifier_step(model: Classifier, x: tf.Tensor, y: tf.Tensor, step: tf.Tensor) -> None:
    seeds = tf.random.split(tf.stack([tf.constant(model.seed), tf.cast(step, tf.int32)]), 2)
    x = model.prepare_inputs(x, seeds[0])
    with tf.GradientTape() as tape:
        loss = model.supervised_loss(x, y, seeds[1], "update")
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    used = [(gradient, weight) for gradient, weight in zip(gradients, weights, strict=True) if gradient is not None]
    gradients, weights = zip(*used, strict=True)
    model.optimizer.apply(clip_by_global_norm(gradients, model.global_clipnorm), weights)


LOGISTIC = "linear_model.LogisticRegression", {"C": 10.0, "max_iter": 1000}
FOREST = "ensemble.RandomForestClassifier", {"random_state": 0}
NEIGHBORS = {"kernel": "knn", "n_neighbors": 7}
# Name: class of scikit-learn and its arguments.
BASELINES: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic regression": LOGISTIC,
    "nearest neighbor": ("neighbors.KNeighborsClassifier", {"n_neighbors": 1}),
    "support vectors": ("svm.SVC", {"C": 10.0}),
    "random forest": FOREST,
    "boosting": ("ensemble.HistGradientBoostingClassifier", {"min_samples_leaf": 2, "random_state": 0}),
    "LabelSpreading": ("semi_supervised.LabelSpreading", {**NEIGHBORS, "max_iter": 100}),
    "LabelPropagation": ("semi_supervised.LabelPropagation", {**NEIGHBORS, "max_iter": 1000}),
    "self-training": ("semi_supervised.SelfTrainingClassifier", {"estimator": LOGISTIC}),
    "self-training forest": ("semi_supervised.SelfTrainingClassifier", {"estimator": FOREST}),
}


def _made(path: str, arguments: dict[str, Any]) -> Any:
    module, name = path.split(".")
    inner = {key: _made(*value) if isinstance(value, tuple) else value for key, value in arguments.items()}
    return getattr(importlib.import_module(f"sklearn.{module}"), name)(**inner)


def fitted(name: str, x: np.ndarray, y: np.ndarray) -> Any:
    """The scikit-learn classifier of that name in BASELINES, fitted to scaled points.

    Args:
        name: LabelSpreading (Zhou et al. 2004), self-training (Yarowsky 1995), and others.
        x: [N, D], see `tfadgm.resolve.fitted_scaling`.
        y: [N], UNLABELED where there is no label.
    """
    path, arguments = BASELINES[name]
    seen = np.full(len(y), True) if path.startswith("semi_supervised") else y != UNLABELED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps that were too few, and of points without a neighbor that has a class
        return _made(path, arguments).fit(x[seen], y[seen])


def answers(name: str, x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The classes [M] of the points `asked` [M, D] by a classifier that is `fitted`."""
    with warnings.catch_warnings():
        # LabelSpreading divides by zero for a point whose neighbors have no class yet.
        warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
        return fitted(name, x, y).predict(asked)


def error(name: str, config: Config, dataset: Dataset) -> float:
    """Percent of the test points, from all training points, scaled as for the model, with the labels that it sees."""
    scaling = fitted_scaling(dataset, config.likelihood)
    found = answers(name, scaling(dataset.x).numpy(), dataset.y, scaling(dataset.x_test).numpy())
    return float(100 * np.mean(found != dataset.y_test))
