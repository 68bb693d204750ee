"""What a user would do instead with the same labels: the error of simpler classifiers on the same split."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.bounds import clip_by_global_norm
from tfadgm.config import Config
from tfadgm.data.sources import UNKNOWN, Dataset
from tfadgm.data.streams import batch_indices
from tfadgm.evaluation import class_probabilities
from tfadgm.models import SemiSupervisedModel
from tfadgm.networks import Scaling
from tfadgm.training import build_model

SUPERVISED_STEPS = 1000


def supervised_error(config: Config, dataset: Dataset, label_indices: np.ndarray) -> float:
    """Percent: the same classifier network q(y|a,x), trained by cross-entropy on the labels alone."""
    model = build_model(dataclasses.replace(config, weight_average=0.0), dataset, len(label_indices))
    x, y = tf.constant(dataset.x[label_indices]), tf.constant(dataset.y[label_indices])
    batch = min(config.labeled_batch, len(label_indices))

    @tf.function
    def fit() -> None:
        for step in tf.range(SUPERVISED_STEPS, dtype=tf.int64):
            rows = batch_indices(step, len(label_indices), batch, config.seed, stream=0)
            _classifier_step(model, tf.gather(x, rows), tf.gather(y, rows), step)

    fit()
    probabilities = class_probabilities(model, dataset.x_test)
    return float(100 * np.mean(probabilities.argmax(1) != dataset.y_test))


def _classifier_step(model: SemiSupervisedModel, x: tf.Tensor, y: tf.Tensor, step: tf.Tensor) -> None:
    seeds = tf.random.split(tf.stack([tf.constant(model.seed), tf.cast(step, tf.int32)]), 2)
    x = model.training_input(x, seeds[0])
    with tf.GradientTape() as tape:
        sweep = model.sweep(seeds[1], tf.shape(x)[0], "update")
        a, _ = model.infer_auxiliary(x, sweep)
        log_q_y = tf.nn.log_softmax(model.class_logits(x, a, sweep))  # [S, B, C]
        loss = -tf.reduce_mean(tf.reduce_sum(tf.one_hot(y, model.classes) * log_q_y, -1))
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    used = [(gradient, weight) for gradient, weight in zip(gradients, weights, strict=True) if gradient is not None]
    gradients, weights = zip(*used, strict=True)
    model.optimizer.apply(clip_by_global_norm(gradients, model.clip_norm), weights)


def label_spreading_error(dataset: Dataset, label_indices: np.ndarray) -> float:
    """Percent: scikit-learn's LabelSpreading over nearest neighbours (Zhou et al. 2004)."""
    from sklearn.semi_supervised import LabelSpreading

    return _scikit_error(LabelSpreading(kernel="knn", max_iter=100), dataset, label_indices)


def self_training_error(dataset: Dataset, label_indices: np.ndarray) -> float:
    """Percent: scikit-learn's SelfTraining of a logistic regression (Yarowsky 1995)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.semi_supervised import SelfTrainingClassifier

    estimator = LogisticRegression(C=10.0, max_iter=1000)
    return _scikit_error(SelfTrainingClassifier(estimator), dataset, label_indices)


def _scikit_error(classifier: Any, dataset: Dataset, label_indices: np.ndarray) -> float:
    """Fits a scikit-learn classifier to all training points, scaled as for the model, with the chosen labels."""
    y = np.full(len(dataset.y), UNKNOWN)
    y[label_indices] = dataset.y[label_indices]
    scaling = Scaling(dataset.x.shape[1:])
    scaling.build()
    scaling.adapt(dataset.x, dataset.likelihood)
    with warnings.catch_warnings():
        # LabelSpreading divides by zero for a test point whose neighbours have no class yet.
        warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
        classifier.fit(scaling(dataset.x).numpy(), y)
        predicted = classifier.predict(scaling(dataset.x_test).numpy())
    return float(100 * np.mean(predicted != dataset.y_test))
