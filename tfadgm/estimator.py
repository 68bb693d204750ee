"""The scikit-learn estimator: few labels and many unlabeled rows in, labels out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tfadgm.config import Config
from tfadgm.data.arrays import make_dataset
from tfadgm.data.classes import Classes
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.errors import InputError
from tfadgm.evaluation.calibration import calibrate, temper
from tfadgm.evaluation.metrics import class_probabilities
from tfadgm.resolve import resolve
from tfadgm.training.trainer import train

OWN_DATA = "arrays.npz"  # a name whose preset is that of data without one


class DGMClassifier(ClassifierMixin, TransformerMixin, BaseEstimator):
    """A semi-supervised classifier: a deep generative model of all rows, whose classes the few labels name.

    Args:
        model: "sdgm", "adgm" or "m2".
        epochs: passes over all rows; by default 25, or as many as make 1000 steps on small data.
        likelihood: of the features, "bernoulli", "gaussian" or "auto".
        columns: kinds of the columns of a DataFrame that are not seen for what they are, `{"zip": "categorical"}`.
        options: any other hyperparameter of a run by name, as `tfadgm train --help` lists them.
        random_state: a whole number, for results that repeat; or a NumPy generator, or None for a new one.
        verbose: Keras's.

    After `fit`:
        classes_: the labels, sorted; [C].
        transduction_: a label for each row that `fit` saw, [N].
        model_: the trained Keras model; temperature_: what its logits are divided by.
        n_features_in_, feature_names_in_: as in scikit-learn.

    Examples:
        >>> x = np.concatenate([np.zeros([20, 2]), np.ones([20, 2])]) + np.random.default_rng(0).normal(0, 0.1, [40, 2])
        >>> y = np.full(40, -1)
        >>> y[[0, 20]] = 0, 1
        >>> classifier = DGMClassifier(epochs=1, options={"hidden_units": [8], "xla": False}).fit(x, y)
        >>> classifier.predict_proba(x).shape
        (40, 2)
    """

    def __init__(
        self,
        model: str = "sdgm",
        *,
        epochs: int | None = None,
        likelihood: str = "auto",
        columns: dict[str, str] | None = None,
        options: dict[str, Any] | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.model, self.epochs, self.likelihood, self.columns = model, epochs, likelihood, columns
        self.options, self.random_state, self.verbose = options, random_state, verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Learns from rows X and labels y.

        Args:
            X: numbers [N, *features], or a DataFrame of mixed columns, with missing cells.
            y: [N]; -1, or NaN or None among objects, where there is no label.

        Raises:
            InputError: a ValueError, if they cannot be used.
            TrainingError: if training diverges.
        """
        dataset = self._dataset(X, y)
        state = self.random_state
        seed = state if isinstance(state, (int, np.integer)) else check_random_state(state).randint(2**31 - 1)
        options = {"epochs": self.epochs, "likelihood": self.likelihood, **(self.options or {})}
        config = Config.for_dataset(OWN_DATA, model=self.model, seed=int(seed), **options)
        if config.is_density:
            raise InputError(f"Expected a model that learns from labels. Received: {self.model}")
        with tempfile.TemporaryDirectory() as folder:
            self.model_, _ = train(resolve(config, dataset), dataset, Path(folder), verbose=self.verbose)
        self.temperature_ = calibrate(self.model_)["temperature"]
        found = self._probabilities(dataset.x).argmax(1)
        self.transduction_ = self.classes_[np.where(dataset.y == UNLABELED, found, dataset.y)]
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities [N, C], in the order of `classes_`."""
        return self._probabilities(self._points(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row, [N]."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def transform(self, X: Any) -> np.ndarray:
        """Where a row lies for the model: the mean of q(a|x) [N, A], of M2 that of q(z|x,y) for its class [N, Z]."""
        x, model = self._points(X), self.model_
        parts = []
        for first in range(0, len(x), 1000):
            rows = x[first : first + 1000]
            if hasattr(model, "embed"):
                parts.append(np.asarray(model.embed(rows)))
            else:
                parts.append(np.asarray(model.infer_style(model.scaling(rows), model(rows))))
        return np.concatenate(parts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float32, whatever comes in
        return tags

    def _dataset(self, X: Any, y: Any) -> Dataset:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        labels = np.asarray(y)
        if hasattr(X, "iloc"):
            dataset = self._frame_dataset(X, labels)
        else:
            X = validate_data(self, X, ensure_min_samples=2, **POINTS)
            labels = column_or_1d(labels, warn=True)
            check_consistent_length(X, labels)
            check_classification_targets(labels[_has_label(labels)])
            dataset = make_dataset(np.asarray(X), labels)
        self.classes_ = _distinct(labels, dataset.class_names)
        return dataset

    def _frame_dataset(self, X: Any, labels: np.ndarray) -> Dataset:
        from tfadgm.data.table import from_frame

        validate_data(self, X, skip_check_array=True)
        dataset = from_frame(X, columns=self.columns)
        if labels.shape != (len(X),):
            raise InputError(f"Expected y of shape {(len(X),)}, one label a row. Received: {labels.shape}")
        classes = Classes.of(labels)
        return dataset.replace(y=classes.encode(labels), class_names=classes.names)

    def _points(self, X: Any) -> np.ndarray:
        """Rows as the model takes them, checked to be like those of `fit`."""
        check_is_fitted(self)
        if not self.model_.columns:
            return np.asarray(validate_data(self, X, reset=False, **POINTS))
        from tfadgm.data.schema import Schema

        if not hasattr(X, "iloc"):
            raise InputError(f"Expected a DataFrame, as in fit. Received: {type(X).__name__}")
        validate_data(self, X, skip_check_array=True, reset=False)
        return Schema.from_json(self.model_.columns).code(X.rename(columns=str))

    def _probabilities(self, x: np.ndarray) -> np.ndarray:
        found = class_probabilities(self.model_, x)
        return temper(found, self.temperature_)


POINTS: dict[str, Any] = {"dtype": "numeric", "allow_nd": True}


def _has_label(labels: np.ndarray) -> np.ndarray:
    """Which of labels [N] are one."""
    if labels.dtype.kind == "O":
        return np.array([value is not None and value == value and value != -1 for value in labels], bool)
    if labels.dtype.kind in "iuf":
        return (labels != -1) & (labels == labels)
    return np.ones(len(labels), bool)


def _distinct(labels: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """The values of the classes, as y has them, in the order of their names [C]."""
    values = {str(int(value)) if _is_whole(value) else str(value).strip(): value for value in labels[::-1]}
    return np.array([values[name] for name in names], None if labels.dtype.kind == "O" else labels.dtype)


def _is_whole(value: Any) -> bool:
    return (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, (bool, np.bool_))
        and (float(value).is_integer())
    )
