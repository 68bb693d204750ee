"""What every classifier shares, whatever it is trained by: prediction, evaluation, regularizers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.inference.regularizers import MARGINAL_MOMENTUM, regularizers_of
from tfadgm.inference.sampling import Sampler
from tfadgm.models.base import BaseModel, renamed
from tfadgm.nn.normalization import BatchNormMode

LEAST_SHARE = 0.1  # of an equal share: a class that is not found at first can still be


class Classifier(BaseModel):
    """A classifier that learns from a labeled and an unlabeled stream.

    It is an ordinary Keras model: `compile(optimizer=...)`, `fit` on batches `{"labeled": (x, y), "unlabeled": x}`,
    `evaluate(x, y)`, `predict(x)` to class probabilities [B, C], `save`. A new method is a subclass in a file of its
    own that declares its networks and implements `class_logits` and `training_terms`, and its name in
    `tfadgm.models.MODELS`.

    Arguments as in `BaseModel`, and

        classes: number of classes C, at least 2.
        alpha: weight of the classification term on the mean over labeled examples.
        regularizers: terms added to the objective, see `tfadgm.inference.regularizers`.
        class_prior: p(y), C shares that add up to 1; by default all classes are equally frequent.
        prior_follows: whether p(y) begins there and follows the shares of the classes that are found (EM).
        prediction_samples: samples over which a prediction averages, where the method draws any.

    Examples:
        >>> model = M2((4,), classes=3, hidden_units=(8,), latent_units=2)
        >>> isinstance(model, Classifier)
        True
        >>> model(np.zeros([5, 4])).numpy().sum(1).round(3).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    task = "classification"
    samples = 1  # of what a method draws for an example in training

    def __init__(
        self,
        feature_shape: Sequence[int],
        classes: int,
        *,
        alpha: float = 1.0,
        regularizers: Sequence[Any] = (),
        class_prior: Sequence[float] | None = None,
        prior_follows: bool = False,
        prediction_samples: int = 16,
        **options: Any,
    ) -> None:
        super().__init__(feature_shape, **options)
        self.classes, self.alpha = classes, alpha
        self.class_prior = None if class_prior is None else tuple(float(share) for share in class_prior)
        self.prior_follows = prior_follows
        if self.class_prior is not None and len(self.class_prior) != classes:
            raise ValueError(f"Expected a class_prior of {classes} shares. Received: {len(self.class_prior)}")
        self.regularizers, self.prediction_samples = tuple(regularizers), prediction_samples
        self.test_metrics = [keras.metrics.Mean(name) for name in ("error", "nll")]

    @property
    def drawn(self) -> Mapping[str, int]:
        """Units of each variable that a pass draws, in the order of its noise."""
        return {}

    def class_logits(self, x: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        """Logits of q(y|x) for scaled x [B, D]; [S, B, C]."""
        raise NotImplementedError

    # Noise.

    def sampler(self, seed: Any, rows: Any, bn_mode: BatchNormMode = "average", **options: Any) -> Sampler:
        """That of `rows` examples by `seed`, int32 [2]; without it noise is constant and shared by all rows."""
        if seed is None:
            return Sampler.constant(self.samples, self.drawn, bn_mode=bn_mode, **options)
        return Sampler.shared(seed, self.samples, rows, self.drawn, bn_mode=bn_mode, **options)

    def prediction_sampler(self, samples: int | None = None) -> Sampler:
        """Constant noise of `samples`, by default `prediction_samples`."""
        return Sampler.constant(samples or self.prediction_samples, self.drawn)

    # p(y).

    @property
    def prior_shares(self) -> tf.Tensor | None:
        """p(y) [C]; None where all classes are equally frequent."""
        if self.prior_follows:
            share = tf.maximum(self.class_marginal.value, LEAST_SHARE / self.classes)
            return tf.stop_gradient(share / tf.reduce_sum(share))
        return None if self.class_prior is None else tf.constant(self.class_prior)

    def log_p_y(self, y: tf.Tensor) -> tf.Tensor | float:
        """log p(y) of one-hot y [..., C]; [...]."""
        shares = self.prior_shares
        return -math.log(self.classes) if shares is None else tf.reduce_sum(y * tf.math.log(shares), -1)

    def follow_prior(self, logits: tf.Tensor) -> None:
        """Brings the running shares of the classes up to date with those of logits [S, B, C]."""
        share = tf.reduce_mean(tf.nn.softmax(logits), [0, 1])
        self.class_marginal.assign(MARGINAL_MOMENTUM * self.class_marginal + (1 - MARGINAL_MOMENTUM) * share)

    # Training and evaluation.

    def regularization(
        self, x: tf.Tensor, logits: tf.Tensor, sampler: Sampler, seed: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The weighted sum of the regularizers of unlabeled x, scalar, and each without its weight."""
        if self.prior_follows:
            self.follow_prior(logits)
        values = {part.name: part(self, x, logits, sampler, seed) for part in self.regularizers}
        total = tf.constant(0.0)
        for part in self.regularizers:
            total += part.weight * values[part.name]
        return total, values

    def supervised_loss(self, x: tf.Tensor, shares: tf.Tensor, seed: tf.Tensor, bn_mode: BatchNormMode) -> tf.Tensor:
        """The mean cross-entropy of q(y|x) over scaled x [B, D] and their shares of the classes [B, C]; scalar."""
        logits = self.class_logits(x, self.sampler(seed, tf.shape(x)[0], bn_mode))  # [S, B, C]
        return -tf.reduce_mean(tf.reduce_sum(shares * tf.nn.log_softmax(logits), -1))

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        x, y = data[:2]
        known = tf.reduce_all((y >= 0) & (y < self.classes))
        tf.debugging.Assert(known, [f"Expected labels from 0 to {self.classes - 1}. Received:", y])
        probabilities = self(x)
        likelihood = tf.reduce_sum(tf.one_hot(y, self.classes) * probabilities, -1)
        wrong = tf.not_equal(tf.argmax(probabilities, -1), tf.cast(y, tf.int64))
        error, nll = self.test_metrics
        error.update_state(100 * tf.cast(wrong, tf.float32))
        nll.update_state(-tf.math.log(tf.maximum(likelihood, 1e-30)))
        return {metric.name: metric.result() for metric in self.test_metrics}

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Class probabilities [B, C], averaged over constant antithetic samples that all rows share."""
        return tf.reduce_mean(tf.nn.softmax(self.class_logits(self.scaling(x), self.prediction_sampler())), 0)

    # Construction.

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            super().build(input_shape)
            self.class_marginal = self.add_weight(
                shape=[self.classes],
                initializer=keras.initializers.Constant(self.class_prior or 1 / self.classes),
                trainable=False,
                name="class_marginal",
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> BaseModel:
        config = renamed(config)
        if "regularizers" in config:
            config["regularizers"] = [keras.saving.deserialize_keras_object(part) for part in config["regularizers"]]
            return cls(**config)
        regularizers, config = regularizers_of(config)
        return cls(**config, regularizers=regularizers)
