"""What a user would do instead with the same labels: the error of simpler classifiers on the same split."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.data.streams import batch_indices
from tfadgm.inference.elbo import clip_by_global_norm
from tfadgm.models import Classifier
from tfadgm.resolve import fitted_scaling
from tfadgm.training.build import build_model

SUPERVISED_STEPS = 1000


def supervised_error(config: Config, dataset: Dataset) -> float:
    """Percent: the same classifier network q(y|x), trained by cross-entropy on the labels alone.

    Its step size is constant: it has no unlabeled epochs over which it could fall.
    """
    model: Any = build_model(config.replace(ema_momentum=0.0, decay=0.0), dataset)
    labels = dataset.label_indices
    x, y = tf.constant(dataset.x[labels]), tf.constant(dataset.y[labels])
    batch = min(config.labeled_batch, len(labels))

    def follow(step: tf.Tensor) -> tf.Tensor:
        rows = batch_indices(step, len(labels), batch, config.seed, stream=0)
        _classifier_step(model, tf.gather(x, rows), tf.gather(y, rows), step)
        return step + 1

    @tf.function(autograph=False)
    def fit() -> None:
        tf.while_loop(lambda step: step < SUPERVISED_STEPS, follow, [tf.constant(0, tf.int64)])

    fit()
    batches = [model.predict_on_batch(dataset.x_test[i : i + 1000]) for i in range(0, len(dataset.x_test), 1000)]
    return float(100 * np.mean(np.concatenate(batches).argmax(1) != dataset.y_test))


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


def label_spreading_error(config: Config, dataset: Dataset) -> float:
    """Percent: scikit-learn's LabelSpreading over nearest neighbors (Zhou et al. 2004)."""
    from sklearn.semi_supervised import LabelSpreading

    return _scikit_error(LabelSpreading(kernel="knn", max_iter=100), config, dataset)


def self_training_error(config: Config, dataset: Dataset) -> float:
    """Percent: scikit-learn's SelfTraining of a logistic regression (Yarowsky 1995)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.semi_supervised import SelfTrainingClassifier

    estimator = LogisticRegression(C=10.0, max_iter=1000)
    return _scikit_error(SelfTrainingClassifier(estimator), config, dataset)


def _scikit_error(classifier: Any, config: Config, dataset: Dataset) -> float:
    """Fits a scikit-learn classifier to all training points, scaled as for the model, with the labels that it sees."""
    scaling = fitted_scaling(dataset, config.likelihood)
    with warnings.catch_warnings():
        # LabelSpreading divides by zero for a test point whose neighbors have no class yet.
        warnings.filterwarnings("ignore", "invalid value encountered in divide", RuntimeWarning)
        classifier.fit(scaling(dataset.x).numpy(), dataset.y)
        predicted = classifier.predict(scaling(dataset.x_test).numpy())
    return float(100 * np.mean(predicted != dataset.y_test))
