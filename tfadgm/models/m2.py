"""The semi-supervised model M2 (Kingma et al. 2014, arXiv 1406.5298)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.bounds import class_bound, reparameterize
from tfadgm.models.semi_supervised import SemiSupervisedModel
from tfadgm.sweep import Sweep


@keras.saving.register_keras_serializable("tfadgm")
class M2(SemiSupervisedModel):
    """Semi-supervised variational auto-encoder without an auxiliary variable.

    p(x,y,z) = p(y) p(z) p(x|z,y)
    q(y,z|x) = q(y|x) q(z|x,y)

    Arguments as in `SemiSupervisedModel`.
    """

    def __init__(self, feature_shape: Sequence[int], classes: int, **options: Any):
        super().__init__(feature_shape, classes, **options)
        features, latent = self.scaling.units, self.latent_units
        self.q_y_x = self.categorical(classes, features)
        self.q_z_xy = self.gaussian(latent, features, classes)
        self.p_x_zy = self.observation(features, latent, classes)
        self.build()

    def infer_auxiliary(self, x: tf.Tensor, sweep: Sweep) -> tuple[tf.Tensor, tf.Tensor]:
        """The empty variable: [S, B, 0], with log-density 0."""
        a = tf.zeros(tf.concat([tf.shape(sweep.noise_a)[:1], tf.shape(x)[:1], [0]], 0))
        return a, tf.zeros(tf.shape(a)[:2])

    def class_logits(self, x: tf.Tensor, a: tf.Tensor, sweep: Sweep) -> tf.Tensor:
        logits = self.q_y_x(x, statistics=sweep.statistics)
        return tf.broadcast_to(logits, tf.concat([tf.shape(a)[:2], tf.shape(logits)[-1:]], 0))

    def class_bound(self, x: tf.Tensor, a: tf.Tensor, y: tf.Tensor, sweep: Sweep) -> tf.Tensor:
        q_z = self.q_z_xy.distribution(x, y, statistics=sweep.statistics)
        z = reparameterize(q_z, sweep.noise_z)  # [K, S, B, Z]
        p_x = self.p_x_zy.distribution(z, y, statistics=sweep.statistics)
        log_p_x = self.draws * p_x.log_prob(x)  # [K, S, B]
        at = z if sweep.at_sample else None
        return class_bound(log_p_x, self.log_p_y, q_z, kl_weight=sweep.kl_weight, z=at)

    def infer_style(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return self.q_z_xy.distribution(x, y).mean()

    def decode(self, z: tf.Tensor, y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return self.p_x_zy.distribution(z, y).mean()
