"""The semi-supervised model M2 (Kingma et al. 2014, arXiv 1406.5298)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.inference.elbo import class_elbo
from tfadgm.inference.sampling import Sampler
from tfadgm.models.deep_generative import DeepGenerativeClassifier


@keras.saving.register_keras_serializable("tfadgm")
class M2(DeepGenerativeClassifier):
    """Semi-supervised variational auto-encoder without an auxiliary variable.

        p(x,y,z) = p(y) p(z) p(x|z,y)
        q(y,z|x) = q(y|x) q(z|x,y)

    Arguments as in `DeepGenerativeClassifier`.

    Examples:
        >>> model = M2((4,), classes=3, hidden_units=(8,), latent_units=2)
        >>> model.labeled_elbo(np.zeros([5, 4]), np.zeros(5, int)).shape
        TensorShape([5])
    """

    def __init__(self, feature_shape: Sequence[int], classes: int, **options: Any) -> None:
        super().__init__(feature_shape, classes, **options)
        features, latent = self.scaling.units, self.latent_units
        self.q_y_x = self.categorical(classes, features)
        self.q_z_xy = self.gaussian(latent, features, classes)
        self.p_x_zy = self.observation(features, latent, classes)
        self.build()

    def infer_auxiliary(self, x: tf.Tensor, sampler: Sampler) -> tuple[tf.Tensor, tf.Tensor]:
        """The empty variable: [S, B, 0], with log-density 0."""
        a = tf.zeros(tf.concat([tf.shape(sampler.noise["a"])[:1], tf.shape(x)[:1], [0]], 0))
        return a, tf.zeros(tf.shape(a)[:2])

    def logits_given(self, x: tf.Tensor, a: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        logits = self.q_y_x(x, bn_mode=sampler.bn_mode)
        return tf.broadcast_to(logits, tf.concat([tf.shape(a)[:2], tf.shape(logits)[-1:]], 0))

    def class_elbo(self, x: tf.Tensor, a: tf.Tensor, y: tf.Tensor, sampler: Sampler) -> tf.Tensor:
        q_z = self.q_z_xy.distribution(x, y, bn_mode=sampler.bn_mode)
        z = sampler(q_z, "z")  # [K, S, B, Z]
        p_x = self.p_x_zy.distribution(z, y, bn_mode=sampler.bn_mode)
        log_p_x = self.total_count * p_x.log_prob(x)  # [K, S, B]
        return class_elbo(log_p_x, self.log_p_y(y), sampler.kl(q_z, z), kl_weight=sampler.kl_weight)

    def infer_style(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return self.q_z_xy.distribution(x, y).mean()

    def decode(self, z: tf.Tensor, y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return self.p_x_zy.distribution(z, y).mean()
