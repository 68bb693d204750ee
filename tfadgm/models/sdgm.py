"""The skip deep generative model (Maaløe et al. 2016, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfadgm.bounds import class_bound, reparameterize
from tfadgm.models.auxiliary import AuxiliaryModel
from tfadgm.sweep import Sweep


@keras.saving.register_keras_serializable("tfadgm")
class SDGM(AuxiliaryModel):
    """Skip deep generative model: two stochastic layers with skip connections.

    p(x,y,a,z) = p(y) p(z) p(a|z,y) p(x|a,z,y)
    q(a,y,z|x) = q(a|x) q(y|a,x) q(z|a,x,y)

    Arguments as in `SemiSupervisedModel`, and

        auxiliary_units: size of a.
    """

    def __init__(self, feature_shape: Sequence[int], classes: int, *, auxiliary_units: int = 100, **options: Any):
        super().__init__(feature_shape, classes, auxiliary_units=auxiliary_units, **options)
        features, latent = self.scaling.units, self.latent_units
        self.q_a_x = self.gaussian(auxiliary_units, features)
        self.q_y_ax = self.categorical(classes, auxiliary_units, features)
        self.q_z_axy = self.gaussian(latent, auxiliary_units, features, classes)
        self.p_a_zy = self.gaussian(auxiliary_units, latent, classes)
        self.p_x_azy = self.observation(features, auxiliary_units, latent, classes)
        self.build()

    def class_bound(self, x: tf.Tensor, a: tf.Tensor, y: tf.Tensor, sweep: Sweep) -> tf.Tensor:
        q_z = self.q_z_axy.distribution(a, x, y, statistics=sweep.statistics)
        z = reparameterize(q_z, sweep.noise_z)  # [K, S, B, Z]
        p_a = self.p_a_zy.distribution(z, y, statistics=sweep.statistics)
        p_x = self.p_x_azy.distribution(a, z, y, statistics=sweep.statistics)
        log_p_x = self.draws * p_x.log_prob(x)  # [K, S, B]
        at = z if sweep.at_sample else None
        return class_bound(log_p_x, self.log_p_y, q_z, p_a.log_prob(a), sweep.kl_weight, at)

    def decode(self, z: tf.Tensor, y: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        a = reparameterize(self.p_a_zy.distribution(z, y), noise)
        return self.p_x_azy.distribution(a, z, y).mean()
