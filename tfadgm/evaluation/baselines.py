"""What a user would do instead with the same labels: the answers of simpler classifiers on the same split."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.evaluation.metrics import class_probabilities
from tfadgm.resolve import fitted_scaling
from tfadgm.training.supervised import supervised

SUPERVISED = "labels alone"
MOST_POINTS = 20_000  # of training: with more, scikit-learn's classifiers take too long
MOST_TREES = 500  # features by classes, beyond which boosting does


def supervised_error(config: Config, dataset: Dataset) -> float:
    """Percent of the test points: the same classifier network q(y|x), trained by cross-entropy on the labels alone."""
    (model,) = supervised(config, [dataset])
    return float(100 * np.mean(class_probabilities(model, dataset.x_test).argmax(1) != dataset.y_test))


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
    from threadpoolctl import threadpool_limits

    path, arguments = BASELINES[name]
    seen = np.full(len(y), True) if path.startswith("semi_supervised") else y != UNLABELED
    with warnings.catch_warnings(), threadpool_limits(1):  # of so little, threads wait for each other
        warnings.simplefilter("ignore")  # of steps that were too few, and of points without a neighbor that has a class
        return _made(path, arguments).fit(x[seen], y[seen])


def probabilities(name: str, x: np.ndarray, y: np.ndarray, asked: np.ndarray, classes: int) -> np.ndarray:
    """The class probabilities [M, C] of the points `asked` [M, D] by a classifier that is `fitted`.

    For support vectors they are a softmax of how far a point is on the side of each class. A class without a label
    has none, and a point that nothing is known of has none of any class.
    """
    from scipy.special import softmax

    with warnings.catch_warnings():
        # LabelSpreading divides by zero for a point whose neighbors have no class yet.
        warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
        method = fitted(name, x, y)
        if hasattr(method, "predict_proba"):
            found = np.nan_to_num(method.predict_proba(asked))
        else:
            sides = method.decision_function(asked)
            found = softmax(np.stack([-sides, sides], 1) if sides.ndim == 1 else sides, axis=1)
    told = np.zeros([len(asked), classes])
    told[:, method.classes_] = found
    return told


def answers(
    name: str, config: Config, datasets: Sequence[Dataset], rows: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Class probabilities of training points by a method that has learned from one after another of `datasets`.

    Args:
        name: SUPERVISED, or one of BASELINES.
        config: resolved.
        datasets: which differ in their labels alone.
        rows: of the points, by default all; [M].

    Yields:
        [M, C] for each dataset.
    """
    points = datasets[0].x if rows is None else datasets[0].x[rows]
    if name == SUPERVISED:
        yield from (class_probabilities(model, points) for model in supervised(config, datasets))
        return
    scaling = fitted_scaling(datasets[0], config.likelihood)
    x, asked = scaling(datasets[0].x).numpy(), scaling(points).numpy()
    for dataset in datasets:
        yield probabilities(name, x, dataset.y, asked, dataset.classes)


def some_points(dataset: Dataset) -> Dataset:
    """`dataset` with MOST_POINTS of its training points at most, those with a label among them."""
    others = np.flatnonzero(dataset.y == UNLABELED)
    most = max(0, MOST_POINTS - (len(dataset.x) - len(others)))
    if len(others) <= most:
        return dataset
    rows = np.sort(np.concatenate([dataset.label_indices, np.random.default_rng(0).permutation(others)[:most]]))
    return dataset.replace(x=dataset.x[rows], y=dataset.y[rows], ids=None)


def methods(dataset: Dataset) -> list[str]:
    """SUPERVISED, and those of BASELINES that take a minute at most on such data."""
    trees = dataset.classes * dataset.x[0].size
    slow = {"boosting": trees > MOST_TREES, "self-training forest": dataset.classes * len(dataset.x) > MOST_POINTS}
    return [SUPERVISED, *(name for name in BASELINES if not slow.get(name))]


def error(name: str, config: Config, dataset: Dataset) -> float:
    """Percent of the test points, from all training points, scaled as for the model, with the labels that it sees."""
    scaling = fitted_scaling(dataset, config.likelihood)
    x, tests = scaling(dataset.x).numpy(), scaling(dataset.x_test).numpy()
    found = probabilities(name, x, dataset.y, tests, dataset.classes).argmax(1)
    return float(100 * np.mean(found != dataset.y_test))
