"""Training of a classifier q(y|x) alone, by cross-entropy: on labels, or on what a teacher says of every point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadgm.config import Config
from tfadgm.data.dataset import Dataset
from tfadgm.data.streams import batch_indices
from tfadgm.inference.elbo import clip_by_global_norm
from tfadgm.models import Classifier
from tfadgm.training.build import build_model

STEPS = 1000
TAUGHT_RATE, TAUGHT_BATCH = 1e-3, 200


def supervised(config: Config, datasets: Sequence[Dataset]) -> Iterator[Any]:
    """The classifier network of `config`, trained on the labels alone of one after another of `datasets`.

    Its step size is constant: it has no unlabeled epochs over which it could fall. Each time it is the same model,
    whose first weights are those of a run.
    """
    model: Any = build_model(config.replace(ema_momentum=0.0, decay=0.0), datasets[0])
    batch = min(config.labeled_batch, *(len(dataset.label_indices) for dataset in datasets))
    variables = [*model.variables, *model.optimizer.variables]
    first = [variable.numpy() for variable in variables]
    fit = _fit(model, model.optimizer, batch)
    for dataset in datasets:
        for variable, value in zip(variables, first, strict=True):
            variable.assign(value)
        labels = dataset.label_indices
        fit(tf.constant(dataset.x[labels]), tf.one_hot(dataset.y[labels], dataset.classes))
        yield model


def teach(model: Classifier, x: np.ndarray, shares: np.ndarray) -> None:
    """Trains the classifier of a trained model towards the probabilities `shares` [N, C] of points x [N, *features].

    The classifier is every network that q(y|x) goes through, with an auxiliary variable q(a|x) too. The step size falls
    to zero (a cosine). The rest of the model stays as it is, and its bound remains one.
    """
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(TAUGHT_RATE, STEPS))
    optimizer.build(model.trainable_variables)
    _fit(model, optimizer, min(TAUGHT_BATCH, len(x)))(tf.constant(x), tf.constant(shares, tf.float32))


def _fit(model: Classifier, optimizer: Any, batch: int) -> Callable[[tf.Tensor, tf.Tensor], None]:
    """STEPS steps on points [N, *features] and their shares of the classes [N, C]."""

    @tf.function(autograph=False, reduce_retracing=True)
    def fit(x: tf.Tensor, shares: tf.Tensor) -> None:
        def follow(step: tf.Tensor) -> list[tf.Tensor]:
            rows = batch_indices(step, tf.shape(shares, tf.int64)[0], batch, model.seed, stream=0)
            _step(model, optimizer, tf.gather(x, rows), tf.gather(shares, rows), step)
            return [step + 1]

        tf.while_loop(lambda step: step < STEPS, follow, [tf.constant(0, tf.int64)])

    return fit


def _step(model: Classifier, optimizer: Any, x: tf.Tensor, shares: tf.Tensor, step: tf.Tensor) -> None:
    seeds = tf.random.split(tf.stack([tf.constant(model.seed), tf.cast(step, tf.int32)]), 2)
    x = model.prepare_inputs(x, seeds[0])
    with tf.GradientTape() as tape:
        loss = model.supervised_loss(x, shares, seeds[1], "update")
    weights = model.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    used = [(gradient, weight) for gradient, weight in zip(gradients, weights, strict=True) if gradient is not None]
    gradients, weights = zip(*used, strict=True)
    optimizer.apply(clip_by_global_norm(gradients, model.global_clipnorm), weights)
